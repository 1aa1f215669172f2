-- What SQLAlchemy's constructs take: its names, in its order; options are the keyword arguments.

local function with(options, more)
  for name, kind in pairs(more) do options[name] = kind end
  return options
end

local function deferrable(more)
  return with({ name = "name", deferrable = "boolean", initially = "initially" }, more)
end

-- Of foreign keys.
local function rules()
  return deferrable {
    ondelete = "action", onupdate = "action", match = "match", postgresql_not_valid = "boolean", use_alter = "boolean",
  }
end

local M = {}

M.Column = {
  { "name", "name" }, { "type", "type" },
  list = "column_item",
  options = {
    nullable = "boolean", primary_key = "boolean", server_default = "default", index = "boolean", unique = "boolean",
    comment = "string", autoincrement = "autoincrement",
    -- Python's business: taken, because ported files carry them, and without effect.
    default = "any", onupdate = "any", server_onupdate = "any", info = "any", key = "any", doc = "any", quote = "any",
    system = "any",
  },
}

M.ForeignKey = { { "column", "name" }, options = rules() }

M.ForeignKeyConstraint = { { "columns", "names" }, { "refcolumns", "names" }, options = rules() }

M.PrimaryKeyConstraint = { list = "name", options = deferrable {} }

M.UniqueConstraint = {
  list = "name", options = deferrable { postgresql_nulls_not_distinct = "boolean", postgresql_include = "names" },
}

M.CheckConstraint = { { "sqltext", "expression" }, options = deferrable { postgresql_not_valid = "boolean" } }

M.ExcludeConstraint = {
  list = "exclude_element", options = deferrable { where = "expression", using = "word", ops = "string_map" },
}

M.Identity = {
  { "always", "boolean", optional = true },
  options = {
    on_null = "any", start = "number", increment = "number", minvalue = "number", maxvalue = "number",
    nominvalue = "boolean", nomaxvalue = "boolean", cycle = "boolean", cache = "integer", order = "any",
  },
}

M.Computed = { { "sqltext", "expression" }, options = { persisted = "boolean" } }

M.DefaultClause = { { "arg", "default" } }

M.FetchedValue = { options = { for_update = "any" } }

M.text = { { "text", "string" } }

M.bindparam = {
  { "key", "name" }, { "value", "any", optional = true }, { "type_", "type", optional = true },
  options = { required = "any", unique = "any", expanding = "any" },
}

M.column = { { "name", "name" }, { "type", "type", optional = true } }

M.table = { { "name", "name" }, list = "table_column", options = { schema = "name" } }

M.inspect = { { "bind", "connection" } }

return M
