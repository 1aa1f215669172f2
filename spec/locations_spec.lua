-- Revisions in several folders: version_locations, path_separator, recursive_version_locations, --version-path.

local helper = require "spec.helper"

local function revision(id, down)
  return helper.revision { revision = id, down = down }
end

-- A project whose files are given by path.
local function project(settings, files)
  return helper.project { settings = settings, files = files }
end

local function run(folder, arguments)
  return helper.dmlua(arguments, { cwd = folder })
end

local two = { ["one/a.lua"] = revision "a", ["two/b.lua"] = revision("b", "a") }

describe("version_locations", function()
  it("are the folders of revisions, in place of versions/, whatever divides them", function()
    for separator, text in pairs {
      os = "%(here)s/one:two", space = "one %(here)s/two", newline = "one\n  two", [":"] = "one:two/",
      [";"] = "./one ; two",
    } do
      local result = run(project({ version_locations = text, path_separator = separator }, two), "heads -v")
      assert.equal("", result.err)
      assert.matches("Parent: a\nPath: two/b.lua", result.out, 1, true)
      result = run(project({ version_locations = text, version_path_separator = separator }, two), "heads")
      assert.equal("b (head)\n", result.out)
    end
    for _, text in ipairs { "one two", "one,two", "one, %(here)s/two" } do
      assert.equal("b (head)\n", run(project({ version_locations = text }, two), "heads").out)
    end
  end)

  it("keep folders whose names have blanks where the separator is another", function()
    local folder = project({ version_locations = "a b;c d", path_separator = ";" },
      { ["a b/a.lua"] = revision "a", ["c d/b.lua"] = revision("b", "a") })
    assert.equal("b (head)\n", run(folder, "heads").out)
  end)

  it("that are not there are an error that names them and the key", function()
    local result = run(project({ version_locations = "one,three" }, two), "heads")
    assert.equal(2, result.code)
    assert.matches("FAILED: Path doesn't exist: three (named by version_locations)", result.err, 1, true)
    assert.is_nil(result.err:find("path_separator", 1, true))
    result = run(project({ version_locations = "one:two" }, two), "heads")
    assert.matches("Path doesn't exist: one:two (named by version_locations)", result.err, 1, true)
    assert.matches("hint: .*path_separator %(os, newline, : or ;%)", result.err)
  end)

  it("named twice are read once, with Alembic's warning", function()
    local result = run(project({ version_locations = "one,two,./one" }, two), "heads")
    assert.equal("b (head)\n", result.out)
    assert.matches("WARN  [dmlua] one loaded twice! ignoring. Please ensure version_locations is unique.",
      result.err, 1, true)
  end)

  it("are loaded one after the other, which decides the order of what has none", function()
    local files = { ["one/z.lua"] = revision "z", ["two/a.lua"] = revision "a" }
    local forth = run(project({ version_locations = "one,two" }, files), "heads").out
    assert.equal("z (head)\na (head)\n", forth)
    assert.equal("a (head)\nz (head)\n", run(project({ version_locations = "two,one" }, files), "heads").out)
  end)
end)

describe("recursive_version_locations", function()
  local files = {
    ["versions/a.lua"] = revision "a", ["versions/2024/b.lua"] = revision("b", "a"),
    ["versions/2024/05/c.lua"] = revision("c", "b"), ["versions/2023/z.lua"] = revision("z", "c"),
    ["versions/.old/a.lua"] = "(", ["versions/__pycache__/a.lua"] = "(",
  }

  it("reads the folders below, but for hidden ones and Python's", function()
    local folder = project({ recursive_version_locations = "true" }, files)
    helper.run("ln", { "-s", "..", folder .. "/versions/2024/loop" })
    local result = run(folder, "history")
    assert.equal("", result.err)
    assert.equal("c -> z (head), z\nb -> c, c\na -> b, b\n<base> -> a, a\n", result.out)
  end)

  it("off leaves them alone", function()
    assert.equal("a (head)\n", run(project({}, files), "heads").out)
  end)

  it("lets file_template name folders, which are made", function()
    local folder = project({ recursive_version_locations = "true", file_template = "%%(year)d/%%(rev)s" }, files)
    local result = run(folder, "revision -m m --rev-id d")
    assert.equal(("Generating versions/%s/d.lua ...  done\n"):format(os.date "%Y"), result.out)
    assert.equal("d (head)\n", run(folder, "heads").out)
  end)

  it("lets file_template name no folder outside", function()
    local folder = project({ recursive_version_locations = "true", file_template = "../%%(rev)s" }, files)
    local result = run(folder, "revision -m m --rev-id d")
    assert.equal(2, result.code)
    assert.matches("file_template: ../d.lua does not lie in versions", result.err, 1, true)
    assert.is_nil(helper.read(folder .. "/d.lua"))
  end)

  it("off refuses a file_template that names a folder", function()
    local folder = project({ file_template = "x/%%(rev)s" }, files)
    local result = run(folder, "revision -m m --rev-id d")
    assert.equal(2, result.code)
    assert.matches("recursive_version_locations = true", result.err, 1, true)
  end)
end)

describe("revision", function()
  it("writes into the location of its parent", function()
    local folder = project({ version_locations = "one,two" }, two)
    assert.equal("Generating two/c_m.lua ...  done\n", run(folder, "revision -m m --rev-id c").out)
    assert.equal("Generating one/d_m.lua ...  done\n", run(folder, "revision -m m --rev-id d --head a --splice").out)
  end)

  it("takes the nearer one of two locations that hold its parent", function()
    local folder = project({ version_locations = "one,one/below" },
      { ["one/a.lua"] = revision "a", ["one/below/b.lua"] = revision("b", "a") })
    assert.equal("Generating one/below/c_m.lua ...  done\n", run(folder, "revision -m m --rev-id c").out)
    folder = project({ version_locations = "one/below,one" },
      { ["one/a.lua"] = revision "a", ["one/below/b.lua"] = revision("b", "a") })
    assert.equal("Generating one/below/c_m.lua ...  done\n", run(folder, "revision -m m --rev-id c").out)
  end)

  it("--version-path chooses the location", function()
    local folder = project({ version_locations = "one,two" }, two)
    assert.equal("Generating one/c_m.lua ...  done\n",
      run(folder, { "revision", "-m", "m", "--rev-id", "c", "--version-path", folder .. "/two/../one/" }).out)
    assert.equal("c (head)\n", run(folder, "heads").out)
  end)

  it("refuses a path that is none of the locations, and a base without one, in Alembic's words", function()
    local folder = project({ version_locations = "one,two" }, two)
    local result = run(folder, "revision -m m --version-path versions")
    assert.equal(2, result.code)
    assert.matches("FAILED: Path versions is not represented in current version locations", result.err, 1, true)
    assert.matches("hint: the version locations are one, two", result.err, 1, true)
    result = run(folder, "revision -m m --head base")
    assert.equal(2, result.code)
    assert.matches("FAILED: Multiple version locations present, please specify --version-path", result.err, 1, true)
  end)
end)
