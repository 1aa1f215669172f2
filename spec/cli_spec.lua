-- The command line: verbs, options, exit codes; verbs that need no database.

local helper = require "spec.helper"
local cjson = require "cjson"

-- Every error of the command line is exit 2, FAILED: on stderr, nothing on stdout.
local function usage_error(arguments, options)
  local result = helper.dmlua(arguments, options)
  assert.are.equal(2, result.code)
  assert.are.equal("", result.out)
  assert.matches("^FAILED: ", result.err)
  return result.err
end

local function has(text, part)
  assert(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

describe("the command line", function()
  it("lists every verb in --help", function()
    local result = helper.dmlua "--help"
    assert.are.equal(0, result.code)
    for _, row in ipairs(require("dmlua.verbs").list) do
      assert.matches("\n  " .. row[1] .. " +%l", result.out)
    end
  end)

  it("has Alembic's verbs with their flags, but for what this version says it has not got", function()
    local flags = {
      init = "-t --template", list_templates = "", ensure_version = "--widen",
      revision = "-m --message --head --splice --branch-label --version-path --rev-id --depends-on --no-hooks",
      merge = "-m --message --branch-label --rev-id --splice --no-hooks", upgrade = "", downgrade = "",
      stamp = "--purge", current = "--check-heads", heads = "--resolve-dependencies --single", branches = "",
      history = "-r --rev-range -i --indicate-current --reverse -n --limit --graph --dot --mermaid",
      show = "", edit = "",
    }
    for verb, names in pairs(flags) do
      local help = helper.dmlua { verb, "--help" }
      assert.are.equal(0, help.code)
      for name in (names .. " -v --verbose"):gmatch "%S+" do
        assert(help.out:find("%f[%S]" .. name:gsub("%p", "%%%0") .. "%f[^%w-]"), verb .. " has no " .. name)
      end
    end
  end)

  it("has for every verb a file whose name and summary are those of the list", function()
    local listed = helper.dmlua("--help").out
    for _, row in ipairs(require("dmlua.verbs").list) do
      local result = helper.dmlua { row[1], "--help" }
      assert.are.equal(0, result.code)
      has(result.out, "Usage: dmlua [global options] " .. row[1])
      has(listed, row[2])
    end
  end)

  it("names the versions of the program, of Lua, libpq, libpg_query and of the servers", function()
    local result = helper.dmlua "--version"
    assert.are.equal(0, result.code)
    assert.matches("^dmlua %d+%.%d+%.%d+ %(Lua 5%.4%.%d+, libpq %d+%.%d+, libpg_query %d+[^;]*; "
      .. "PostgreSQL servers 13 to 18%)\n$", result.out)
  end)

  it("says so, and fails, where its results cannot be written, be they few or many", function()
    local folder = helper.folder()
    helper.write(folder .. "/dmlua.ini", "[dmlua]\nurl = local:\nscript_location = .\n")
    for i = 1, 100 do
      helper.write(("%s/versions/r%d.lua"):format(folder, i), ("-- %s\nrevision = 'r%d'\ndown_revision = %s\n"
        .. "function upgrade() end\n"):format(("x"):rep(200), i, i > 1 and ("'r%d'"):format(i - 1) or "nil"))
    end
    for _, words in ipairs { "--version", "history", "history --json" } do
      local result = helper.run("sh", { "-c", ("exec %s %s >/dev/full"):format(helper.quote(helper.program), words) },
        { cwd = folder })
      assert.are.equal(2, result.code, words)
      assert.matches("^FAILED: standard output could not be written: ", result.err)
    end
  end)

  it("suggests the nearest verb for one that there is not", function()
    has(usage_error "upgrde head", "unknown verb 'upgrde' (did you mean 'upgrade'?)")
  end)

  it("says of a verb that is to come that it is not there yet", function()
    has(usage_error "validate isolation", "the verb 'validate' is not there yet")
    has(usage_error "check", "the verb 'check' is not there yet")
    has(usage_error "check", "hint: `dmlua current --check-heads` is exit 3 unless all revisions ran")
  end)

  it("refuses a line without a verb and says how to list them", function()
    has(usage_error "", "no verb given")
    has(usage_error "-q", "`dmlua --help` lists the verbs")
  end)

  it("suggests the nearest option of the verb", function()
    has(usage_error "upgrade head --no-wiat", "unknown option '--no-wiat' (did you mean '--no-wait'?)")
  end)

  it("suggests the nearest global option in front of the verb", function()
    has(usage_error "--servce isp current", "unknown option '--servce' (did you mean '--service'?)")
  end)

  it("answers Alembic's options that it has not with its own way", function()
    has(usage_error "--raiseerr upgrade head", "traceback")
    has(usage_error "upgrade head --raiseerr", "traceback")
    has(usage_error "-n isp upgrade head", "--service NAME")
    has(usage_error "upgrade -n isp head", "--service NAME")
    has(usage_error "init --package migrations", "there is no option '--package'")
    has(usage_error "history -n x", "-n takes a number above 0, not 'x'")
  end)

  it("says which flags are not there yet and does not pass over them", function()
    for _, words in ipairs { "downgrade -1 --dry-run", "upgrade head --tag x",
      "revision --autogenerate" } do
      has(usage_error(words), words:match " (%-+%a+)")
    end
  end)

  it("names the argument that is missing and the one that is too much", function()
    has(usage_error "upgrade", "missing argument 'revision'")
    has(usage_error "upgrade a b", "too many arguments")
    has(usage_error "upgrade head --reason", "requires an argument")
    has(usage_error "-c", "option '-c' requires an argument")
    has(usage_error "upgrade head --lock-wait -1", "--lock-wait takes seconds, not '-1'")
  end)

  it("writes an error of the command line as JSON on stdout where --json stands anywhere", function()
    for _, words in ipairs { "--json upgrde", "upgrde --json", "upgrade --json --nope" } do
      local result = helper.dmlua(words)
      assert.are.equal(2, result.code)
      assert.are.equal("usage", cjson.decode(result.out).error.kind)
    end
  end)
end)

-- A tree with a branch, a merge, labels: a - b - c (sales) - e, b - d (support) - e.
local function tree()
  return helper.project {
    versions = {
      { revision = "a1", message = "Create customers" },
      { revision = "b1", down = "a1", message = "Create services" },
      { revision = "c1", down = "b1", labels = "sales", message = "Create orders" },
      { revision = "d1", down = "b1", labels = "support", message = "Create tickets" },
      { revision = "e1", down = { "c1", "d1" }, message = "Merge" },
    },
  }
end

-- The program in a folder; its exit code must be `code` (0).
local function dmlua(folder, words, code)
  local result = helper.dmlua(words, { cwd = folder })
  assert(result.code == (code or 0), ("exit %d\n%s%s"):format(result.code, result.out, result.err))
  return result
end

describe("--json", function()
  it("is UTF-8 whatever the words and the files are, in results and in errors", function()
    local folder = helper.project { versions = { { revision = "a1", message = "caf\xe9 caf\xc3\xa9 \"\\" } } }
    local result = helper.dmlua({ "--json", "show", "\xff\xc3\xa9" }, { cwd = folder })
    assert(utf8.len(result.out), result.out)
    assert.equal("Can't locate revision identified by '\xc3\xbf\xc3\xa9'", cjson.decode(result.out).error.message)
    local out = dmlua(folder, "--json heads").out
    assert(utf8.len(out), out)
    assert.equal("caf\xc3\xa9 caf\xc3\xa9 \"\\", cjson.decode(out).heads[1].message)
  end)
end)

describe("the verbs that list revisions", function()
  it("print Alembic's lines", function()
    local folder = tree()
    assert.equal("e1 (sales, support) (head)\n", dmlua(folder, "heads").out)
    assert.equal("b1 (branchpoint)\n   -> c1 (sales)\n   -> d1 (support)\n\n", dmlua(folder, "branches").out)
    assert.equal([[
c1, d1 -> e1 (sales, support) (head) (mergepoint), Merge
b1 -> c1 (sales), Create orders
b1 -> d1 (support), Create tickets
a1 -> b1 (branchpoint), Create services
<base> -> a1, Create customers
]], dmlua(folder, "history").out)
    assert.equal([[
Rev: b1 (branchpoint)
Parent: a1
Branches into: c1, d1
Path: versions/b1.lua

    Create services
....
    Revision ID: b1

]], (dmlua(folder, "show b1").out:gsub("\n    \n", "\n....\n")))
  end)

  it("show the control characters of a comment, and send none to the terminal", function()
    local folder = helper.project { versions = { { revision = "a1", message = "x\27[2J \xc2\x9b1A \xc3\xa9" } } }
    assert.equal("<base> -> a1 (head), x\\x1b[2J \\x9b1A \xc3\xa9\n", dmlua(folder, "history").out)
    assert(not dmlua(folder, "show a1").out:find "\27")
  end)

  it("take a range, an order and a limit", function()
    local folder = tree()
    assert.equal("a1 -> b1 (branchpoint), Create services\n<base> -> a1, Create customers\n",
      dmlua(folder, "history -r :b1").out)
    assert.equal("<base> -> a1, Create customers\n", dmlua(folder, "history --reverse -n 1").out)
    has(usage_error("history -r b1", { cwd = folder }), "History range requires [start]:[end], [start]:, or :[end]")
  end)

  it("print blocks with -v", function()
    assert.matches("^Rev: e1 %(head%) %(mergepoint%)\nMerges: c1, d1\n", dmlua(tree(), "heads -v").out)
  end)

  it("print one JSON document with --json", function()
    local folder = tree()
    local heads = cjson.decode(dmlua(folder, "heads --json").out).heads
    assert.same({ "e1", "Merge", "versions/e1.lua", true }, { heads[1].revision, heads[1].message, heads[1].path,
      heads[1].head })
    assert.same({ "c1", "d1" }, heads[1].down_revision)
    assert.equal(5, #cjson.decode(dmlua(folder, "--json history").out).history)
    assert.same({ "c1", "d1" }, cjson.decode(dmlua(folder, "branches --json").out).branches[1].children)
    assert.equal("b1", cjson.decode(dmlua(folder, "show b1 --json").out).revisions[1].revision)
  end)

  it("let heads --single be exit 3 where there are several, with the merge to type", function()
    local folder = helper.project { versions = { { revision = "a1" }, { revision = "b1" } } }
    local result = dmlua(folder, "heads --single", 3)
    assert.equal("a1 (head)\nb1 (head)\n", result.out)
    has(result.err, "dmlua merge -m MESSAGE a1 b1")
    dmlua(tree(), "heads --single")
  end)

  it("refuse an identifier that there is not, with Alembic's words and the nearest one", function()
    local err = usage_error("show b2", { cwd = tree() })
    has(err, "Can't locate revision identified by 'b2'")
  end)
end)

describe("plan", function()
  it("names the steps and the heads afterwards, and with --from reads no database", function()
    local folder = tree()
    assert.equal([[
upgrade <base> -> a1, Create customers
upgrade a1 -> b1, Create services
2 steps; heads afterwards: b1
]], dmlua(folder, "plan upgrade b1 --from base").out)
    assert.equal("downgrade b1 -> a1, Create services\n1 step; heads afterwards: a1\n",
      dmlua(folder, "plan downgrade -1 --from b1").out)
    assert.equal("nothing to do; heads afterwards: b1\n", dmlua(folder, "plan upgrade b1 --from b1").out)
    assert.equal("stamp <base> -> c1, Create orders\n1 step; heads afterwards: c1\n",
      dmlua(folder, "plan stamp c1 --from base").out)
  end)

  it("starts from several revisions", function()
    assert.equal("upgrade c1, d1 -> e1, Merge\n1 step; heads afterwards: e1\n",
      dmlua(tree(), "plan upgrade head --from c1,d1").out)
  end)

  it("takes numbers as they are typed, before and after other words", function()
    local folder = tree()
    assert.matches("\n2 steps; heads afterwards: b1\n", dmlua(folder, "plan upgrade +2 --from base").out)
    assert.matches("1 step; heads afterwards: c1\n", dmlua(folder, "plan --from b1 upgrade sales@+1").out)
    assert.matches("1 step; heads afterwards: <base>\n", dmlua(folder, "plan downgrade --from a1 -1").out)
  end)

  it("prints the shape that other programs read", function()
    local document = cjson.decode(dmlua(tree(), "--json plan upgrade +1 --from a1").out)
    assert.same({
      command = "upgrade", target = "+1", heads = { "b1" },
      steps = { { revision = "b1", direction = "upgrade", down_revision = { "a1" }, message = "Create services",
        path = "versions/b1.lua" } },
    }, document)
  end)

  it("takes a range, as --sql does", function()
    assert.equal("upgrade a1 -> b1, Create services\n1 step; heads afterwards: b1\n",
      dmlua(tree(), "plan upgrade a1:b1 --sql").out)
  end)
end)

describe("revision", function()
  local lfs = require "lfs"

  local function files(folder)
    local names = {}
    for name in lfs.dir(folder .. "/versions") do
      if name:find "%.lua$" then names[#names + 1] = name end
    end
    table.sort(names)
    return names
  end

  it("writes a file upon the head, with an identifier of its own, which loads", function()
    local folder = tree()
    local out = dmlua(folder, { "revision", "-m", "Add invoices" }).out
    local path, id = out:match "^Generating (versions/(%x+)_add_invoices%.lua) %.%.%.  done\n$"
    assert(id and #id == 12, out)
    local text = helper.read(folder .. "/" .. path)
    assert.matches('^%-%- Add invoices\n%-%-\n%-%- Revision ID: ' .. id .. '\n%-%- Revises: e1\n'
      .. '%-%- Create Date: %d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d\n', text)
    has(text, ('revision = "%s"\ndown_revision = "e1"\nbranch_labels = nil\ndepends_on = nil\n'):format(id))
    assert.equal(id .. " (sales, support) (head)\n", dmlua(folder, "heads").out)
  end)

  it("writes what it is told: identifier, parent, label, dependency, template", function()
    local folder = tree()
    helper.write(folder .. "/script.lua.in", "revision = ${revision_value}\ndown_revision = ${down_revision_value}\n"
      .. "branch_labels = ${branch_labels_value}\ndepends_on = ${depends_on_value}\n-- ${message}\n")
    dmlua(folder, { "revision", "-m", "x", "--rev-id", "f1", "--head", "b1", "--splice", "--branch-label", "new",
      "--depends-on", "c1", "--depends-on", "d1" })
    assert.equal('revision = "f1"\ndown_revision = "b1"\nbranch_labels = "new"\ndepends_on = { "c1", "d1" }\n-- x\n',
      helper.read(folder .. "/versions/f1_x.lua"))
    dmlua(folder, { "revision", "--rev-id", "g1", "--head", "base" })
    has(helper.read(folder .. "/versions/g1_.lua"), "down_revision = nil\n")
  end)

  it("escapes what it writes, so that no message and no identifier can be code", function()
    local folder = tree()
    dmlua(folder, { "revision", "-m", 'one\nos.exit(7) "]]', "--rev-id", "h1]]" })
    assert.equal("h1]] (sales, support) (head)\n", dmlua(folder, "heads").out)
    assert.matches('^Rev: h1%]%] .*\n    one\n    os%.exit%(7%) "%]%]\n', dmlua(folder, "show head").out)
  end)

  it("names an unknown token of a template by file and line", function()
    local folder = tree()
    helper.write(folder .. "/script.lua.in", "\n-- ${mesage}\n")
    local err = usage_error({ "revision", "-m", "x" }, { cwd = folder })
    has(err, "unknown token '${mesage}' (did you mean 'message'?)")
    has(err, "script.lua.in:2")
    assert.equal(5, #files(folder))
  end)

  it("refuses identifiers that cannot be", function()
    local folder = tree()
    for id, text in pairs {
      ["a-b"] = "Character(s) '-' not allowed in revision identifier 'a-b'",
      ["x@y"] = "Character(s) '@' not allowed in revision identifier 'x@y'",
      [""] = "it is empty",
      ["a b"] = "not allowed",
      ["../up"] = "not allowed",
      ["head"] = "has a meaning of its own",
      ["a1"] = "there is such a revision already, versions/a1.lua",
    } do
      has(usage_error({ "revision", "-m", "x", "--rev-id", id }, { cwd = folder }), text)
    end
    assert.equal(5, #files(folder))
  end)

  it("writes over no file", function()
    local folder = tree()
    helper.write(folder .. "/dmlua.ini", helper.read(folder .. "/dmlua.ini") .. "file_template = same\n")
    dmlua(folder, { "revision", "-m", "x" })
    local text = helper.read(folder .. "/versions/same.lua")
    has(usage_error({ "revision", "-m", "y" }, { cwd = folder }), "versions/same.lua exists already")
    assert.equal(text, helper.read(folder .. "/versions/same.lua"))
  end)

  it("refuses several heads in Alembic's words, and a parent that is no head", function()
    local folder = helper.project { versions = { { revision = "a1" }, { revision = "b1" } } }
    has(usage_error("revision -m x", { cwd = folder }), "Multiple heads are present; please specify the head revision "
      .. "on which the new revision should be based, or perform a merge.")
    dmlua(folder, "revision -m x --head b1")
    has(usage_error("revision -m y --head b1", { cwd = folder }), "Revision b1 is not a head revision; please specify "
      .. "--splice to create a new branch from this revision")
  end)

  it("cuts a long message between words, for the file's name alone", function()
    local folder = tree()
    local long = "Add a table of things whose names are much too long for a file"
    local out = dmlua(folder, { "revision", "-m", long, "--rev-id", "f1" }).out
    assert.equal("Generating versions/f1_add_a_table_of_things_whose_names_are_.lua ...  done\n", out)
    has(helper.read(folder .. "/versions/f1_add_a_table_of_things_whose_names_are_.lua"), "-- " .. long .. "\n")
  end)
end)

describe("merge", function()
  it("writes a file that joins the heads", function()
    local folder = helper.project { versions = { { revision = "a1" }, { revision = "b1" } } }
    dmlua(folder, "merge heads -m joined --rev-id m1")
    has(helper.read(folder .. "/versions/m1_joined.lua"), 'down_revision = { "a1", "b1" }\n')
    assert.equal("m1 (head)\n", dmlua(folder, "heads").out)
  end)

  it("refuses one revision, and one named twice", function()
    local folder = helper.project { versions = { { revision = "a1" }, { revision = "b1" } } }
    has(usage_error("merge a1", { cwd = folder }), "a merge joins two revisions or more")
    has(usage_error("merge a1 a1", { cwd = folder }), "Duplicate head revisions specified")
  end)
end)

describe("completion", function()
  -- What bash would offer for a line whose last word is being typed.
  local function offered(script, ...)
    local words = {}
    for i, word in ipairs { ... } do words[i] = helper.quote(word) end
    local line = ("%s\nCOMP_WORDS=(%s)\nCOMP_CWORD=%d\n_dmlua\necho ${COMPREPLY[@]}\n")
      :format(script, table.concat(words, " "), #words - 1)
    local result = helper.run("/bin/bash", { "--norc" }, { input = line })
    assert.equal("", result.err)
    return (result.out:gsub("\n$", ""))
  end

  it("is a script that offers verbs, options and choices", function()
    local script = dmlua(helper.folder(), "completion bash").out
    assert.equal("upgrade", offered(script, "dmlua", "upg"))
    assert.equal("history", offered(script, "dmlua", "--service", "isp", "his"))
    assert.equal("--from", offered(script, "dmlua", "plan", "--fr"))
    assert.equal("upgrade downgrade stamp", offered(script, "dmlua", "plan", ""))
    assert.equal("staging", offered(script, "dmlua", "--env", "st"))
  end)

  it("is there for zsh and fish, and refuses another shell", function()
    for _, shell in ipairs { "zsh", "fish" } do
      local script = dmlua(helper.folder(), "completion " .. shell).out
      for _, row in ipairs(require("dmlua.verbs").list) do has(script, row[1]) end
    end
    has(usage_error "completion tcsh", "must be one of 'bash', 'zsh', 'fish'")
  end)
end)
