-- The locks that online composites hold when their parts commit, read on the server, are those that doc/online.md says;
-- and none that keeps readers or writers out is held over a scan of the table.

local composites = require "spec.support.composites"
local helper = require "spec.helper"

local modes = { AE = "AccessExclusiveLock", SRE = "ShareRowExclusiveLock", S = "ShareLock",
  SUE = "ShareUpdateExclusiveLock", ["row locks"] = "RowExclusiveLock", ["row share"] = "RowShareLock" }

local watching = [[
  CREATE SCHEMA watch; GRANT USAGE ON SCHEMA watch TO owner;
  CREATE TABLE watch.held (n serial, relation name, mode text, scans bigint);
  CREATE FUNCTION watch.look() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    INSERT INTO watch.held (relation, mode, scans)
    SELECT c.relname, l.mode, coalesce(s.seq_scan, 0)
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    LEFT JOIN pg_stat_xact_user_tables s ON s.relid = c.oid
    WHERE l.pid = pg_backend_pid() AND l.mode <> 'AccessShareLock' AND c.relname IN ('t', 'parents');
    PERFORM pg_stat_force_next_flush(); -- else the next transaction's scans would have this one's among them
    RETURN NULL;
  END $$;
  CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON dmlua_progress
    FOR EACH STATEMENT EXECUTE FUNCTION watch.look()
]]

local database, work, superuser

setup(function()
  database = helper.database()
  local folder = helper.project { database = database, versions = { { revision = "abcd" } } }
  assert.equal(0, helper.dmlua("upgrade head", { cwd = folder }).code)
  work, superuser = composites.new(database), helper.connect(database.postgres)
  helper.execute(database, watching)
end)

-- The cell of a directive's locks in the page's table.
local function documented(directive)
  local page = helper.read(helper.root .. "/doc/online.md")
  local cell = page:match("\n| `" .. directive .. "%([^\n]* | ([^|\n]+) |\n")
  local found = {}
  for word in cell:gmatch "[%a ]+" do
    local mode = modes[word:match "^%s*(.-)%s*$"] or modes[word:match "%u+" or ""] or modes[word:match "row %a+" or ""]
    if mode then found[mode] = true end
  end
  return found
end

local function run(case)
  work.begin(case)
  superuser:exec "TRUNCATE watch.held"
  local folder = helper.project { database = database, versions = { { revision = "abcd", upgrade = case.call } } }
  local result = helper.dmlua("upgrade head", { cwd = folder })
  assert.equal("", result.code == 0 and "" or result.err)
end

describe("the locks that doc/online.md names are held when the parts commit, and no others:", function()
  for _, case in ipairs(composites.cases) do
    it(case.name, function()
      run(case)
      local held = {}
      for _, row in ipairs(superuser:exec("SELECT DISTINCT mode FROM watch.held").rows) do held[row.mode] = true end
      local expected = documented(case.name:match "^[%w_]+")
      if case.name:find "^create_index_online" then -- SUE is of what runs outside a transaction
        expected = case.name:find "partitions" and { [modes.S] = expected[modes.S] } or {}
      end
      assert.same(expected, held)
    end)

    it(case.name .. ": what keeps others out scans nothing", function()
      run(case)
      assert.same({}, superuser:exec([[SELECT n, relation, mode, scans FROM watch.held
        WHERE scans > 0 AND mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')]])
        .rows)
    end)
  end
end)

it("an index is built under the lock that doc/online.md names", function()
  work.begin(composites.cases[1])
  local writer = helper.connect(database.owner)
  writer:exec "BEGIN"
  writer:exec "UPDATE t SET a = 1 WHERE id = 1"
  local folder = helper.project { database = database, versions = { { revision = "abcd",
    upgrade = [[op.create_index_online("i", "t", { "a" })]] } } }
  local running = helper.start("upgrade head", { cwd = folder })
  local held = helper.eventually(function()
    return superuser:exec([[SELECT string_agg(l.mode, ' ') AS modes FROM pg_locks l JOIN pg_stat_activity a USING (pid)
      WHERE l.relation = 't'::regclass AND a.query LIKE 'CREATE INDEX CONCURRENTLY%']]).rows[1].modes
  end)
  writer:exec "COMMIT"
  assert.equal(0, running.wait().code)
  assert.equal(modes.SUE, held)
  assert.truthy(documented("create_index_online")[modes.SUE])
end)
