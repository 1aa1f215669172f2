-- `history --graph`: the history as `git log --graph --oneline` draws it, newest first.

local drawn_parents = require "dmlua.drawn_parents"
local lanes = require "dmlua.lanes"
local shown = require "dmlua.shown"
local text_width = require "dmlua.text_width"

local M = {}

-- Colours of the terminal, as git has them: an identifier, its marks, and the lanes in turn.
local id_colour, mark_colour = "33", "1;32"
local lane_colours = { "31", "32", "33", "34", "35", "36" }

local function paint(text, colour)
  return colour and text ~= "" and ("\27[%sm%s\27[m"):format(colour, text) or text
end

local function plain_row(row)
  local characters = {}
  for position = 0, row.width - 1 do
    local cell = row.cells[position]
    characters[position + 1] = cell and cell[1] or " "
  end
  return table.concat(characters)
end

local function painted_row(row)
  local characters = {}
  for position = 0, row.width - 1 do
    local cell = row.cells[position]
    local lane = cell and cell[1] ~= "*" and cell[2]
    local colour = lane and lane_colours[(lane.number - 1) % #lane_colours + 1]
    characters[position + 1] = paint(cell and cell[1] or " ", colour)
  end
  return table.concat(characters)
end

-- On one line, whatever the file says.
local function line_of(text)
  return (shown(text):gsub("%s", " "))
end

-- The names of branches stand where they begin, and at their heads.
local function marks(it, current)
  local list = {}
  if it.head then list[1] = it.effective_head and "effective head" or "head" end
  if current then list[#list + 1] = "current" end
  if it.base then list[#list + 1] = "base" end
  for _, label in ipairs(it.head and it.labels or it.branch_labels) do list[#list + 1] = label end
  return #list > 0 and (" (%s)"):format(table.concat(list, ", ")) or ""
end

local function needs(it)
  return #it.depends_on > 0 and (" [needs %s]"):format(table.concat(it.depends_on, ", ")) or ""
end

-- What stands behind the lanes: the identifier is whole, the rest is cut to what is left of the width.
local function title(it, options, room)
  local id, text = line_of(it.revision), line_of(marks(it, options.current[it.revision]) .. needs(it))
  local message = it.message and it.message ~= "" and " " .. line_of(it.message) or ""
  room = math.max(room - text_width.of(id), 0)
  text = text_width.cut(text, room)
  message = text_width.cut(message, room - text_width.of(text))
  if not options.colour then return id .. text .. message end
  return paint(id, id_colour) .. paint(text, mark_colour) .. message
end

-- The texts of a revision: its title, or the lines of its block.
local function texts(it, options, room)
  if not options.block then return { title(it, options, room) } end
  local list = {}
  for line in options.block(it):gmatch "([^\n]*)\n" do
    list[#list + 1] = text_width.cut((line_of(line):gsub("%s+$", "")), math.max(room, 0))
  end
  list[#list + 1] = ""
  return list
end

-- A title stands behind its own row, a block behind the widest of the rows that it stands beside.
local function width_beside(rows, own, options, pause)
  if not options.block then return rows[own].width end
  local width = pause.width
  for i = own, #rows do width = math.max(width, rows[i].width) end
  return width
end

local function draw(lines, rows, own, it, options, pause)
  local row_text = options.colour and painted_row or plain_row
  local width = width_beside(rows, own, options, pause)
  local list = texts(it, options, options.width - width - 1)
  for i = own + 1, own + #list - 1 do rows[i] = rows[i] or pause end
  for i, row in ipairs(rows) do
    local text = i >= own and list[i - own + 1] or ""
    lines[#lines + 1] = row_text(row) .. (text ~= "" and (" "):rep(width - row.width + 1) .. text or "")
  end
end

--- Draws the picture; `write` gets the lines of one revision after the other. `list`: what graph:describe says of each,
--- newest first; one is asked for after the other, and not kept. `parents(it)`: those of its parents that are in the
--- list, too. `options`: width (nil: any), colour (true: with the terminal's colours), current (nil, or the set of the
--- database's revisions), block (nil, or from such a record to the text that is to stand in place of one line).
function M.draw(list, parents, options, write)
  options = { width = options.width or math.huge, colour = options.colour, current = options.current or {},
    block = options.block }
  local state = lanes.new()
  for _, it in ipairs(list) do
    local lines = {}
    local rows, own = lanes.rows(state, it.revision, parents(it))
    draw(lines, rows, own, it, options, lanes.pause(state))
    write(lines)
  end
end

--- The lines of the whole picture.
function M.lines(list, options)
  local all, parents = {}, drawn_parents(list)
  local function add(lines) table.move(lines, 1, #lines, #all + 1, all) end
  M.draw(list, function(it) return parents[it.revision] end, options, add)
  return all
end

return M
