-- op.copy_from: rows by COPY, which PostgreSQL reads several times as fast as INSERTs. The rows are given, or those of
-- a CSV file beside the script.

local lfs = require "lfs"

local arguments = require "dmlua.arguments"
local csv = require "dmlua.csv"
local errors = require "dmlua.errors"
local params = require "dmlua.params"
local quote = require "dmlua.quote"
local record = require "dmlua.record"

local M = {}

local NAME = "op.copy_from"

arguments.kind("copy_source", function(value)
  if type(value) == "string" and value ~= "" then return value end
  local expected = "a list of rows, or the name of a CSV file beside the script"
  if not record.plain(value) or #value == 0 and next(value) ~= nil then return nil, expected end
  for _, row in ipairs(value) do
    if not record.plain(row) or next(row) == nil then return nil, expected end
  end
  return value
end)

arguments.kind("character", function(value)
  if type(value) == "string" and #value == 1 and not value:find('[\r\n"]') then return value end
  return nil, "one character"
end)

M.signature = {
  { "table_name", "name" }, { "source", "copy_source" },
  options = {
    schema = "name", columns = "names", header = "boolean", delimiter = "character", null = "string",
    encoding = "string",
  },
}

local function fail(format, ...)
  arguments.fail(NAME, format, ...)
end

-- A field as COPY reads CSV: NULL is nothing, all else stands in quotes.
local function field(value, row, column)
  local text, why = params.encode(value)
  if text == nil then fail("row %d, column %s: %s", row, column, why) end
  return text and '"' .. text:gsub('"', '""') .. '"' or ""
end

local function sorted_names(row)
  local names = {}
  for name in pairs(row) do
    if type(name) ~= "string" then fail("row 1 has values by name and by place") end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function line_of_row(row, number, columns, by_name, width)
  local fields, count = {}, 0
  for i = 1, width do
    local value = row[by_name and columns[i] or i]
    local column = columns and columns[i] or i
    if value == nil then fail("row %d has no value for column %s (null is NULL)", number, column) end
    fields[i] = field(value, number, column)
  end
  for _ in pairs(row) do count = count + 1 end
  if count > width then fail("row %d has %d values for %d columns", number, count, width) end
  return table.concat(fields, ",") .. "\n"
end

-- Values stand by name when the first row has no first place.
local function rows_text(given)
  local rows, columns = given.source, given.columns
  local by_name = rows[1][1] == nil
  if by_name then columns = columns or sorted_names(rows[1]) end
  local width = columns and #columns or #rows[1]
  local lines = {}
  for i, row in ipairs(rows) do lines[i] = line_of_row(row, i, columns, by_name, width) end
  return table.concat(lines), columns
end

-- The file in the script's own folder or below it.
local function read_file(bind, name)
  if name:find("^[/\\]") or ("/" .. name .. "/"):find("/../", 1, true) then
    fail("'%s' is not beside the script: name a file in its folder or below it", name)
  end
  local folder = bind.file and bind.file:match("^(.*/)") or ""
  local mode = lfs.attributes(folder .. name, "mode")
  if mode and mode ~= "file" then fail("%s is no file", name) end -- a pipe would be waited for
  local file, message = io.open(folder .. name, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  if not text then fail("%s cannot be read: %s", name, message or "it is no file") end
  return (text:gsub("^\u{FEFF}", ""))
end

-- The column names of a CSV file's first line.
local function header_names(text, delimiter)
  local names = csv.first_line(text, delimiter)
  for _, name in ipairs(names or { "" }) do
    if name == "" then fail("the first line of the file must name the columns (header = false: it does not)") end
  end
  return names
end

local function file_text(bind, given)
  local text = read_file(bind, given.source)
  local mark = csv.end_mark(text)
  if mark then fail('line %d of %s is \\., which would end the rows there: write "\\."', mark, given.source) end
  if given.header == false then return text, given.columns end
  return text, given.columns or header_names(text, given.delimiter or ",")
end

local function statement(given, columns, from_file)
  local options = { "FORMAT csv" }
  local function add(option, value) if value then options[#options + 1] = option .. " " .. quote.literal(value) end end
  if from_file then
    if given.header ~= false then options[2] = "HEADER" end
    add("DELIMITER", given.delimiter)
    add("NULL", given.null)
    add("ENCODING", given.encoding)
  else
    add("ENCODING", "UTF8")
  end
  return ("COPY %s%s FROM STDIN WITH (%s)"):format(quote.qualified(given.schema, given.table_name),
    columns and " (" .. quote.idents(columns) .. ")" or "", table.concat(options, ", "))
end

--- The directive of one step.
function M.new(step)
  --- copy_from(table, rows or file, {schema, columns, header, delimiter, null, encoding})
  return function(...)
    local given = arguments.read(NAME, M.signature, ...)
    local from_file = type(given.source) == "string"
    for _, option in ipairs { "header", "delimiter", "null", "encoding" } do
      if not from_file and given[option] ~= nil then fail("%s is an option of a file", option) end
    end
    local text, columns
    if from_file then
      text, columns = file_text(step.bind, given)
    elseif #given.source == 0 then
      return
    else
      text, columns = rows_text(given)
    end
    local file, line = errors.where()
    step.bind:copy(statement(given, columns, from_file), nil, file, line, nil, text)
  end
end

return M
