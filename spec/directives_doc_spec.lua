-- doc/directives.md: every directive and argument is in it, its examples make the SQL that it shows, and PostgreSQL
-- takes the locks that it names.

local helper = require "spec.helper"
local step = require "spec.step"

local sections, order = {}, {}

local function parts_of(text)
  return { text = text, lua = text:match "```lua\n(.-)```", sql = text:match "```sql\n(.-)```",
    lock = text:match "\nLock: (.-)[.\n]?\n" }
end

do
  local lines, name
  for line in (helper.read(helper.root .. "/doc/directives.md") .. "\n## \n"):gmatch "([^\n]*)\n" do
    if line:find "^##" and name then
      sections[name], name = parts_of(table.concat(lines, "\n") .. "\n"), nil
    end
    if line:find "^### " then
      name, lines = line:match "^### ([%w_]+)", {}
      order[#order + 1] = name
    end
    if name then lines[#lines + 1] = line end
  end
end

-- PostgreSQL's modes of a table's lock, from the weakest.
local modes = { ["ACCESS SHARE"] = 1, ["ROW SHARE"] = 2, ["ROW EXCLUSIVE"] = 3, ["SHARE UPDATE EXCLUSIVE"] = 4,
  SHARE = 5,
  ["SHARE ROW EXCLUSIVE"] = 6, EXCLUSIVE = 7, ["ACCESS EXCLUSIVE"] = 8 }

describe("doc/directives.md", function()
  it("has every directive of Alembic's, with each argument", function()
    local signatures = {}
    for name, signature in pairs(require "dmlua.signatures") do signatures[name] = signature end
    signatures.bulk_insert = require("dmlua.bulk").signature
    signatures.batch_alter_table = require("dmlua.batch").signature
    for _, name in ipairs { "execute", "inline_literal", "f", "get_bind", "get_context", "register_operation",
      "implementation_for", "invoke" } do
      signatures[name] = {}
    end
    for name, signature in pairs(signatures) do
      assert.truthy(sections[name], name)
      local words = {}
      for word in sections[name].text:gmatch "[%w_]+" do words[word] = true end
      for _, parameter in ipairs(signature) do
        assert.is_true(words[parameter[1]] ~= nil, name .. ": " .. parameter[1])
      end
      for option in pairs(signature.options or {}) do assert.is_true(words[option] ~= nil, name .. ": " .. option) end
    end
  end)

  local function normalised(text)
    return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
  end

  for _, name in ipairs(order) do
    local section = sections[name]
    if section.sql then
      it("shows the SQL that its example of " .. name .. " makes", function()
        local kept = {}
        for _, text in ipairs(step.statements(section.lua)) do
          if not text:find "^DO " then kept[#kept + 1] = text end
        end
        assert.equal(normalised(section.sql), normalised(table.concat(kept, "; ")))
      end)
    end
  end

  describe("on a server", function()
    local connection

    setup(function()
      connection = helper.connect(helper.database().owner)
      connection:exec [[
        CREATE TABLE customers (id integer PRIMARY KEY, tenant_id text, name text);
        CREATE TABLE orders (id integer, tenant_id text, customer_id integer, code text, status text,
          amount numeric CONSTRAINT ck_orders_amount CHECK (amount >= 0), during tstzrange, closed_at timestamptz);
        CREATE INDEX ix_orders_status ON orders (status)]]
    end)

    -- The strongest lock that this transaction holds on a table.
    local function held(oid)
      local strongest = "none"
      for _, row in ipairs(connection:exec("SELECT mode FROM pg_locks WHERE pid = pg_backend_pid()"
        .. " AND locktype = 'relation' AND relation = $1::oid", { oid }).rows) do
        local mode = row.mode:gsub("Lock$", ""):gsub("(%l)(%u)", "%1 %2"):upper()
        if (modes[mode] or 0) > (modes[strongest] or 0) then strongest = mode end
      end
      return strongest
    end

    for _, name in ipairs(order) do
      local section = sections[name]
      if section.lock then
        it("takes the lock that is named for " .. name, function()
          local mode, rest = section.lock:match "^`([%u ]+)` on (.*)$"
          local expected = { orders = mode or "none" }
          if mode then
            expected = { [rest:match "^`(%w+)`"] = mode, [rest:match "and on `(%w+)`" or rest:match "^`(%w+)`"] = mode }
          end
          for table_name, lock in pairs(expected) do
            local oid = connection:exec("SELECT $1::regclass::oid AS oid", { table_name }).rows[1].oid
            connection:exec "BEGIN"
            step.run(step.runner(connection), section.lua)
            assert.equal(lock, held(oid))
            connection:exec "ROLLBACK"
          end
        end)
      end
    end

    after_each(function() connection:exec "ROLLBACK" end)
  end)
end)
