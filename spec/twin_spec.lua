local helper = require "spec.helper"
local step = require "spec.step"

local fixtures = helper.root .. "/spec/fixtures/twin/"

-- As in alembic_side.py.
local conventions = {
  ["naming_convention.ix"] = "ix_%(column_0_label)s",
  ["naming_convention.uq"] = "uq_%(table_name)s_%(column_0_N_name)s",
  ["naming_convention.ck"] = "ck_%(table_name)s_%(constraint_name)s",
  ["naming_convention.fk"] =
    "fk_%(table_name)s_%(column_0N_name)s_%(referred_table_name)s",
  ["naming_convention.pk"] = "pk_%(table_name)s_%(column_1_name)s",
}

describe("twin migrations of Alembic and dmlua", function()
  local function dump(database)
    local result = helper.run(helper.programs .. "/pg_dump", { "--inserts", database.owner })
    assert.equal(0, result.code, result.err)
    return (result.out:gsub("\\u?n?restrict %S+", ""))
  end

  -- What differs, so that a failure does not print the whole of it.
  local function lines_of(text, other)
    local there, found = {}, {}
    for line in other:gmatch "[^\n]+" do there[line] = true end
    for line in text:gmatch "[^\n]+" do found[#found + 1] = not there[line] and line or nil end
    return found
  end

  it("use every directive and argument that Debian's Alembic knows", function()
    -- Of later versions, or nothing that a database could show.
    local newer = {}
    for word in ([[if_exists if_not_exists inline_references inline_primary_key postgresql_nulls_not_distinct
      postgresql_ignore_search_path]]):gmatch "%S+" do newer[word] = true end
    local ours = { register_operation = true, implementation_for = true, invoke = true, get_context = true }
    local signatures, script = require "dmlua.signatures", helper.read(fixtures .. "dmlua_side.lua")
    for directive, arguments in pairs(require "spec.support.alembic_directives") do
      local calls, positional = {}, {}
      for call in script:gmatch("op%.(" .. directive .. "%(.-)\n%s*op%.") do calls[#calls + 1] = call end
      for call in script:gmatch("op%." .. directive .. "(%b())") do calls[#calls + 1] = call end
      assert.is_true(#calls > 0 or ours[directive] ~= nil, directive)
      for _, parameter in ipairs(signatures[directive] or {}) do positional[parameter[1]] = not parameter.optional end
      for argument in arguments:gmatch "%S+" do
        local named = table.concat(calls, "\n"):find("%f[%w_]" .. argument .. " = ") ~= nil
        local known = newer[argument] or positional[argument] or ours[directive] or not signatures[directive]
        assert.is_true(named or known, directive .. ": " .. argument)
      end
    end
  end)

  it("make the same schema and the same rows, by pg_dump", function()
    local theirs, ours = helper.database(), helper.database()
    local python = helper.run("/usr/bin/python3", { fixtures .. "alembic_side.py", theirs.owner })
    assert.equal(0, python.code, python.err)
    local connection = helper.connect(ours.owner)
    connection:exec "BEGIN"
    connection:exec "SET LOCAL row_security = off"
    local script = helper.read(fixtures .. "dmlua_side.lua")
    step.run(step.runner(connection), script)
    step.run(step.runner(connection, conventions), script, "named")
    connection:exec "COMMIT"
    step.run(step.runner(connection), script, "alone")
    local expected, made = dump(theirs), dump(ours)
    assert.same(lines_of(expected, made), lines_of(made, expected))
    assert.is_true(expected == made, "the same lines in another order")
  end)
end)
