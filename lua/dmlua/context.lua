-- What Alembic's `context` offers a script, as far as it is about the running step.

local arguments = require "dmlua.arguments"
local strict = require "dmlua.strict"

local M = {}

--- The context of one step.
function M.new(step)
  local bind, context = step.bind, {}

  --- autocommit_block(fn): what `fn` sends goes alone, each statement outside a transaction.
  function context.autocommit_block(...)
    local given = arguments.read("context.autocommit_block", { { "fn", "function" } }, ...)
    if step.in_autocommit then arguments.fail("context.autocommit_block", "stands inside another one") end
    if (step.open_doors or 0) > 0 then
      arguments.fail("context.autocommit_block",
        "stands inside op.across_tenants, which must end in the transaction it began in")
    end
    bind:autocommit(function()
      step.in_autocommit = true
      local _ <close> = setmetatable({}, { __close = function() step.in_autocommit = false end })
      given.fn()
    end)
  end

  local dialect = strict.view("dialect", { name = "postgresql" })
  local migration_context = strict.object("migration context", { dialect = dialect }, {
    autocommit_block = function(self, ...)
      if select("#", ...) == 0 then return context.autocommit_block(self) end -- called with a dot
      return context.autocommit_block(...)
    end,
  })

  function context.get_context() return migration_context end

  --- Are statements written down (--sql), and not executed?
  function context.is_offline_mode() return bind.offline == true end

  --- Wall seconds since the step began, once all that was sent before is done.
  function context.elapsed() return bind:elapsed() end

  return context
end

return M
