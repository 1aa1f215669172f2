-- busted's output for scripts/test: what failed, in full, and the two counts in the file that DMLUA_SPEC_COUNTS names.
-- A pending spec counts as failed: it proves nothing.

local make_base = require "busted.outputHandlers.base"

local function text(message)
  return type(message) == "string" and message or require("pl.pretty").write(message)
end

local function describe(word, element)
  local trace = element.trace or element.element.trace or {}
  io.write(("%s: %s\n  %s:%s\n"):format(word, element.name, trace.short_src or "?", trace.currentline or "?"))
  if element.message ~= nil then io.write("  ", (text(element.message):gsub("\n", "\n  ")), "\n") end
  if element.isError and trace.traceback then io.write("  ", (trace.traceback:gsub("\n", "\n  ")), "\n") end
end

return function(options)
  local busted = require "busted"
  local handler = make_base()

  function handler.report()
    for _, failure in ipairs(handler.failures) do describe("FAILED", failure) end
    for _, failure in ipairs(handler.errors) do describe("ERROR", failure) end
    for _, pending in ipairs(handler.pendings) do describe("PENDING, counts as failed", pending) end
    local failed = handler.failuresCount + handler.errorsCount + handler.pendingsCount
    local counts = assert(io.open(os.getenv("DMLUA_SPEC_COUNTS"), "w"))
    counts:write(handler.successesCount, " ", failed, "\n")
    counts:close()
    return nil, true
  end

  busted.subscribe({ "exit" }, handler.report)
  handler.options = options
  return handler
end
