-- `revision` and `merge`: the file's name and date, post-write hooks, what they refuse.

local helper = require "spec.helper"
local file_name = require "dmlua.file_name"

local function project(settings, ini, files)
  return helper.project {
    settings = settings, ini = ini, files = files,
    versions = { { revision = "a" }, { revision = "b", down = "a" }, { revision = "c", down = "a" } },
  }
end

local function revise(folder, words, options)
  options = options or {}
  options.cwd = folder
  return helper.dmlua("revision -m message --rev-id n --head b " .. (words or ""), options)
end

local function refused(result, text)
  assert.equal(2, result.code)
  assert.matches(text, result.err, 1, true)
end

describe("the name of a new file", function()
  local values = {
    rev = "abc", slug = "the_slug", epoch = 1705312805, year = 2024, month = 1, day = 5, hour = 3, minute = 4,
    second = 9,
  }

  it("has all of Alembic's tokens, as Python formats them", function()
    assert.equal("abc_the_slug", file_name.fill("%(rev)s_%(slug)s", values))
    assert.equal("2024_01_05_0304-09-abc",
      file_name.fill("%(year)d_%(month).2d_%(day)02d_%(hour).2d%(minute).2d-%(second)02i-%(rev)s", values))
    assert.equal("1705312805 100% 2024", file_name.fill("%(epoch)s 100%% %(year)u", values))
  end)

  it("has small letters and no signs, in other alphabets too", function()
    local messages = {
      ["Über Größe"] = "über_größe", ["ÀÉÞ × ÿŸ"] = "àéþ_ÿÿ", ["Add – “x” … y"] = "add_x_y",
      ["Żółć ŁĄKA"] = "żółć_łąka",
      ["Добавить Ёлку"] = "добавить_ёлку", ["ΑΘΉΝΑ"] = "αθήνα", ["5€ m² →"] = "5_m²", ["漢字 表"] = "漢字_表",
      ["a\xffB c"] = "a\xffb_c",
    }
    for message, slug in pairs(messages) do assert.equal(slug, file_name.slug(message, 40)) end
  end)

  it("names a token that is none, and a format that does not fit", function()
    local function refuses(pattern, message)
      local done, problem = pcall(file_name.fill, pattern, values)
      assert.is_false(done)
      assert.matches(message, problem.message, 1, true)
    end
    refuses("%(yeer)d", "unknown token '%(yeer)d' (did you mean 'year'?)")
    refuses("%(slug)d", "'%(slug)d' does not fit its token")
    refuses("x_%(rev)", "'%(rev)' is no token")
    refuses("x_%", "'%' is no token")
  end)

  it("has a slug that is cut between words, by characters", function()
    assert.equal("add_the_column_price", file_name.slug("Add the column `price`!", 40))
    assert.equal("add_the_", file_name.slug("Add the column", 10))
    assert.equal("größe_", file_name.slug("größe ändern", 8))
    assert.equal("ää_", file_name.slug("ääää", 2))
  end)
end)

describe("what revision and merge are told", function()
  it("is not `current`: they ask no database, and would begin a new history", function()
    local folder = project()
    for _, words in ipairs { "revision --head current", "revision --head b --depends-on current", "merge current b c",
      "plan upgrade heads --from current" } do
      refused(helper.dmlua(words, { cwd = folder }), "Can't locate revision identified by 'current'")
    end
  end)

  it("may name a dependency twice, and not none", function()
    local folder = project()
    local result = revise(folder, "--depends-on c --depends-on c")
    assert.equal(0, result.code)
    assert.matches('depends_on = "c"', helper.read(folder .. "/versions/n_message.lua"), 1, true)
    refused(revise(project(), "--depends-on base"), "--depends-on base names no revision")
  end)

  it("is `head` only where there is one, in Alembic's words", function()
    refused(helper.dmlua("merge head", { cwd = project() }),
      "Multiple heads are present; please specify the head revision on which the new revision should be based")
  end)
end)

describe("a new file", function()
  it("is not written where it would be hidden from the tree", function()
    local folder = project { recursive_version_locations = "true" }
    refused(helper.dmlua("revision -m x --rev-id .n --head b", { cwd = folder }),
      "FAILED: the name .n_x.lua would be hidden")
    for _, pattern in ipairs { ".%%(rev)s", "#%%(rev)s", "sub/.%%(rev)s", ".sub/%%(rev)s" } do
      folder = project { recursive_version_locations = "true", file_template = pattern }
      refused(revise(folder), "would be hidden: no file that begins with '.' or '#' is read")
    end
  end)
end)

describe("a new file's names", function()
  it("are refused where the tree would not load with them, and nothing is written", function()
    local function refuses(text, ...)
      local folder = project {}
      refused(helper.dmlua({ "revision", "-m", "message", "--head", "b", ... }, { cwd = folder }), text)
      assert.equal("a.lua\nb.lua\nc.lua\n", helper.run("ls", { folder .. "/versions" }).out)
    end
    refuses('branch_labels "x y" holds a space', "--branch-label", "x y")
    refuses("Character(s) '@' not allowed in revision identifier 'a@b'", "--branch-label", "a@b")
    refuses("branch_labels is empty", "--branch-label", "")
    refuses("branch label 'head': this word has a meaning of its own", "--branch-label", "head")
    refuses('revision "a,b" holds a space, a comma', "--rev-id", "a,b")
    refuses("revision is 256 characters long; at most 255 make sense", "--rev-id", ("n"):rep(256))
  end)
end)

describe("a tree's own template", function()
  local full = "-- ${message}\nrevision = ${revision_value}\ndown_revision = ${down_revision_value}\n"
    .. "branch_labels = ${branch_labels_value}\ndepends_on = ${depends_on_value}\n"

  local function revise_with(text, words)
    local folder = project({}, nil, { ["script.lua.in"] = text })
    return revise(folder, words), helper.read(folder .. "/versions/n_message.lua")
  end

  it("that leaves a field out is refused when it is needed, and the file is not kept", function()
    local flags = { down_revision = "", branch_labels = "--branch-label l", depends_on = "--depends-on c" }
    for field, words in pairs(flags) do
      local result, file = revise_with(full:gsub(field .. " = [^\n]*\n", ""), words)
      refused(result, "FAILED: Version n specified " .. field)
      refused(result, ("does not have them; have you upgraded your script.lua.in to include the '%s' section?\n"
        .. "  hint: write %s = ${%s_value} in script.lua.in"):format(field, field, field))
      assert.is_nil(file)
    end
    assert.equal(0, revise_with((full:gsub("branch_labels = [^\n]*\n", ""))).code)
  end)

  it("that makes no sound file is refused, and the file is not kept", function()
    local result, file = revise_with "revision = nil"
    refused(result, "Could not determine revision id from filename n_message.lua")
    assert.is_nil(file)
    result, file = revise_with(full .. "function upgrade(")
    assert.matches("versions/n_message.lua", result.err, 1, true)
    assert.is_true(result.code ~= 0)
    assert.is_nil(file)
  end)
end)

describe("the date of a new file", function()
  local function date(settings, env)
    local folder = project(settings)
    assert.equal(0, revise(folder, nil, { env = env }).code)
    return helper.read(folder .. "/versions/n_message.lua"):match "Create Date: ([^\n]*)"
  end

  it("is the machine's time, without a zone", function()
    assert.matches("^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d$", date {})
  end)

  it("is that of timezone, with its offset, whatever the case of its name", function()
    assert.matches(" %d%d:%d%d:%d%d%+00:00$", date { timezone = "UTC" })
    assert.matches("%+05:30$", date { timezone = "Asia/Kolkata" })
    assert.matches("%-0[23]:30$", date({ timezone = "America/St_Johns" }, { TZ = "Asia/Tokyo" }))
    assert.matches("%+00:00$", date { timezone = "gmt" })
  end)

  it("gives the file's name its day and hour too", function()
    local folder = project { timezone = "Pacific/Kiritimati", file_template = "%%(rev)s_%%(hour).2d" }
    revise(folder)
    local name = "n_" .. os.date("!%H", os.time() + 14 * 3600)
    local before = "n_" .. os.date("!%H", os.time() + 14 * 3600 - 60)
    assert.is_truthy(helper.read(folder .. "/versions/" .. name .. ".lua")
      or helper.read(folder .. "/versions/" .. before .. ".lua"))
  end)

  it("in a zone that does not exist is refused in Alembic's words, before anything is written", function()
    for _, zone in ipairs { "Europe/Atlantis", "../../etc/passwd", "/etc/passwd", "Europe" } do
      local folder = project { timezone = zone }
      refused(revise(folder), "FAILED: Can't locate timezone: " .. zone)
      assert.is_nil(helper.read(folder .. "/versions/n_message.lua"))
    end
  end)
end)

describe("a post-write hook", function()
  local function hook(text)
    return "[post_write_hooks]\nhooks = one\none.type = exec\n" .. text
  end

  it("of the type exec gets the file, in its folder, and is shown before it runs", function()
    local folder = project({}, hook "one.executable = ./mark\none.cwd = sub\n"
      .. "one.options = -x 'two words' REVISION_SCRIPT_FILENAME\n", {
        ["sub/x"] = "", mark = '#!/bin/sh\npwd\nfor word; do echo "<$word>"; done\necho "-- marked" >>"$3"\ncat\n',
      })
    helper.run("chmod", { "+x", folder .. "/mark" })
    local result = revise(folder, nil, { input = "not for the hook" })
    assert.equal("Generating versions/n_message.lua ...  done\n", result.out)
    local file = folder .. "/versions/n_message.lua"
    assert.equal(("INFO  [dmlua] Running post write hook 'one': %s/./mark -x 'two words' %s\n"
      .. "%s/sub\n<-x>\n<two words>\n<%s>\n"):format(folder, file, folder, file), result.err)
    assert.matches("\n%-%- marked\n$", helper.read(file))
  end)

  it("is looked for in PATH, and one after the other", function()
    local folder = project({}, "[post_write_hooks]\nhooks = one, two\none.type = exec\none.executable = touch\n"
      .. 'one.options = "%(here)s/a b"\ntwo.type = exec\ntwo.executable = mv\ntwo.cwd = .\ntwo.options = a\\ b c\n')
    assert.equal(0, revise(folder).code)
    assert.equal("", helper.read(folder .. "/c"))
  end)

  it("runs after merge as well, and leaves standard output to the JSON", function()
    local folder = project({}, hook "one.executable = echo\none.options = REVISION_SCRIPT_FILENAME\n")
    local result = helper.dmlua("merge b c -m m --rev-id n --json", { cwd = folder })
    assert.equal('{"revision":"n","path":"versions/n_m.lua","down_revision":["b","c"]}\n', result.out)
    assert.matches("/versions/n_m.lua\n", result.err, 1, true)
  end)

  it("does not run with --no-hooks", function()
    local folder = project({}, hook "one.executable = false\n")
    assert.equal(0, revise(folder, "--no-hooks").code)
    assert.equal(0, helper.dmlua("merge b c --no-hooks", { cwd = project({}, hook "one.executable = false\n") }).code)
  end)

  it("that fails is exit 2 and says that the file is written", function()
    local folder = project({}, hook "one.executable = sh\none.options = -c 'exit 7'\n")
    local result = revise(folder)
    refused(result, "FAILED: post write hook 'one' ended with exit code 7\n  detail: the file is written: ")
    assert.is_truthy(helper.read(folder .. "/versions/n_message.lua"))
    refused(revise(project({}, hook "one.executable = no-such-program\n")),
      "FAILED: cannot run no-such-program: No such file or directory")
  end)

  it("in a folder that is not there is told from a program that is not there", function()
    local folder = project({}, hook "one.executable = true\none.cwd = gone\n")
    refused(revise(folder), ("FAILED: cannot run true in the folder %s/gone: No such file or directory"):format(folder))
  end)

  it("that Ctrl-C ends is exit 130", function()
    local folder = project({}, hook "one.executable = sh\none.options = -c 'kill -INT $$'\n")
    assert.equal(130, revise(folder).code)
  end)

  it("that is incomplete is refused before anything is written, in Alembic's words", function()
    local function refuses(text, message)
      local folder = project({}, "[post_write_hooks]\nhooks = one\n" .. text)
      refused(revise(folder), message)
      assert.is_nil(helper.read(folder .. "/versions/n_message.lua"))
    end
    refuses("", "FAILED: Key one.type is required for post write hook 'one'")
    refuses("one.type = exec\n", "FAILED: Key one.executable is required for post write hook 'one'")
    refuses("one.type = exce\n", "FAILED: No formatter with name 'exce' registered (did you mean 'exec'?)")
    refuses("one.type = exec\none.executable = x\none.options = 'open\n", "one.options: a quote has no end: 'open")
    refuses("one.type = console_scripts\none.entrypoint = black\n", "dmlua runs hooks of the type exec only")
  end)

  it("of Python's is passed over in an alembic.ini, with a warning", function()
    local folder = helper.folder()
    helper.write(folder .. "/alembic.ini", "[alembic]\nscript_location = .\n[post_write_hooks]\nhooks = black\n"
      .. "black.type = console_scripts\nblack.entrypoint = black\nblack.options = -l 79 REVISION_SCRIPT_FILENAME\n")
    helper.write(folder .. "/versions/a.lua", helper.revision { revision = "a" })
    local result = helper.dmlua("revision -m m", { cwd = folder })
    assert.equal(0, result.code)
    assert.matches("post write hook 'black' is passed over: its type console_scripts runs Python's programs",
      result.err, 1, true)
  end)

  it("whose value cannot be had stops no other verb of an alembic.ini, but says so when it is used", function()
    local folder = helper.folder()
    helper.write(folder .. "/alembic.ini", "[alembic]\nscript_location = .\n[post_write_hooks]\nhooks = one\n"
      .. "one.type = exec\none.executable = x\none.options = %(NOWHERE)s\n")
    helper.write(folder .. "/versions/a.lua", helper.revision { revision = "a" })
    assert.equal("a (head)\n", helper.dmlua("heads", { cwd = folder }).out)
    refused(helper.dmlua("revision -m m", { cwd = folder }), "NOWHERE")
  end)
end)

describe("revision", function()
  local function labelled()
    return helper.project { versions = { { revision = "aaaa1", labels = "web" }, { revision = "bbbb1" } } }
  end

  it("writes a dependency's identifier whole, and a label as it is", function()
    local folder = labelled()
    assert.equal(0, helper.dmlua("revision -m m --rev-id n --head bbbb --depends-on aaa", { cwd = folder }).code)
    assert.matches('\ndown_revision = "bbbb1"\n.*\ndepends_on = "aaaa1"\n', helper.read(folder .. "/versions/n_m.lua"))
    helper.dmlua("revision -m m --rev-id o --head n --depends-on web", { cwd = folder })
    assert.matches('\ndepends_on = "web"\n', helper.read(folder .. "/versions/o_m.lua"))
  end)

  it("writes no file that would break the tree", function()
    local folder = labelled()
    local function refuses(words, message)
      refused(helper.dmlua("revision -m m --rev-id n " .. words, { cwd = folder }), message)
      assert.is_nil(helper.read(folder .. "/versions/n_m.lua"))
    end
    refuses("--head bbbb1 --branch-label web",
      "Branch name 'web' in revision n (versions/n_m.lua) already used by revision aaaa1")
    refuses("--head bbbb1 --depends-on zzz", "Can't locate revision identified by 'zzz'")
    refuses("--head bbbb1 --branch-label aaaa1", "aaaa1")
    assert.equal("aaaa1 (web) (head)\nbbbb1 (head)\n", helper.dmlua("heads", { cwd = folder }).out)
  end)

  it("is never written twice, also by two at once", function()
    local folder = project()
    local words = "revision --rev-id n --head b -m "
    local two = { helper.start(words .. "one", { cwd = folder }), helper.start(words .. "two", { cwd = folder }) }
    local ends = { two[1].wait(30), two[2].wait(30) }
    for _, ended in ipairs(ends) do
      if ended.code ~= 0 then refused(ended, "n") end
    end
    local heads = helper.dmlua("heads", { cwd = folder })
    assert.equal(0, heads.code, heads.err)
    assert.is_false(ends[1].code == 0 and ends[2].code == 0)
  end)

  it("warns of an identifier that Alembic's column does not hold, with the way out", function()
    local words = { "revision", "-m", "m", "--rev-id", ("n"):rep(33), "--head", "bbbb1" }
    local result = helper.dmlua(words, { cwd = labelled() })
    assert.equal(0, result.code)
    assert.matches("dmlua ensure_version --widen", result.err, 1, true)
  end)
end)

describe("merge", function()
  it("joins what is no head only with --splice", function()
    local folder = project()
    refused(helper.dmlua("merge a c", { cwd = folder }),
      "FAILED: Revision a is not a head revision; please specify --splice to create a new branch from this revision")
    assert.equal("Generating versions/n_m.lua ...  done\n",
      helper.dmlua("merge a c --splice -m m --rev-id n", { cwd = folder }).out)
    assert.equal("b (head)\nn (head)\n", helper.dmlua("heads", { cwd = folder }).out)
  end)
end)
