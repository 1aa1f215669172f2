-- The command line: global options, then the verb's own. Returns the exit code.

local engine = require "dmlua.engine"

return function(argv)
  if argv[1] == "--version" then
    engine.write("dmlua " .. engine.versions().dmlua .. "\n")
  end
  return 0
end
