-- A resumable loop in which tenants fail: what is told, and what is kept.

local cjson = require "cjson"
local helper = require "spec.helper"
local loops = require "spec.support.loops"

local count, loop, project, refused, sabotage, says, succeeded, version =
  loops.count, loops.loop, loops.project, loops.refused, loops.sabotage, loops.says, loops.succeeded, loops.version

local function silent_of(result, text)
  assert.falsy(result.err:find(text, 1, true), result.err)
end

describe("a loop with failures", function()
  it("names each failed tenant once: id, SQLSTATE, message, file and line", function()
    local run, db = project(loop())
    sabotage(db, "t03", "t07")
    local result = run "upgrade head"
    refused(result, 6, "2 tenants failed in part 1 of bbbb; 10 done in this run")
    says(result, "\n  t03: 22012 division by zero at versions/bbbb.lua:13\n")
    says(result, "\n  t07: 22012 division by zero at versions/bbbb.lua:13\n")
    assert.are.equal(2, count(result.err, "division by zero"))
    says(result, "database is at aaaa; bbbb waits for the tenants that failed")
    assert.are.equal("aaaa", version(db))
  end)

  it("starts no later step", function()
    local run, db = project(loop(), { versions = { { revision = "cccc", down = "bbbb",
      upgrade = 'op.execute("UPDATE tenants SET id = id")' } } })
    sabotage(db, "t03")
    assert.are.equal(6, run("upgrade head").code)
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_ledger WHERE what = 'cccc'"))
  end)

  it("says what to type next, with the options that were given, and it can be typed as it stands", function()
    local run, db, folder = project(loop(), { versions = { { revision = "cccc", down = "bbbb" } } })
    sabotage(db, "t03", "t'0 4")
    helper.execute(db, "INSERT INTO tenants VALUES ('t''0 4'), ('-t05'); INSERT INTO sabotage VALUES ('-t05');")
    helper.write(folder .. "/my conf.ini", helper.read(folder .. "/dmlua.ini"))
    local result = run { "upgrade", "-c", "my conf.ini", "head", "--env", "development" }
    local global = "dmlua -c 'my conf.ini' --env development "
    says(result, "\n      " .. global .. "log -n 4\n")
    says(result, "\n      " .. global .. "upgrade head\n")
    local skip = result.err:match "\n +dmlua([^\n]*%-%-skip%-tenant [^\n]*)\n"
    assert.are.equal(" -c 'my conf.ini' --env development upgrade head --skip-tenant=-t05"
      .. " --skip-tenant 't'\\''0 4' --skip-tenant t03 --reason TEXT", skip)
  end)

  it("names the failed step where the target counted from where the database was", function()
    local run, db = project(loop(), { downgrade = loop(), versions = { { revision = "cccc", down = "bbbb" },
      { revision = "dddd", down = "cccc" } } })
    sabotage(db, "t03")
    refused(run "upgrade +2", 6, "dmlua upgrade bbbb --skip-tenant t03 --reason TEXT")
    sabotage(db)
    succeeded(run "upgrade dddd")
    sabotage(db, "t03")
    local result = run "downgrade -3"
    refused(result, 6, "\n      dmlua downgrade bbbb-1\n")
    says(result, "dmlua downgrade bbbb-1 --skip-tenant t03 --reason TEXT\n")
    succeeded(run "downgrade bbbb-1 --skip-tenant t03 --reason TEXT")
    assert.are.equal("aaaa", version(db))
  end)

  it("says so when it stopped early", function()
    local run, db = project(loop(nil, ", max_failures = 2"))
    sabotage(db, "t02", "t04", "t06")
    refused(run "upgrade head", 6, "the loop stopped there, at max_failures = 2")
  end)

  it("has a row in the ledger for the run and for each failed tenant, which log shows", function()
    local run, db = project(loop())
    sabotage(db, "t03", "t07")
    run "upgrade head"
    assert.are.same({ { tenant = "t03", note = "22012: division by zero at versions/bbbb.lua:13" },
      { tenant = "t07", note = "22012: division by zero at versions/bbbb.lua:13" },
      { note = "2 tenants failed in part 1 of bbbb; 10 done in this run" } },
      helper.sql(db, "SELECT tenant, note FROM dmlua_ledger WHERE what = 'bbbb' AND outcome = 'failed' ORDER BY id"))
    local log = run "log -n 3"
    assert.truthy(log.out:find("tenant t07; 22012: division by zero", 1, true), log.out)
  end)

  it("lists the failed tenants in its JSON error", function()
    local run, db = project(loop())
    sabotage(db, "t03", "t07")
    local result = run "upgrade head --json"
    assert.are.equal(6, result.code)
    local failure = cjson.decode(result.out:match "[^\n]*\n$").error
    assert.are.equal("partial", failure.kind)
    assert.are.same({
      { tenant = "t03", sqlstate = "22012", message = "division by zero", file = "versions/bbbb.lua", line = 13 },
      { tenant = "t07", sqlstate = "22012", message = "division by zero", file = "versions/bbbb.lua", line = 13 },
    }, failure.tenants)
  end)

  it("tells an error of the callback's own without a SQLSTATE, at its line", function()
    local run = project(loop 'if tenant.id == "t05" then error("no") end')
    refused(run "upgrade head", 6, "\n  t05: no at versions/bbbb.lua:12\n")
  end)

  it("names the line also of what is refused before anything is sent", function()
    local run = project(loop("op.copy_from('customers', { { tenant_id = tenant.id } })"))
    says(run "upgrade head", "t01: COPY inside tenants.each: PostgreSQL refuses it under row security at versions/bbbb")
  end)

  it("says of which table dmlua's own refusal is", function()
    local run, db = project(loop('op.execute("CREATE TABLE bare (id int)")'))
    helper.execute(db, "GRANT CREATE ON SCHEMA public TO app")
    local result = run "upgrade head"
    refused(result, 6, "declared global: public.bare (it has no column tenant_id)")
  end)

  it("does not print an id so that a terminal obeys it or a line is broken", function()
    local run, db = project(loop())
    helper.execute(db, [[INSERT INTO tenants VALUES (E'a\n\x1b[31mb'); INSERT INTO sabotage SELECT max(id) FROM tenants
      WHERE id LIKE 'a%']])
    local result = run "upgrade head"
    refused(result, 6, "--skip-tenant $'a\\012\\033[31mb' --reason TEXT")
    says(result, "\n  a\\x0a\\x1b[31mb: 22012")
    silent_of(result, "\27")
  end)
end)
