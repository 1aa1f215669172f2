-- The lines of a history as `git log --graph` draws them: one lane for each revision that is still to come, a row of
-- characters for each revision, and rows between where lanes begin, join and move. Pure; time in proportion to
-- revisions and lanes.
--
-- A row is { cells, width }: cells[position] = { character, lane } for positions 0 … width - 1. Lane c stands at
-- position 2c; what leads from lane c to lane c + 1 stands between them.

local M = {}

local function put(row, position, character, lane)
  row.cells[position] = { character, lane }
  if position >= row.width then row.width = position + 1 end
end

local function new_row()
  return { cells = {}, width = 0 }
end

-- A colour for each lane, in turn.
local function new_lane(state, id)
  state.made = state.made + 1
  return { id = id, number = state.made }
end

-- Lines are { lane, column }, from left to right. Those right of `column` go one to the right in this row.
local function shift(row, lines, column)
  for _, line in ipairs(lines) do
    if line.column > column then
      put(row, 2 * line.column + 1, "\\", line.lane)
      line.column = line.column + 1
    else
      put(row, 2 * line.column, "|", line.lane)
    end
  end
end

-- A merge of more than two needs room for its arms, before its own row.
local function make_room(rows, lines, column, arms)
  if lines[#lines].column == column then return end
  for _ = 1, arms - 1 do
    local row = new_row()
    shift(row, lines, column)
    rows[#rows + 1] = row
  end
end

local function revision_row(lines, column, arms)
  local row = new_row()
  for _, line in ipairs(lines) do put(row, 2 * line.column, line.column == column and "*" or "|", line.lane) end
  for position = 2 * column + 1, 2 * column + 2 * (arms - 1) - 1 do put(row, position, "-") end
  if arms > 1 then put(row, 2 * column + 2 * (arms - 1), ".") end
  return row
end

-- The arms of a merge, to the lanes of its second parent and the others.
local function arms_row(state, lines, column, parents)
  local row, arms = new_row(), #parents - 1
  shift(row, lines, column)
  local at
  for i, line in ipairs(lines) do at = line.column == column and i or at end
  for i = 1, arms do
    local line = { lane = new_lane(state, parents[i + 1]), column = column + i }
    put(row, 2 * (column + i) - 1, "\\", line.lane)
    table.insert(lines, at + i, line)
  end
  return row
end

-- Where each line is to go: to the left as far as there is room, and to the lane that leads to the same revision.
local function settle(lines)
  local by_id, kept = {}, {}
  for _, line in ipairs(lines) do
    local first = by_id[line.lane.id]
    if not first then
      by_id[line.lane.id] = line
      kept[#kept + 1] = line
      line.target = #kept - 1
    end
    line.joins = first
  end
  for _, line in ipairs(lines) do
    if line.joins then line.target = line.joins.target end
  end
  return kept
end

local function moving(lines)
  local count, last = 0, nil
  for _, line in ipairs(lines) do
    if line.column > line.target then count, last = count + 1, line end
  end
  return count, last
end

-- One line alone that has far to go runs level under the others: |_|_|/
local function run_level(row, line)
  for position = 2 * line.column - 2, 2 * line.target + 3, -1 do
    if not row.cells[position] then put(row, position, "_", line.lane) end
  end
  line.column = line.target + 1
end

local function move_row(lines, count, last)
  local row = new_row()
  for _, line in ipairs(lines) do
    if line.column == line.target then
      if not line.joins then put(row, 2 * line.column, "|", line.lane) end
    else
      put(row, 2 * line.column - 1, "/", line.lane)
    end
  end
  if count == 1 and last.column - last.target > 2 then
    run_level(row, last)
    return row
  end
  for _, line in ipairs(lines) do line.column = math.max(line.column - 1, line.target) end
  return row
end

-- Rows until every line stands in its place.
local function collapse(rows, lines)
  local kept = settle(lines)
  local count, last = moving(lines)
  while count > 0 do
    rows[#rows + 1] = move_row(lines, count, last)
    count, last = moving(lines)
  end
  return kept
end

local function find_line(state, id)
  local lines = state.lines
  for i, line in ipairs(lines) do
    if line.lane.id == id then return i, line end
  end
  local line = { lane = new_lane(state, id), column = #lines }
  lines[#lines + 1] = line
  return #lines, line
end

--- A drawing that is to begin.
function M.new()
  return { lines = {}, made = 0 }
end

--- The rows of the next revision, and which of them is its own. `parents`: the revisions that its lines lead to; a
--- revision comes before its parents.
function M.rows(state, id, parents)
  local rows, lines = {}, state.lines
  local index, line = find_line(state, id)
  local column, arms = line.column, #parents - 1
  make_room(rows, lines, column, arms)
  rows[#rows + 1] = revision_row(lines, column, arms)
  local own = #rows
  if arms > 0 then rows[#rows + 1] = arms_row(state, lines, column, parents) end
  if arms < 0 then
    table.remove(lines, index)
  else
    line.lane = { id = parents[1], number = line.lane.number }
  end
  state.lines = collapse(rows, lines)
  return rows, own
end

--- A row in which nothing happens, for text that needs more lines.
function M.pause(state)
  local row = new_row()
  for _, line in ipairs(state.lines) do put(row, 2 * line.column, "|", line.lane) end
  return row
end

return M
