-- A cursor WITH HOLD is carried out at the COMMIT: never as the migrator.

local fixes = require "spec.support.fixes"
local helper = require "spec.helper"

describe("a cursor WITH HOLD that a tenant's callback leaves open", function()
  local sneak = [[CREATE FUNCTION sneak() RETURNS int LANGUAGE plpgsql AS
    'BEGIN RAISE WARNING ''carried out as %'', current_user; RETURN 1; END']]
  local declare = [[op.execute("DECLARE c CURSOR WITH HOLD FOR SELECT sneak()")]]

  it("is not carried out as the migrator in a loop whose transaction ends as the migrator", function()
    local _, folder = fixes.project("", sneak)
    helper.write(folder .. "/versions/a1.lua", helper.revision { revision = "a1", upgrade = ([[
      tenants.each(function()
        op.execute("DO $$ BEGIN PERFORM 1; END $$")
        %s
      end, { mode = "resumable" })]]):format(declare) })
    local result = helper.dmlua("upgrade head", { cwd = folder })
    assert.equal(0, result.code, result.err)
    assert.falsy(result.err:find("carried out as owner", 1, true), result.err)
  end)

  it("is closed at the end of a fix", function()
    local _, folder = fixes.project(fixes.fix(declare), sneak)
    assert.falsy(fixes.succeeds(folder, "run mend --all-tenants").err:find("carried out", 1, true))
  end)
end)
