-- What a callback leaves for the COMMIT is never carried out as the migrator: cursors WITH HOLD, deferred triggers.

local fixes = require "spec.support.fixes"
local helper = require "spec.helper"

local sneak = [[
  CREATE TABLE spy (who text, context text, told text);
  GRANT INSERT ON spy TO app;
  CREATE FUNCTION sneak(told text) RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
    INSERT INTO spy SELECT current_user, current_setting('app.current_tenant_id', true), told;
    RAISE WARNING 'carried out as %', current_user; RETURN 1; END $f$;
  CREATE TABLE events (told text);
  GRANT INSERT ON events TO app;
  CREATE FUNCTION sneak_later() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM sneak(NEW.told); RETURN NULL; END $f$;
  CREATE CONSTRAINT TRIGGER "at the end" AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION sneak_later();]]
local declare = [[op.execute("DECLARE c CURSOR WITH HOLD FOR SELECT sneak('cursor')")]]
local defer = [[op.execute("INSERT INTO events (told) VALUES ('trigger')")]]

local modes = {
  ["an atomic loop"] = "mode = 'atomic'",
  ["a resumable loop"] = "mode = 'resumable'",
  ["a loop in batches"] = "mode = 'resumable', batch = 10",
}

-- Runs a migration with this text; its result, and what has been spied.
local function run(text)
  local db, folder = fixes.project("", sneak, { global_tables = "spy, events, mine" })
  helper.write(folder .. "/versions/a1.lua", helper.revision { revision = "a1", upgrade = text })
  local result = helper.dmlua("upgrade head", { cwd = folder })
  return result, helper.value(db, "SELECT string_agg(format('%s %s %s', told, who, context), ', ' ORDER BY context)"
    .. " FROM spy"), db
end

local function loop(body, options)
  return ("tenants.each(function(tenant)\n%s\nend, { %s })"):format(body, options)
end

describe("a cursor WITH HOLD that a tenant's callback leaves open", function()
  it("is refused in an atomic loop, whose transaction ends as the migrator", function()
    local result, spied = run(loop(declare, modes["an atomic loop"]))
    assert.equal(3, result.code, result.err)
    assert.truthy(result.err:find("leaves a cursor WITH HOLD open", 1, true), result.err)
    assert.is_nil(spied)
    assert.equal(0, (run(loop(declare .. ' op.execute("CLOSE c")', modes["an atomic loop"]))).code)
  end)

  for _, mode in ipairs { "a resumable loop", "a loop in batches" } do
    it("is carried out as the tenant in " .. mode, function()
      local result, spied = run(loop("if tenant.id == 'acme' then " .. declare .. " end", modes[mode]))
      assert.equal(0, result.code, result.err)
      assert.equal("cursor app acme", spied)
    end)
  end

  it("is carried out as the tenant where the migrator looks at what DDL has left", function()
    local result, spied = run(loop('op.execute("DO $$ BEGIN PERFORM 1; END $$")' .. declare, modes["a resumable loop"]))
    assert.equal(0, result.code, result.err)
    assert.equal("cursor app acme, cursor app globex, cursor app initech", spied)
  end)

  it("shows the next tenant nothing", function()
    local result = run(loop([[if tenant.id == "acme" then
        op.execute("DECLARE c CURSOR WITH HOLD FOR SELECT tenant_id FROM customers")
      else
        op.get_bind():execute("FETCH ALL FROM c")
      end]], modes["a resumable loop"]))
    assert.equal(6, result.code)
    assert.truthy(result.err:find('globex: 34000 cursor "c" does not exist', 1, true), result.err)
  end)

  it("is closed at the end of a fix", function()
    local _, folder = fixes.project(fixes.fix(declare), sneak)
    assert.falsy(fixes.succeeds(folder, "run mend --all-tenants").err:find("carried out", 1, true))
  end)
end)

describe("a trigger that a tenant's callback has put off", function()
  for name, options in pairs(modes) do
    it("runs as the tenant in " .. name, function()
      local result, spied = run(loop(defer, options))
      assert.equal(0, result.code, result.err)
      assert.equal("trigger app acme, trigger app globex, trigger app initech", spied)
    end)
  end

  it("and one that the step has put off before its loop runs as the step's, without a tenant", function()
    local result, spied = run(defer .. "\n" .. loop("", modes["an atomic loop"]) .. "\n" .. defer)
    assert.equal(0, result.code, result.err)
    assert.equal("trigger owner , trigger owner ", spied)
  end)
end)
