-- Partitions: record → statements. Pure.

local errors = require "dmlua.errors"
local expression = require "dmlua.ddl.expression"
local quote = require "dmlua.quote"
local record_kind = require "dmlua.record".kind

local M = {}

-- A bound: a literal, NULL, or SQL such as MINVALUE.
local function bound_values(values)
  local parts = {}
  for i, value in ipairs(values) do
    parts[i] = record_kind(value) and expression.sql(value) or quote.value(value)
    if not parts[i] then
      errors.raise { kind = "migration", message = ("a %s cannot be the bound of a partition"):format(type(value)) }
    end
  end
  return "(" .. table.concat(parts, ", ") .. ")"
end

local function bounds_text(bounds)
  if bounds.default then return "DEFAULT" end
  if bounds.values then return "FOR VALUES IN " .. bound_values(bounds.values) end
  if bounds.from then return "FOR VALUES FROM " .. bound_values(bounds.from) .. " TO " .. bound_values(bounds.to) end
  return ("FOR VALUES WITH (MODULUS %s, REMAINDER %s)"):format(quote.value(bounds.modulus[1]),
    quote.value(bounds.remainder[1]))
end

function M.create_partition(record)
  local text = "CREATE TABLE " .. (record.if_not_exists and "IF NOT EXISTS " or "")
    .. quote.qualified(record.schema, record.partition_name) .. " PARTITION OF "
    .. quote.qualified(record.parent_schema or record.schema, record.parent_name) .. " " .. bounds_text(record.bounds)
  if record.postgresql_partition_by then text = text .. " PARTITION BY " .. record.postgresql_partition_by end
  if record.postgresql_tablespace then text = text .. " TABLESPACE " .. quote.ident(record.postgresql_tablespace) end
  return { text }
end

local function alter(record, verb)
  return "ALTER TABLE " .. quote.qualified(record.schema, record.parent_name) .. " " .. verb .. " PARTITION "
    .. quote.qualified(record.partition_schema or record.schema, record.partition_name)
end

function M.attach_partition(record)
  return { alter(record, "ATTACH") .. " " .. bounds_text(record.bounds) }
end

function M.detach_partition(record)
  return { alter(record, "DETACH") .. (record.concurrently and " CONCURRENTLY" or "")
    .. (record.finalize and " FINALIZE" or "") }
end

return M
