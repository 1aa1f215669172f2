-- START:END is for --sql, where no database says where to start.

local M = {}

--- Raises for a range, as a plan would; so that nothing is connected to or started for what is refused anyway.
function M.refuse(graph, method, targets)
  if method == "stamp" then return end
  for _, target in ipairs(targets) do
    if target:find(":", 1, true) then graph:plan(method, targets, {}) end
  end
end

return M
