-- `history --graph`, `--dot` and `--mermaid`: the pictures in spec/fixtures/drawing, and what they look like where.
-- DMLUA_SPEC_WRITE=1 writes the pictures anew, to be looked at.

local helper = require "spec.helper"
local diagram = require "dmlua.diagram"
local drawing = require "dmlua.drawing"
local graph = require "dmlua.engine.graph"

local folder = helper.root .. "/spec/fixtures/drawing/"

-- id, parents, message, and more fields.
local function revision(id, down, message, more)
  local it = { revision = id, down_revision = down, message = message or "Revision " .. id }
  for key, value in pairs(more or {}) do it[key] = value end
  return it
end

local function criss_cross(count)
  local list = { revision "root" }
  local left, right = "root", "root"
  for i = 1, count do
    list[#list + 1] = revision("left" .. i, i == 1 and "root" or { left, right })
    list[#list + 1] = revision("right" .. i, i == 1 and "root" or { right, left })
    left, right = "left" .. i, "right" .. i
  end
  return list
end

local trees = {
  fork = {
    revision("3f2a91c04d5e", nil, "Create customers"), revision("77be40d1a2c3", "3f2a91c04d5e", "Create orders"),
    revision("b81e6a30c9d2", "77be40d1a2c3", "Create invoices", { branch_labels = "billing" }),
    revision("c4d5e6f7a8b9", "b81e6a30c9d2", "Number invoices"),
    revision("9ac4d2e81b7f", "77be40d1a2c3", "Index orders", { branch_labels = { "web", "shop" } }),
  },
  merge_of_five = {
    revision("root"), revision("one", "root"), revision("two", "root"), revision("three", "root"),
    revision("four", "root"), revision("five", "root"), revision("five_b", "five"),
    revision("all", { "one", "two", "three", "four", "five_b" }, "Merge five"), revision("after", "all"),
  },
  merge_beside_others = {
    revision("root"), revision("a", "root"), revision("b", "root"), revision("c", "root"), revision("x", "root"),
    revision("y", "root"), revision("abc", { "a", "b", "c" }, "Merge three"), revision("x2", "x"), revision("y2", "y"),
    revision("end", { "abc", "x2", "y2" }),
  },
  criss_cross = criss_cross(4),
  three_roots = {
    revision("a1"), revision("a2", "a1"), revision("b1"), revision("b2", "b1"), revision("c1"), revision("c2", "c1"),
    revision("ab", { "a2", "b2" }, "Merge two histories"),
  },
  depends_on = {
    revision("u1", nil, "Create users", { branch_labels = "users" }), revision("u2", "u1", "Names of users"),
    revision("o1", nil, "Create orders", { branch_labels = "orders", depends_on = "users" }),
    revision("o2", "o1", "Orders have users", { depends_on = { "u2" } }),
  },
  far = {
    revision("root"), revision("a", "root"), revision("b", "root"), revision("c", "root"), revision("d", "root"),
    revision("e", "root"), revision("m", { "e", "a" }), revision("n", { "d", "m", "b" }), revision("o", { "c", "n" }),
  },
  columns_80 = {
    revision("a", nil, ("A message that is far too long for a line "):rep(3)),
    revision("b", "a", ("Größe "):rep(20)), revision("c", "a", ("漢字"):rep(30)),
    revision("d", { "b", "c" }, "Fits", { branch_labels = "x" }),
    revision(("long"):rep(25), "d", "No room", { branch_labels = "label" }),
    revision("e", "d", "Marks", { branch_labels = { ("many"):rep(10), ("names"):rep(10) } }),
    revision("f", nil, "Control\27[31m characters\tand \194\133 more"),
  },
}

local function described(list, limit)
  local tree = graph.new(list)
  local records = {}
  for i, id in ipairs(tree:history()) do
    if not limit or i <= limit then records[i] = tree:describe(id) end
  end
  return records, tree
end

local function resolver(tree)
  return function(it)
    local found = {}
    for i, name in ipairs(it.depends_on) do found[i] = tree:resolve(name)[1] end
    return found
  end
end

local function check_text(file, text)
  if os.getenv "DMLUA_SPEC_WRITE" then helper.write(folder .. file, text) end
  assert.equal(helper.read(folder .. file), text)
end

local function picture(name, kind)
  local records, tree = described(trees[name])
  local current = name == "fork" and { ["77be40d1a2c3"] = true } or name == "depends_on" and { u2 = true } or nil
  local lines
  if kind == "graph" then
    lines = drawing.lines(records, { width = 80, current = current })
  else
    lines = diagram[kind](records, { current = current, dependencies = resolver(tree) })
  end
  return table.concat(lines, "\n") .. "\n"
end

local function check(name, kind)
  check_text(name .. "." .. kind, picture(name, kind))
end

local names = {}
for name in pairs(trees) do names[#names + 1] = name end
table.sort(names)

describe("history --graph", function()
  for _, name in ipairs(names) do
    it("draws " .. name:gsub("_", " "), function() check(name, "graph") end)
  end

  -- By the character of a line: does it go on in the row below? `at(d)` is the character there, d columns to the right.
  local goes_on = {
    ["|"] = function(at) return at(0):find "[|*]" or at(-1) == "/" or at(1) == "\\" end,
    ["\\"] = function(at) return at(1):find "[|*]" or at(2) == "\\" or at(0) == "/" end,
    ["/"] = function(at) return at(-1):find "[|*]" or at(-2) == "/" or at(0) == "\\" end,
  }

  it("leaves no line without an end, in whatever tree", function()
    math.randomseed(7)
    for _ = 1, 60 do
      local list, size = {}, math.random(2, 30)
      for i = 1, size do
        local parents = {}
        for _ = 1, math.random(0, 4) do
          local parent = "r" .. math.random(math.max(1, i - 9), i)
          if parent ~= "r" .. i then parents[parent] = true end
        end
        local down = {}
        for parent in pairs(parents) do down[#down + 1] = parent end
        table.sort(down)
        list[i] = revision("r" .. i, down, "")
      end
      local rows = drawing.lines(described(list), {})
      for y, row in ipairs(rows) do rows[y] = row:gsub(" r%d+.*$", "") end
      for y = 1, #rows - 1 do
        for x = 1, #rows[y] do
          local goes = goes_on[rows[y]:sub(x, x)]
          local function at(d) return rows[y + 1]:sub(x + d, x + d) end
          assert.is_truthy(not goes or goes(at), ("row %d, %d:\n%s"):format(y, x, table.concat(rows, "\n")))
        end
      end
    end
  end)

  it("draws the lines of revisions that are there alone", function()
    local lines = drawing.lines(described(trees.fork, 2), {})
    assert.same({ "* c4d5e6f7a8b9 (head, billing) Number invoices", "* b81e6a30c9d2 (billing) Create invoices" }, lines)
  end)

  it("draws the line to a baseline that the file names by what it replaces", function()
    local records = described {
      revision("new", nil, "Baseline", { replaces = { "old", "older" }, replaced_heads = { "old" } }),
      revision("next", "old"), revision("fork", "old"), revision("joined", { "fork", "next" }),
    }
    assert.same({ "* joined (head) Revision joined", "|\\", "* | fork Revision fork", "| * next Revision next", "|/",
      "* new (base) Baseline" }, drawing.lines(records, {}))
  end)

  it("takes time in proportion to the revisions", function()
    local list = { revision("r0", nil, "") }
    for i = 1, 9999, 3 do
      list[#list + 1] = revision("r" .. i, "r" .. i - 1, "")
      list[#list + 1] = revision("r" .. i + 1, "r" .. i - 1, "")
      list[#list + 1] = revision("r" .. i + 2, { "r" .. i, "r" .. i + 1 }, "")
    end
    local records = described(list)
    local steps = 0
    debug.sethook(function() steps = steps + 1 end, "", 1000)
    local lines = drawing.lines(records, { width = 80 })
    debug.sethook()
    assert.equal(3333 * 5 + 1, #lines)
    assert.is_true(steps < 10000, steps .. " thousand instructions")
  end)
end)

describe("history --dot and --mermaid", function()
  for _, name in ipairs { "fork", "depends_on", "three_roots" } do
    for _, kind in ipairs { "dot", "mermaid" } do
      it(("print %s as %s"):format(name:gsub("_", " "), kind), function() check(name, kind) end)
    end
  end

  local odd = { revision('a"b\\', nil, 'Say "x" <b>&amp; `y`; # \\N\nz') }

  it("escape what would end a text or mean something else", function()
    local records, tree = described(odd)
    local options = { dependencies = resolver(tree) }
    assert.equal([[  "a\"b\\" [label="a\"b\\\n(head)\nSay \"x\" <b>&amp; `y`; # \\N z", style="bold"];]],
      diagram.dot(records, options)[4])
    assert.equal('  r1["a#34;b#92;<br/>(head)<br/>Say #34;x#34; #60;b#62;#38;amp#59; #96;y#96;#59; #35; #92;N z"]',
      diagram.mermaid(records, options)[2])
  end)
end)

describe("the picture of a tree", function()
  local project

  local function dmlua(arguments, env)
    if not project then
      project = helper.project {
        versions = {
          { revision = "a", message = ("word "):rep(40) }, { revision = "b", down = "a", labels = "web" },
          { revision = "c", down = "a" }, { revision = "d", down = { "b", "c" } },
        },
      }
    end
    return helper.dmlua(arguments, { cwd = project, env = env })
  end

  -- What a person sees: the program on a terminal of its own, by script(1) of Debian's bsdutils.
  local function on_terminal(arguments, env)
    dmlua "heads"
    env = env or {}
    env.TERM = env.TERM or "xterm"
    local command = ("stty cols %s; exec %s %s"):format(env.WIDE or 80, helper.quote(helper.program), arguments)
    local result = helper.run("script", { "-qec", command, "/dev/null" }, { cwd = project, env = env })
    assert.equal(0, result.code, result.out .. result.err)
    return (result.out:gsub("\r", ""))
  end

  after_each(function() project = nil end)

  it("has 80 columns where nothing says otherwise, else those of COLUMNS or of the terminal", function()
    check_text("project.graph", dmlua("history --graph").out)
    assert.matches("\n%* a %(base%) word word wo…\n$", dmlua("history --graph", { COLUMNS = "24" }).out)
    assert.matches("\n%* a %(base%) word word w…\n$", on_terminal("history --graph --no-color", { WIDE = "23" }))
  end)

  it("has colours on a terminal, unless --no-color, NO_COLOR or a dumb terminal says no", function()
    assert.matches("\27%[33md\27%[m\27%[1;32m %(head, web%)\27%[m d\n\27%[31m|\27%[m\27%[32m\\\27%[m\n",
      on_terminal "history --graph")
    local plain = dmlua("history --graph").out
    assert.equal(plain, on_terminal "history --graph --no-color")
    assert.equal(plain, on_terminal("history --graph", { NO_COLOR = "1" }))
    assert.equal(plain, on_terminal("history --graph", { TERM = "dumb" }))
  end)

  it("shows blocks with -v, a range with -r, and some with -n", function()
    check_text("blocks.graph", dmlua("history --graph -v -r a:").out)
    assert.equal("* d (head, web) d\n", dmlua("history --graph -n 1").out)
    assert.equal("* c c\n", dmlua("history --graph -r :c").out:match "^.-\n")
  end)

  it("excludes another picture, --reverse and --json", function()
    for _, words in ipairs { "--graph --dot", "--dot --mermaid", "--graph --reverse", "--mermaid --json" } do
      local result = dmlua("history " .. words)
      assert.equal(2, result.code)
      assert.matches("exclude each other", result.err .. result.out, 1, true)
    end
  end)

  it("is a graph of Graphviz or Mermaid's flowchart", function()
    assert.matches('\n  "b" -> "d";\n', dmlua("history --dot").out, 1, true)
    assert.matches("^flowchart BT\n.*\n  r2 %-%-> r1\n", dmlua("history --mermaid").out)
  end)
end)
