-- Mistakes in a call, made from the signature of everything that can be called: each names what was called, the
-- argument, and the author's line.

local step = require "spec.step"
local types = require "dmlua.types"
require "dmlua.postgresql" -- with sa, it fills in the types

local all = {}

local function add(prefix, signatures)
  for name, signature in pairs(signatures) do all[prefix .. name] = signature end
end
add("op.", require "dmlua.signatures")
add("op.", require "dmlua.signatures_postgresql")
add("op.", { bulk_insert = require("dmlua.bulk").signature, batch_alter_table = require("dmlua.batch").signature })
add("batch_op.", require("dmlua.batch").signatures)
add("sa.", require "dmlua.signatures_sa")
add("sa.", types.signatures.sa)
for name, signature in pairs(types.signatures.postgresql) do
  -- the standard's types are the same values in both
  if types.signatures.sa[name] ~= signature then all["postgresql." .. name] = signature end
end
add("inspector:", require("dmlua.inspect").signatures)

local names = {}
for name in pairs(all) do names[#names + 1] = name end
table.sort(names)

-- An argument of each kind as it is right.
local examples = {
  name = '"x.y"', nameless = '"x"', names = '{ "a" }', columns = '{ "a" }', expression = '"a > 0"', type = "sa.Text",
  column = 'sa.Column("c", sa.Text)', constraint_type = '"check"', string_or_null = '"x"', string = '"x"',
  table_record = 'sa.table("t")', rows = "{}", connection = "op.get_bind()", boolean = "true", integer = "1",
  ["function"] = "function() end", any = "nil", texts = '{ "a" }', query = '"SELECT 1"', timing = '"before"',
  bounds = "{ default = true }", privileges = '"ALL"', comment_object = '"table"', events = '"insert"',
  default_kind = '"TABLES"', one_or_more_names = '"x"',
}

-- What no kind of argument takes.
local wrong = "io.stdout"

-- The text of a call with its first `count` arguments and one more.
local function call(name, count, more)
  local given = {}
  for i = 1, count do given[i] = assert(examples[all[name][i][2]], all[name][i][2]) end
  given[#given + 1] = more
  local text = ("%s(%s)"):format(name, table.concat(given, ", "))
  if name:find("^batch_op") then return ('op.batch_alter_table("t", function(batch_op)\n%s end)'):format(text) end
  if name:find("^inspector") then return "local inspector = sa.inspect(op.get_bind())\n" .. text end
  return "local made =\n" .. text
end

local function check(text, expected)
  local message = step.error_of(step.recorder(), text)
  assert.truthy(message and message.message:find(expected, 1, true), text .. ": " .. tostring(message))
  assert.same({ "script.lua", 2 }, { message.file, message.line })
end

-- Where the kind of an argument takes anything, nothing can be wrong with it.
local function takes_anything(kind)
  return kind == "any"
end

describe("a mistake in a call of", function()
  for _, name in ipairs(names) do
    local signature = all[name]

    it(name .. " is named: an argument that is missing or of another type", function()
      for i, parameter in ipairs(signature) do
        if not parameter.optional then
          check(call(name, i - 1), ("%s: %s is missing"):format(name, parameter[1]))
        end
        if not takes_anything(parameter[2]) then
          check(call(name, i - 1, wrong), ("%s: %s must be "):format(name, parameter[1]))
        end
      end
      if signature.list then
        check(call(name, #signature, wrong), ("%s: argument %d must be "):format(name, #signature + 1))
      end
    end)

    it(name .. " is named: an option that is misspelt or of another type", function()
      local options = {}
      for option, kind in pairs(signature.options or {}) do options[option] = kind end
      for _, parameter in ipairs(signature) do
        if parameter.optional then options[parameter[1]] = parameter[2] end
      end
      local required = 0
      for i, parameter in ipairs(signature) do required = parameter.optional and required or i end
      for option, kind in pairs(options) do
        check(call(name, required, ("{ %sx = true }"):format(option)),
          ("%s: has no option '%sx' (did you mean '"):format(name, option))
        if not takes_anything(kind) then
          check(call(name, required, ("{ %s = %s }"):format(option, wrong)), ("%s: %s must be "):format(name, option))
        end
      end
    end)
  end
end)
