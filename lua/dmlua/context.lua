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

  --- What -x gave on the command line: a list of texts, or with { as_dictionary = true } a table by what stands before
  --- the first "="; "" where there is none. Alembic's EnvironmentContext.get_x_argument.
  function context.get_x_argument(...)
    local given = arguments.read("context.get_x_argument", { options = { as_dictionary = "boolean" } }, ...)
    local list, by_key = {}, {}
    for i, text in ipairs(bind.settings.x or {}) do
      local key, value = text:match "^([^=]*)=(.*)$"
      list[i] = text
      by_key[key or text] = value or ""
    end
    return given.as_dictionary and by_key or list
  end

  --- Wall seconds since the step began, once all that was sent before is done.
  function context.elapsed() return bind:elapsed() end

  return context
end

return M
