--- The lines of a turn: pure, from the conversation's state to blocks of Markdown.
---
--- A block is what is drawn anew as a whole when its `stamp` changes; one with `text` only ever grows at its end.

local context = require("pillion.context")
local text = require("pillion.text")

local M = {}

---@class pillion.Block
---@field id string unique within its turn
---@field stamp string what the drawing depends on, besides `text`
---@field text? string
---@field prefix? string before each line of `text`
---@field highlight? string of all lines of `text`
---@field folds? "thought"
---@field draw fun(): pillion.Drawing

---@class pillion.Drawing
---@field lines string[]
---@field marks? pillion.Mark[]
---@field fold_from? integer the line, from 0, where its fold begins; without it there is none
---@field fold_to? integer its last line, if that is not the drawing's
---@field fold_label? "change"|"output" what is folded, if it is not what the model thought

---@class pillion.Mark a highlight of one whole line, or text behind it
---@field line integer from 0
---@field highlight? string
---@field hidden? integer so many bytes at its beginning are not shown
---@field behind? [string, string]

--- As Markdown's code, so that no letter of it is taken for a mark.
---@param words string
---@return string
local function code(words)
  words = text.plain(words)
  if words:find("`", 1, true) then
    return "`` " .. words .. " ``"
  end
  return "`" .. words .. "`"
end

--- The difference as unified text, without the file names.
---@param old string
---@param new string
---@return string[] lines
---@return integer added
---@return integer removed
function M.diff(old, new)
  local lines = text.lines(vim.diff(old, new, { result_type = "unified", ctxlen = 3 }) --[[@as string]])
  local added, removed = 0, 0
  for _, line in ipairs(lines) do
    added = added + (line:sub(1, 1) == "+" and 1 or 0)
    removed = removed + (line:sub(1, 1) == "-" and 1 or 0)
  end
  if lines[#lines] == "" then
    table.remove(lines)
  end
  return lines, added, removed
end

---@param item pillion.ToolItem
---@return {path: string, oldText?: string, newText: string}?
function M.change_of(item)
  for _, content in ipairs(item.content or {}) do
    if content.type == "diff" then
      return content
    end
  end
end

--- The words that a question shows, such as the command that would run: every line of them, harmless.
---@param item pillion.ToolItem
---@return string[]
function M.words_of(item)
  local lines = {} ---@type string[]
  for _, content in ipairs(item.content or {}) do
    if content.type == "content" and content.content.type == "text" then
      vim.list_extend(lines, vim.tbl_map(text.plain, vim.split(content.content.text, "\n", { plain = true })))
    end
  end
  return lines
end

--- A tool call in one line that is safe to show anywhere: `Replace b.txt (+1 -0)`.
---@param item pillion.ToolItem
---@return string
function M.tool_title(item)
  -- A title may hold the whole of a command; where it is asked about, the words below it do so too.
  local title = text.cut(text.plain(item.title or item.toolCallId), 100)
  local change = M.change_of(item)
  if not change then
    return title
  end
  local _, added, removed = M.diff(change.oldText or "", change.newText)
  return ("%s (+%d -%d)"):format(title, added, removed)
end

--- The fence that nothing in `lines` can close.
---@param lines string[]
---@return string
local function fence_for(lines)
  local longest = 2
  for _, line in ipairs(lines) do
    for run in line:gmatch("`+") do
      longest = math.max(longest, #run)
    end
  end
  return ("`"):rep(longest + 1)
end

---@param item pillion.ToolItem
---@return string?
local function told_reason(item)
  for _, content in ipairs(item.content or {}) do
    if content.type == "content" and content.content.type == "text" then
      return text.cut(text.plain(vim.trim(content.content.text)), 160)
    end
  end
end

--- What a command that has ended wrote, and the note behind it that says how it ended. Nothing for any other call.
---@param item pillion.ToolItem
---@return string[]
---@return string?
local function output_of(item)
  local is_over = item.status == "completed" or item.status == "failed"
  local lines = is_over and item.kind == "execute" and M.words_of(item) or {}
  while lines[#lines] == "" do
    table.remove(lines)
  end
  local ending = (lines[#lines] or ""):match("^%[(.*)%]$")
  return ending and #lines > 1 and lines or {}, ending
end

---@param item pillion.ToolItem
---@return string sign
---@return string? remark
---@return string? highlight
local function tool_state(item)
  local permission = item.permission
  if permission and not permission.decision then
    return "?", "waits for your answer", "PillionAsks"
  elseif permission and vim.startswith(permission.decision or "", "reject_") then
    return "✗", "you said no", "PillionToolFailed"
  elseif permission and permission.decision == "unanswered" then
    return "✗", "nobody answered in time", "PillionToolFailed"
  elseif item.status == "completed" then
    return "✓", permission and "you allowed it" or nil, nil
  elseif item.status == "failed" then
    local _, ending = output_of(item)
    return "✗", ending or told_reason(item) or "failed", "PillionToolFailed"
  elseif item.status == "stopped" then
    return "■", "stopped", "PillionStopped"
  end
  return "…", nil, nil
end

---@param item pillion.ToolItem
---@param after_tool boolean
---@return pillion.Drawing
local function draw_tool(item, after_tool)
  local sign, remark, highlight = tool_state(item)
  local lines = after_tool and {} or { "" }
  lines[#lines + 1] = ("- %s %s%s"):format(sign, code(M.tool_title(item)), remark and (": " .. remark) or "")
  local marks = { { line = #lines - 1, highlight = highlight or "PillionTool" } }
  local change = M.change_of(item)
  local asks = item.permission and not item.permission.decision
  local label ---@type "change"|"output"?
  -- What the user is asked about is shown without being opened first. The fences stand outside of the fold: Neovim hides
  -- their lines, and with its first line a fold would be hidden.
  local fold_from ---@type integer?
  ---@param content string[]
  ---@param language string
  local function fenced(content, language)
    local fence = fence_for(content)
    lines[#lines + 1] = fence .. language
    fold_from = not asks and #lines or nil
    vim.list_extend(lines, content)
    lines[#lines + 1] = fence
  end
  local words = asks and M.words_of(item) or output_of(item)
  if #words > 0 then
    label = "output"
    fenced(words, "")
  end
  if change then
    label = "change"
    local diff = M.diff(change.oldText or "", change.newText)
    for at, line in ipairs(diff) do
      local kind = line:sub(1, 1)
      if kind == "+" or kind == "-" then
        marks[#marks + 1] = { line = #lines + at, highlight = kind == "+" and "PillionAdded" or "PillionRemoved" }
      end
    end
    fenced(diff, "diff")
  end
  return { lines = lines, marks = marks, fold_from = fold_from, fold_to = #lines - 2, fold_label = label }
end

---@param turn pillion.Turn
---@return pillion.Drawing
local function draw_prompt(turn)
  local lines, marks = { "", "## You", "" }, { { line = 1, highlight = "PillionYou", hidden = 3 } }
  local names = {} ---@type string[]
  for at, block in ipairs(turn.prompt) do
    local name = context.name(block)
    if name then
      names[#names + 1] = name
    elseif block.type == "text" then
      if at > 1 then
        lines[#lines + 1] = ""
      end
      vim.list_extend(lines, text.lines((block.text:gsub("%s+$", ""))))
    end
  end
  if #names > 0 then
    lines[#lines + 1] = ""
  end
  for _, name in ipairs(names) do
    lines[#lines + 1] = "- " .. code(name)
    marks[#marks + 1] = { line = #lines - 1, highlight = "PillionContext" }
  end
  return { lines = lines, marks = marks }
end

--- What stands behind the answer's heading: who answered, and what it took.
---@param turn pillion.Turn
---@return string
local function summary(turn)
  local parts = { turn.state == "running" and "working" or nil }
  if turn.model then
    parts[#parts + 1] = text.plain(turn.model)
  end
  local usage = turn.usage or {}
  for _, count in ipairs({ { usage.inputTokens, "in" }, { usage.outputTokens, "out" } }) do
    if count[1] then
      parts[#parts + 1] = ("%d tokens %s"):format(count[1], count[2])
    end
  end
  return table.concat(parts, ", ")
end

---@param turn pillion.Turn
---@return string? label
---@return string? sentence
---@return string? highlight
local function ending(turn)
  if turn.state == "cancelled" then
    return "Stopped", turn.sentence or "The turn was stopped.", "PillionStopped"
  elseif turn.state == "failed" then
    return "Failed", turn.sentence or "The turn failed.", "PillionFailed"
  elseif turn.state == "lost" then
    return "Lost", turn.sentence or "The turn was lost.", "PillionFailed"
  elseif turn.stopReason == "max_turn_requests" then
    return "Stopped", turn.sentence or "The turn had done as much as it may.", "PillionStopped"
  elseif turn.stopReason == "max_tokens" then
    return "Cut off", "The model reached its limit of tokens.", "PillionStopped"
  elseif turn.stopReason == "refusal" then
    return "Refused", "The model declined to answer.", "PillionStopped"
  end
end

---@param words string
---@return boolean
local function leaves_fence_open(words)
  local open ---@type string?
  for line in (words .. "\n"):gmatch("(.-)\n") do
    local fence = line:match("^ ? ? ?(```+)") or line:match("^ ? ? ?(~~~+)")
    if open and fence and fence:sub(1, 1) == open:sub(1, 1) and #fence >= #open and line:find("^%s*[`~]+%s*$") then
      open = nil
    elseif not open and fence then
      open = fence
    end
  end
  return open ~= nil
end

--- A text of the model's, without empty lines around it. Once nothing more comes, a fence that it left open is closed, or
--- it would swallow what follows.
---@param item pillion.TextItem
---@param at integer
---@param is_over boolean
---@return pillion.Block
local function said(item, at, is_over)
  local thought = item.type == "thought"
  local words, stamp = item.text:gsub("^%s*\n", ""), ""
  if is_over then
    local trimmed = words:gsub("%s+$", "")
    stamp = #trimmed < #words and "trimmed" or ""
    words = trimmed
    if not thought and leaves_fence_open(words) then
      words, stamp = words .. "\n```", "fence closed"
    end
  end
  return {
    id = ("%d %s"):format(at, item.type),
    stamp = stamp,
    text = words,
    prefix = thought and "> " or "",
    highlight = thought and "PillionThought" or nil,
    folds = thought and "thought" or nil,
    draw = function()
      local lines = vim.tbl_map(function(line)
        return (thought and "> " or "") .. line
      end, text.lines(words))
      return { lines = vim.list_extend({ "" }, lines), fold_from = thought and 1 or nil }
    end,
  }
end

local PLAN_SIGNS = { pending = "○", in_progress = "▸", completed = "✓" }

---@param plan pillion.PlanEntry[]
---@return pillion.Drawing
local function draw_plan(plan)
  local lines, marks = { "", "Plan:", "" }, { { line = 1, highlight = "PillionHint" } }
  for _, entry in ipairs(plan) do
    local urgent = entry.priority == "high" and " (important)" or ""
    lines[#lines + 1] = ("- %s %s%s"):format(PLAN_SIGNS[entry.status] or "?", code(entry.content), urgent)
    marks[#marks + 1] = { line = #lines - 1, highlight = entry.status == "completed" and "PillionHint" or "PillionTool" }
  end
  return { lines = lines, marks = marks }
end

---@param turn pillion.Turn
---@return pillion.Block[]
function M.turn(turn)
  local blocks = {} ---@type pillion.Block[]
  if #turn.prompt > 0 then
    blocks[1] = {
      id = "prompt",
      stamp = tostring(#turn.prompt),
      draw = function()
        return draw_prompt(turn)
      end,
    }
  end
  local behind = summary(turn)
  blocks[#blocks + 1] = {
    id = "heading",
    stamp = behind,
    draw = function()
      local mark =
        { line = 1, highlight = "PillionAgent", hidden = 3, behind = behind ~= "" and { behind, "PillionHint" } or nil }
      return { lines = { "", "## Pillion" }, marks = { mark } }
    end,
  }
  for at, item in ipairs(turn.items) do
    local before = turn.items[at - 1]
    if item.type == "tool" then
      local tool = item --[[@as pillion.ToolItem]]
      local after_tool = before ~= nil and before.type == "tool"
      blocks[#blocks + 1] = {
        id = ("%d tool %s"):format(at, tool.toolCallId),
        stamp = table.concat({ tool.status or "", tool.title or "", tostring(tool.content), tostring(tool.permission) }, "\n")
          .. (tool.permission and tool.permission.decision or ""),
        draw = function()
          return draw_tool(tool, after_tool)
        end,
      }
    else
      blocks[#blocks + 1] = said(item --[[@as pillion.TextItem]], at, at < #turn.items or turn.state ~= "running")
    end
  end
  local plan = turn.plan
  if plan and #plan > 0 then
    blocks[#blocks + 1] = {
      id = "plan",
      stamp = tostring(plan),
      draw = function()
        return draw_plan(plan)
      end,
    }
  end
  local label, sentence, highlight = ending(turn)
  if label then
    blocks[#blocks + 1] = {
      id = "ending",
      stamp = label .. sentence,
      draw = function()
        return {
          lines = {
            "",
            ("**%s.** %s"):format(label, text.plain(sentence --[[@as string]])),
          },
          marks = { { line = 1, highlight = highlight } },
        }
      end,
    }
  end
  return blocks
end

return M
