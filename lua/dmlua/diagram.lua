-- `history --dot` and `--mermaid`: the history as text for programs that draw: Graphviz, and what READMEs show.
-- A solid arrow leads from a revision to what comes after it, a dotted one from what has to be there too.

local drawn_parents = require "dmlua.drawn_parents"

local M = {}

local function printable(text)
  return (text:gsub("%c", " "))
end

local function marks(it, current)
  local list = {}
  if it.head then list[1] = it.effective_head and "effective head" or "head" end
  if current then list[#list + 1] = "current" end
  for _, label in ipairs(it.branch_labels) do list[#list + 1] = label end
  return list
end

-- The lines of a revision's box.
local function lines_of(it, current)
  local list = { it.revision }
  local marked = marks(it, current)
  if #marked > 0 then list[2] = ("(%s)"):format(table.concat(marked, ", ")) end
  if it.message and it.message ~= "" then list[#list + 1] = printable(it.message) end
  return list
end

-- Calls `edge(from, to, dotted)` for each arrow between two revisions that are drawn. A parent that is also named in
-- depends_on has one arrow.
local function each_edge(list, options, edge)
  local parents = drawn_parents(list)
  for _, it in ipairs(list) do
    local seen = {}
    for _, id in ipairs(parents[it.revision]) do
      edge(id, it.revision, false)
      seen[id] = true
    end
    for _, id in ipairs(options.dependencies(it)) do
      if parents[id] and not seen[id] then edge(id, it.revision, true) end
      seen[id] = true
    end
  end
end

-- A quoted string of the DOT language. In a label a backslash begins a code: it is doubled, and in identifiers as well,
-- so that none escapes the quote at the end.
local function dot_text(text)
  return (text:gsub('[\\"]', "\\%0"))
end

local function dot_id(text)
  return '"' .. dot_text(text) .. '"'
end

local function dot_label(lines)
  local escaped = {}
  for i, line in ipairs(lines) do escaped[i] = dot_text(line) end
  return '"' .. table.concat(escaped, "\\n") .. '"'
end

local function dot_style(it, current)
  local style = {}
  if it.head then style[1] = "bold" end
  if current then style[#style + 1] = "filled" end
  if #style == 0 then return "" end
  return (", style=%s%s"):format('"' .. table.concat(style, ",") .. '"', current and ', fillcolor="palegreen"' or "")
end

--- The lines of a digraph in Graphviz's DOT. `list`: what graph:describe says of each revision, newest first.
--- `options`: current (nil, or the set of the database's revisions), dependencies(it) (the identifiers that its
--- depends_on mean).
function M.dot(list, options)
  local current = options.current or {}
  local lines = { "digraph history {", "  rankdir=BT;", '  node [shape=box, fontname="monospace"];' }
  for _, it in ipairs(list) do
    local here = current[it.revision]
    lines[#lines + 1] = ("  %s [label=%s%s];")
      :format(dot_id(it.revision), dot_label(lines_of(it, here)), dot_style(it, here))
  end
  each_edge(list, options, function(from, to, dotted)
    lines[#lines + 1] = ("  %s -> %s%s;"):format(dot_id(from), dot_id(to),
      dotted and " [style=dotted, constraint=false]" or "")
  end)
  lines[#lines + 1] = "}"
  return lines
end

-- Mermaid's own codes for what would end a text or be read as HTML or Markdown.
local function mermaid_text(text)
  return (text:gsub('[#"<>&`;\\]', function(c) return ("#%d;"):format(c:byte()) end))
end

--- The lines of a flowchart in Mermaid, which GitHub and others show in a README's ```mermaid block. Arguments as for
--- `dot`.
function M.mermaid(list, options)
  local current, names = options.current or {}, {}
  local lines, heads, here = { "flowchart BT" }, {}, {}
  for i, it in ipairs(list) do
    local name, texts = "r" .. i, lines_of(it, current[it.revision])
    names[it.revision] = name
    for k, text in ipairs(texts) do texts[k] = mermaid_text(text) end
    lines[#lines + 1] = ('  %s["%s"]'):format(name, table.concat(texts, "<br/>"))
    if it.head then heads[#heads + 1] = name end
    if current[it.revision] then here[#here + 1] = name end
  end
  each_edge(list, options, function(from, to, dotted)
    lines[#lines + 1] = ("  %s %s %s"):format(names[from], dotted and "-.->" or "-->", names[to])
  end)
  local function class(name, style, members)
    if #members == 0 then return end
    lines[#lines + 1] = ("  classDef %s %s"):format(name, style)
    lines[#lines + 1] = ("  class %s %s"):format(table.concat(members, ","), name)
  end
  class("head", "stroke-width:3px", heads)
  class("current", "fill:#98fb98", here)
  return lines
end

return M
