local helper = require "spec.helper"
local lfs = require "lfs"
local support = require "spec.support.server"

local root, server, project, status, start = support.root, support.run, support.project, support.status, support.start
local can_mount = root and helper.run("/usr/bin/unshare", { "-m", "true" }).code == 0

describe("a local server that is being made", function()
  -- One whose folder no other user may enter: root's server cannot live there.
  local folder = project(helper.folder() .. "/private", "[dmlua]\nurl = local:\nenvironment = development\n")
  helper.run("/bin/chmod", { "700", folder })
  local place = folder .. "/.dmlua"
  if root then
    place = status(folder).folder
    helper.defer(function()
      server(folder, { "stop" })
      helper.run("/bin/rm", { "-r", place })
    end)
  end

  local function begin()
    local run = helper.start({ "server", "start" }, { cwd = folder })
    helper.eventually(function() return helper.read(place .. "/data.unready/global/pg_control") end)
    return run
  end

  it("stands under /var/lib/dmlua where its user may not enter the folder", function()
    assert.matches(root and "^/var/lib/dmlua/%x+$" or "/private/%.dmlua$", place)
  end)

  it("is left at Ctrl-C with 130 and cleared away", function()
    local run = begin()
    run.kill("INT")
    local result = run.wait(10)
    assert.equal(130, result.code)
    assert.matches("FAILED: interrupted", result.err, 1, true)
    assert.is_nil(lfs.attributes(place .. "/data.unready"))
    assert.is_nil(lfs.attributes(place .. "/data"))
  end)

  it("is never taken for a whole one when dmlua was killed, and is made anew", function()
    local run = begin()
    run.kill("KILL")
    run.wait(10)
    assert.is_nil(lfs.attributes(place .. "/data"))
    assert.is_truthy(lfs.attributes(place .. "/data.unready"))
    assert.equal("dmlua", start(folder).databases[1].name)
    assert.is_nil(lfs.attributes(place .. "/data.unready"))
  end)
end)

describe("a local server that cannot be made", function()
  -- Mounts happen in a namespace of their own, so that the machine does not notice.
  local function refused(before, message, hint)
    local folder = project(helper.folder(), "[dmlua]\nurl = local:\nenvironment = development\n")
    local words = { "/bin/sh", "-c", before .. " && " .. helper.quote(helper.program) .. " server start" }
    if can_mount then words = { "/usr/bin/unshare", "-m", table.unpack(words) } end
    local result = helper.run(table.remove(words, 1), words, { cwd = folder })
    assert.equal(5, result.code, result.err)
    assert.matches(message, result.err, 1, true)
    assert.matches(hint, result.err, 1, true)
  end

  if not root then
    it("names the folder that cannot be written", function()
      refused("chmod 555 . && trap 'chmod 755 .' EXIT", "cannot make the local server's folder ",
        "or give url = the address of a running server")
    end)
  end
  if not can_mount then return end

  it("names the folder that cannot be written", function()
    refused("mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\"",
      "/.dmlua: Read-only file system", "or give url = the address of a running server")
  end)

  it("names the package that brings initdb", function()
    refused("mount -t tmpfs none /usr/lib/postgresql", "there is no PostgreSQL server on this machine",
      "apt-get install postgresql")
  end)

  it("says that the disk is full, and shows what initdb said", function()
    refused("ini=$(cat dmlua.ini) && mount -t tmpfs -o size=20m none . && cd \"$PWD\" && echo \"$ini\" >dmlua.ini",
      "could not extend file", " MB left and a new server needs about 60: make room and run this again")
  end)
end)
