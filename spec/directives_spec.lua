local catalogue = require "spec.support.catalogue"
local helper = require "spec.helper"
local step = require "spec.step"

local section = require "spec.support.alembic_directives"

local batch_operations = { "add_column", "alter_column", "drop_column", "create_primary_key",
  "create_unique_constraint", "create_check_constraint", "create_foreign_key", "create_exclude_constraint",
  "create_index", "drop_index", "drop_constraint", "create_table_comment", "drop_table_comment", "execute" }

-- Arguments that stand in their places, not by name.
local positional = {}
for word in ([[table_name column column_name old_table_name new_table_name index_name columns constraint_name condition
  source_table referent_table local_cols remote_cols sqltext table rows value name operation kind
  comment]]):gmatch "%S+" do
  positional[word] = true
end

local cases = dofile(helper.root .. "/spec/fixtures/directives.lua")

describe("every directive of Alembic's", function()
  local function covered(directive, argument)
    for _, case in ipairs(cases) do
      local named = case.up:find("%f[%w_]" .. argument .. "%s*=") or (case.down or ""):find(argument .. "%s*=")
      if case.directive == directive and (named or positional[argument]) then return true end
    end
    return false
  end

  it("and every argument of it has a case here", function()
    for directive, arguments in pairs(section) do
      assert.is_true(covered(directive, "name"), directive)
      for argument in arguments:gmatch "%S+" do
        assert.is_true(covered(directive, argument), directive .. ": " .. argument)
      end
    end
    for _, name in ipairs(batch_operations) do
      local found = false
      for _, case in ipairs(cases) do
        found = found or (case.up .. (case.down or "")):find("batch_op." .. name, 1, true) ~= nil
      end
      assert.is_true(found, "batch_op." .. name)
    end
  end)

  it("and every argument that the signatures have is one of Alembic's, or is told apart as ours", function()
    -- a unique constraint's INCLUDE, DROP … CASCADE, whose table it is
    local ours = { postgresql_include = true, cascade = true, tenant = true }
    for directive, signature in pairs(require "dmlua.signatures") do
      local known = {}
      for argument in section[directive]:gmatch("%S+") do known[argument] = true end
      for option in pairs(signature.options) do
        assert.is_true(known[option] or ours[option], directive .. ": " .. option)
      end
      for _, parameter in ipairs(signature) do
        assert.is_true(known[parameter[1]], directive .. ": " .. parameter[1])
      end
    end
  end)

  for i, case in ipairs(cases) do
    if case.sql then
      it(("writes the SQL of %s, case %d"):format(case.directive, i), function()
        local sent, kept = step.statements(case.up), {}
        for _, text in ipairs(sent) do
          if not text:find("^DO ") then kept[#kept + 1] = text end
        end
        assert.same(case.sql, kept)
        assert.equal(case.door and #kept + 2 or #kept, #sent)
      end)
    end
  end

  describe("on a server", function()
    local connection

    setup(function()
      connection = helper.connect(helper.database().owner)
      connection:exec "CREATE SCHEMA s"
      for _, schema in ipairs { "public", "s" } do
        connection:exec(([[
          SET search_path = %s;
          CREATE TABLE t (a integer CONSTRAINT ck_a CHECK (a > 0), b integer, c text, r int4range, d jsonb);
          CREATE INDEX ix_a ON t (a);
          CREATE TABLE u (id integer PRIMARY KEY, x integer UNIQUE);
          COMMENT ON TABLE u IS 'u']]):format(schema))
      end
      connection:exec "RESET search_path"
    end)

    local function first_value(query)
      return connection:exec(query).rows[1][1]
    end

    for i, case in ipairs(cases) do
      it(("does what %s says and takes it back, case %d"):format(case.directive, i), function()
        if not case.alone then connection:exec "BEGIN" end
        if case.before then connection:exec(case.before) end
        local before = catalogue(connection)
        step.run(step.runner(connection), case.up)
        assert.equal(case.is, first_value(case.look))
        if case.down then step.run(step.runner(connection), case.down) end
        if not case.irreversible then assert.equal(before, catalogue(connection)) end
        if not case.alone then connection:exec "ROLLBACK" end
      end)
    end

    after_each(function()
      connection:exec "ROLLBACK"
    end)
  end)
end)
