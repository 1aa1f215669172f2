-- doc/fixes.md: every command prints what stands there, with the file that stands there.

local helper = require "spec.helper"

local text = helper.read(helper.root .. "/doc/fixes.md")

local schema = [[
  CREATE TABLE tenants (id text PRIMARY KEY);
  INSERT INTO tenants VALUES ('acme'), ('globex'), ('initech');
  CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL, status text NOT NULL);
  INSERT INTO customers (tenant_id, status) SELECT tenant, 'pending' FROM
    unnest(ARRAY['acme', 'acme', 'globex', 'initech', 'initech', 'initech', 'initech']) AS tenant;
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  ALTER TABLE customers FORCE ROW LEVEL SECURITY;
  CREATE POLICY isolation ON customers
    USING (tenant_id = (SELECT nullif(current_setting('app.current_tenant_id', true), '')));
  GRANT SELECT, UPDATE ON customers TO app;
]]

-- "…" stands for anything on its line.
local function pattern_of(expected)
  return "^" .. expected:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("…", "[^\n]*") .. "$"
end

describe("doc/fixes.md", function()
  it("shows what the program prints", function()
    local db = helper.database()
    helper.execute(db.owner, schema)
    local folder = helper.project { database = db,
      settings = { app_role = "app", tenants_query = "SELECT id FROM tenants ORDER BY id" } }
    local count = 0
    for block in text:gsub("\n```lua\n.-```", ""):gmatch "\n```\n(.-)```" do
      for command, expected in ("\n" .. block):gsub("\n%$ ", "\n\0"):gmatch "%z([^\n]*)\n([^%z]*)" do
        local result = helper.run("/bin/sh", { "-c", command .. " 2>&1" },
          { cwd = folder, env = { PATH = helper.build .. ":" .. os.getenv "PATH" } })
        assert(result.out:find(pattern_of(expected)),
          ("%s prints\n%s\nand not\n%s"):format(command, result.out, expected))
        count = count + 1
      end
      helper.write(folder .. "/fixes/activate_pending.lua", text:match "\n```lua\n(.-)```")
    end
    assert.are.equal(12, count)
  end)
end)
