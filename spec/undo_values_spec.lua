-- dmlua undo brings back exactly what was there, whatever the fix has done to it.

local fixes = require "spec.support.fixes"
local helper = require "spec.helper"

local project, rows_of, sql_fix, succeeds = fixes.project, fixes.rows_of, fixes.sql_fix, fixes.succeeds

describe("run --undo-log and undo", function()
  it("bring back what a fix has changed, added and deleted, for the tenant that is named", function()
    local db, folder = project(sql_fix [[
      UPDATE customers SET status = 'a' WHERE id = 1; UPDATE customers SET status = 'b' WHERE id = 1;
      DELETE FROM customers WHERE id = 2;
      INSERT INTO customers SELECT current_setting('app.current_tenant_id'), 9, 'made']])
    local before = rows_of(db, "customers")
    succeeds(folder, "run mend --all-tenants --undo-log")
    assert.are_not.equal(before, rows_of(db, "customers"))
    local one = succeeds(folder, "undo mend --tenant globex")
    assert.truthy(one.err:find("globex: undone, 3 rows", 1, true), one.err)
    assert.are.equal("1 2 3", helper.value(db,
      "SELECT string_agg(id::text, ' ' ORDER BY id) FROM customers WHERE tenant_id = 'globex'"))
    assert.are.equal("2", helper.value(db, "SELECT count(*) FROM customers WHERE status = 'made'"))
    succeeds(folder, "undo mend --all-tenants")
    assert.are.equal(before, rows_of(db, "customers"))
    assert.are.equal("0", helper.value(db, "SELECT count(*) FROM dmlua_undo"))
  end)

  -- One database for many fixes: each is run and undone, and everything must be as before.
  local more = [[
    CREATE TYPE mood AS ENUM ('sad', 'so ''so"');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN short AS varchar(9) CHECK (length(VALUE) > 0);
    CREATE TABLE kinds (tenant_id text, id int, gone int, j json, jb jsonb, b bytea, ia int[], ta text[][], n numeric,
      n2 numeric(9,3), f8 float8, f4 float4, ts timestamp, tz timestamptz, d date, tm timetz, iv interval, c5 char(5),
      v varchar(7), ch "char", bo boolean, u uuid, ip inet, mo money, m mood, p pair, ps pair[], s short, r int4range,
      tv tsvector, bi bit(3), x xml, t text, pt point, nm name, oi regclass, PRIMARY KEY (tenant_id, id));
    ALTER TABLE kinds DROP COLUMN gone;
    INSERT INTO kinds SELECT id, 1, '{"b":  1.0,"a":null, "a":2}', '{"n": 1.500, "big": 12345678901234567890.10}',
      '\\x00ff27', '{1,NULL,3}', '{{a,"b,c"},{"",NULL}}', 1.500, 2.5, 0.1::float8 + 0.2, 1.0/3,
      '2024-02-29 23:59:59.999999',
      '1999-12-31 23:59:59.000001+05:30', '0044-03-15 BC', '12:00:00.5-08', '-1 mon +2 days -03:04:05.000006', 'a b',
      'é''"\\', 'x', NULL, '00000000-0000-0000-0000-00000000000f', '10.0.0.1/8', 1234.56, 'so ''so"',
      ROW(NULL, NULL)::pair, ARRAY[ROW(1, 'a"\\,()')::pair, NULL], 'dö', '[1,5)', 'fat:1A cat', '101',
      '<a b="1">&lt;</a>',
      E'line\nfeed\ttab \\ '' " {} ,()', '(0.1,1e300)', 'nm', 'kinds'::regclass FROM tenants;
    INSERT INTO kinds (tenant_id, id, n, f8, t, tz, jb) SELECT id, 2, 'NaN', '-Infinity', '', 'infinity', 'null'
      FROM tenants;

    CREATE TABLE parents (tenant_id text, id int, code text, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, code));
    CREATE TABLE children (tenant_id text, id int, parent int, code text, PRIMARY KEY (tenant_id, id),
      FOREIGN KEY (tenant_id, parent) REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE,
      FOREIGN KEY (tenant_id, code) REFERENCES parents (tenant_id, code) ON UPDATE CASCADE);
    INSERT INTO parents SELECT tenants.id, g, 'c' || g FROM tenants, generate_series(1, 3) g;
    INSERT INTO children SELECT tenants.id, g, g % 3 + 1, 'c' || g % 3 + 1 FROM tenants, generate_series(1, 6) g;

    CREATE TABLE mails (tenant_id text, id int PRIMARY KEY, mail text, during int4range, UNIQUE (tenant_id, mail),
      EXCLUDE USING gist (during WITH &&));
    CREATE UNIQUE INDEX ON mails (tenant_id, lower(mail));
    INSERT INTO mails SELECT 'acme', g, 'm' || g, int4range(g, g + 1) FROM generate_series(1, 5) g;

    CREATE TABLE trees (tenant_id text, id int, up int, PRIMARY KEY (tenant_id, id),
      FOREIGN KEY (tenant_id, up) REFERENCES trees);
    INSERT INTO trees SELECT tenants.id, g, nullif(g - 1, 0) FROM tenants, generate_series(1, 5) g;

    CREATE TABLE parts (tenant_id text, id int, region text, PRIMARY KEY (tenant_id, id, region))
      PARTITION BY LIST (region);
    CREATE TABLE parts_a (extra int, region text NOT NULL, id int NOT NULL, tenant_id text NOT NULL);
    ALTER TABLE parts_a DROP COLUMN extra;
    ALTER TABLE parts ATTACH PARTITION parts_a FOR VALUES IN ('a');
    CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');
    INSERT INTO parts SELECT tenants.id, g, 'a' FROM tenants, generate_series(1, 3) g;

    CREATE TABLE made (tenant_id text, id int GENERATED ALWAYS AS IDENTITY, n int, no int GENERATED ALWAYS AS (n * 2)
      STORED, PRIMARY KEY (tenant_id, id));
    INSERT INTO made (tenant_id, n) SELECT tenants.id, g FROM tenants, generate_series(1, 3) g;

    CREATE TABLE olds (tenant_id text, id int PRIMARY KEY, t text);
    CREATE TABLE youngs (more text, PRIMARY KEY (id)) INHERITS (olds);
    INSERT INTO olds VALUES ('acme', 1, 'o'); INSERT INTO youngs VALUES ('acme', 1, 'y', 'm');

    CREATE SCHEMA "Odd {s}";
    CREATE TABLE "Odd {s}"."T ""%s' {t}" ("select" text, tenant_id text, "ÄÖ, '%I" text, PRIMARY KEY ("select"));
    INSERT INTO "Odd {s}"."T ""%s' {t}" VALUES ('k', 'acme', 'v');
    GRANT USAGE ON SCHEMA "Odd {s}" TO app;

    CREATE TABLE counts (tenant_id text PRIMARY KEY, n int);
    CREATE TABLE notes (tenant_id text, id int PRIMARY KEY, t text);
    INSERT INTO counts SELECT id, 0 FROM tenants;
    CREATE FUNCTION counting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE counts SET n = n + (CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'DELETE' THEN -1 ELSE 0 END)
        WHERE tenant_id = coalesce(NEW.tenant_id, OLD.tenant_id);
      RETURN NULL; END $$;
    CREATE TRIGGER counting AFTER INSERT OR DELETE ON notes FOR EACH ROW EXECUTE FUNCTION counting();
    INSERT INTO notes VALUES ('acme', 1, 'a'), ('acme', 2, 'b');
  ]]

  local cases = {
    ["values of every type"] = { "kinds", [[DELETE FROM kinds WHERE id = 1; UPDATE kinds SET id = id WHERE id = 2;
      INSERT INTO kinds (tenant_id, id) SELECT current_setting('app.current_tenant_id'), 3]] },
    ["values of every type that were overwritten"] = { "kinds", [[UPDATE kinds SET j = '1', jb = '1', b = '', ia = '{}',
      ta = NULL, n = 1.5, n2 = 0, f8 = 0.3, f4 = 0, ts = now(), tz = now(), d = now(), tm = now(), iv = '1s', c5 = '',
      v = '', ch = NULL, bo = true, u = NULL, ip = '::1', mo = 0, m = 'sad', p = NULL, ps = '{}', s = 'x', r = 'empty',
      tv = NULL, bi = '000', x = NULL, t = NULL, pt = NULL, nm = 'x', oi = NULL]] },
    ["digits that make no other value"] = { "kinds", [[UPDATE kinds SET n = 1.5, jb = '{"n": 1.5, "big": 1}',
      j = '{"b": 1.0}' WHERE id = 1]] },
    ["settings that the fix makes"] = { "kinds", [[SET LOCAL DateStyle = 'German'; SET LOCAL TimeZone = 'Asia/Tokyo';
      SET LOCAL IntervalStyle = 'sql_standard'; SET LOCAL extra_float_digits = 0; SET LOCAL bytea_output = 'escape';
      UPDATE kinds SET n = 7]] },
    ["cascades"] = { "parents", [[DELETE FROM parents WHERE id = 1;
      UPDATE parents SET id = id + 10, code = 'x' || code]], '"parents", "children"' },
    ["children that were given to a new parent"] = { "children", [[
      INSERT INTO parents SELECT current_setting('app.current_tenant_id'), 7, 'c7';
      UPDATE children SET parent = 7, code = 'c7'; DELETE FROM parents WHERE id < 7]], '"parents", "children"' },
    ["a tree that refers to itself"] = { "trees", "DELETE FROM trees" },
    ["keys that were shifted, swapped and taken by others"] = { "parents", [[
      DELETE FROM children; UPDATE parents SET id = id + 100; UPDATE parents SET id = id - 99;
      UPDATE parents SET id = 99 WHERE id = 2; UPDATE parents SET id = 2 WHERE id = 3;
      UPDATE parents SET id = 3 WHERE id = 99; DELETE FROM parents WHERE code = 'c3';
      INSERT INTO parents SELECT current_setting('app.current_tenant_id'), 55, 'c3']], '"parents", "children"' },
    ["unique values that went from row to row"] = { "mails", [[DELETE FROM mails WHERE id = 5;
      UPDATE mails SET mail = 'M5' WHERE id = 1; UPDATE mails SET mail = 'm1' WHERE id = 2;
      UPDATE mails SET mail = 'm2' WHERE id = 3; INSERT INTO mails VALUES ('acme', 6, 'm3')]] },
    ["unique values and ranges that were swapped"] = { "mails", [[
      UPDATE mails SET mail = 'x', during = '[90,91)' WHERE id = 1;
      UPDATE mails SET mail = 'm1', during = '[1,2)' WHERE id = 2; UPDATE mails SET mail = 'm2' WHERE id = 1;
      UPDATE mails SET mail = 'y' WHERE id = 3; UPDATE mails SET mail = 'm3' WHERE id = 4;
      UPDATE mails SET mail = 'm4' WHERE id = 3]] },
    ["unique values that were swapped where nothing refers to the rows"] = { "parents", [[DELETE FROM children;
      UPDATE parents SET code = 'tmp' WHERE id = 1; UPDATE parents SET code = 'c1' WHERE id = 2]],
      '"parents", "children"' },
    ["rows that went to another partition"] = { "parts", "UPDATE parts SET region = 'b' WHERE id > 1" },
    ["generated columns"] = { "made", [[UPDATE made SET n = n + 1; DELETE FROM made WHERE n = 2;
      INSERT INTO made (tenant_id, n) SELECT current_setting('app.current_tenant_id'), 50]] },
    ["tables that inherit"] = { "olds", "UPDATE olds SET t = t || '!'; DELETE FROM youngs" },
    ["names that need quotes"] = { [["Odd {s}"."T ""%s' {t}"]],
      [[UPDATE "Odd {s}"."T ""%s' {t}" SET "ÄÖ, '%I" = NULL]], [=[ [["Odd {s}"."T ""%s' {t}"]] ]=] },
    ["what triggers have counted"] = { "counts", [[INSERT INTO notes VALUES ('acme', 3, 'c');
      DELETE FROM notes WHERE id < 3]], '"notes", "counts"' },
    ["DO blocks, upserts and MERGE"] = { "customers", [[
      DO $$ BEGIN FOR i IN 1..3 LOOP UPDATE customers SET status = status || i; END LOOP;
        BEGIN DELETE FROM customers; RAISE 'no'; EXCEPTION WHEN others THEN NULL; END; END $$;
      INSERT INTO customers SELECT current_setting('app.current_tenant_id'), g, 'up' FROM generate_series(3, 5) g
        ON CONFLICT (tenant_id, id) DO UPDATE SET status = 'up'; ]] },
  }
  local many_db, many_folder = project("", more)
  if tonumber(helper.value(many_db, "SELECT current_setting('server_version_num')")) >= 150000 then
    cases["DO blocks, upserts and MERGE"][2] = cases["DO blocks, upserts and MERGE"][2] .. [[
      MERGE INTO customers c USING (VALUES (1), (8)) v(id) ON c.id = v.id WHEN MATCHED THEN DELETE
        WHEN NOT MATCHED THEN INSERT VALUES (current_setting('app.current_tenant_id'), v.id)]]
  end

  local everything = { "customers", "kinds", "parents", "children", "mails", "trees", "parts", "made",
    "ONLY olds", "youngs", [["Odd {s}"."T ""%s' {t}"]], "counts", "notes" }

  for name, case in pairs(cases) do
    it("bring back " .. name, function()
      local before = rows_of(many_db, table.unpack(everything))
      helper.write(many_folder .. "/fixes/mend.lua", sql_fix(case[2], case[3] or ('"%s"'):format(case[1])))
      succeeds(many_folder, "run mend --tenant acme --undo-log --reason r")
      assert.are_not.equal(before, rows_of(many_db, table.unpack(everything)))
      local undone = succeeds(many_folder, "undo mend --all-tenants")
      assert.are.equal(before, rows_of(many_db, table.unpack(everything)))
      assert.falsy(undone.err:find("WARN", 1, true), undone.err)
    end)
  end
end)
