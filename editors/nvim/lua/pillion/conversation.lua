--- What happens in one conversation: events go through the reducer in the order in which they came, whole words at a time,
--- and then the view draws the turns that they touched. Questions to the user open and close with the state.

local documents = require("pillion.documents")
local permission = require("pillion.permission")
local render = require("pillion.view.render")
local session = require("pillion.session")
local view = require("pillion.view")

local M = {}

--- A burst of words is drawn this often.
local DRAW_MS = 40

---@class pillion.OpenChat : pillion.Chosen
---@field workspace string
---@field inbox pillion.Event[] what came and is not in the state yet
---@field drawing boolean a drawing is due
---@field asked table<integer, {turn_id?: string, call_id: string}> open questions by key
---@field title? string as it is drawn
---@field closed boolean the pillion that had the session open is gone
---@field reopening? (fun(problem?: pillion.Problem))[] who waits for the next one to open it

local next_key = 0

--- A key that no prompt and no question of this Neovim has.
---@return integer
function M.new_key()
  next_key = next_key + 1
  return next_key
end

---@param session_id string
---@param workspace string
---@return pillion.OpenChat
function M.new(session_id, workspace)
  return {
    conversation = session.new(session_id),
    workspace = workspace,
    state = "idle",
    inbox = {},
    drawing = false,
    asked = {},
    closed = false,
  }
end

---@param chat pillion.OpenChat
---@return pillion.Turn?
function M.running_turn(chat)
  return vim.iter(chat.conversation.turns):rfind(function(turn)
    return turn.state == "running"
  end)
end

---@param chat pillion.OpenChat
---@param question {turn_id?: string, call_id: string}
---@return pillion.ToolItem?
local function item_of(chat, question)
  for _, turn in ipairs(chat.conversation.turns) do
    for _, item in ipairs(turn.turnId == question.turn_id and turn.items or {}) do
      if item.toolCallId == question.call_id then
        return item --[[@as pillion.ToolItem]]
      end
    end
  end
end

---@param chat pillion.OpenChat
---@param touched table<pillion.Turn, true>?
local function draw(chat, touched)
  local state, title = chat.state, chat.title
  chat.state = next(chat.asked) and "asks" or M.running_turn(chat) and "working" or "idle"
  chat.title = chat.conversation.title
  view.changed(chat, touched)
  if chat.state ~= state or chat.title ~= title then
    view.refresh()
    vim.api.nvim_exec_autocmds("User", { pattern = "PillionStatus", modeline = false })
  end
end

--- A question is over when its turn is, or when its tool call goes on without an answer.
---@param chat pillion.OpenChat
local function drop_answered_questions(chat)
  for key, question in pairs(chat.asked) do
    local item = item_of(chat, question)
    local decided = item and item.permission and item.permission.decision
    if not item or decided or item.status ~= "pending" then
      chat.asked[key] = nil
      permission.withdraw(key)
      if not decided then
        M.dispatch(chat, { type = "decided", key = key, decision = "unanswered" })
      end
    end
  end
end

--- Files that a tool has just written are read again where they are open.
---@param chat pillion.OpenChat
---@param event pillion.Event
local function reread_written(chat, event)
  local update = event.type == "updated" and event.params.update or {}
  if update.sessionUpdate ~= "tool_call_update" or update.status ~= "completed" then
    return
  end
  local turn_id = vim.tbl_get(event.params, "_meta", "pillion", "turnId")
  local item = item_of(chat, { turn_id = turn_id, call_id = update.toolCallId })
  if item and item.kind == "edit" then
    documents.reread(vim.tbl_map(function(location)
      return location.path
    end, item.locations or {}))
  end
end

--- Puts what came into the state, and draws it.
---@param chat pillion.OpenChat
local function take_in(chat)
  local events = session.coalesce(chat.inbox)
  chat.inbox = {}
  local touched = {} ---@type table<pillion.Turn, true>?
  for _, event in ipairs(events) do
    local changed
    chat.conversation, changed = session.reduce(chat.conversation, event)
    if changed == "all" then
      touched = nil
    elseif changed and touched then
      touched[changed] = true
    end
    reread_written(chat, event)
  end
  drop_answered_questions(chat)
  draw(chat, touched)
end

--- Something happened in a conversation. Words of the model may wait a moment for their neighbours.
---@param chat pillion.OpenChat
---@param event pillion.Event
function M.dispatch(chat, event)
  table.insert(chat.inbox, event)
  if event.type ~= "updated" then
    take_in(chat)
  elseif not chat.drawing then
    chat.drawing = true
    vim.defer_fn(function()
      chat.drawing = false
      if #chat.inbox > 0 then
        take_in(chat)
      end
    end, DRAW_MS)
  end
end

--- A question of pillion's: shown in its conversation, then asked.
---@param chat pillion.OpenChat
---@param params pillion.PermissionParams
---@param reply fun(result: pillion.PermissionResult)
function M.ask(chat, params, reply)
  local key = M.new_key()
  chat.asked[key] = { turn_id = vim.tbl_get(params, "_meta", "pillion", "turnId"), call_id = params.toolCall.toolCallId }
  M.dispatch(chat, { type = "asked", key = key, params = params })
  local item = item_of(chat, chat.asked[key] or {})
  if not item then
    return reply({ outcome = { outcome = "cancelled" } })
  end
  if not view.is_shown(chat) then
    view.open(chat, { enter = false })
  end
  permission.ask({
    key = key,
    title = render.tool_title(item),
    options = params.options,
    show = function()
      view.show_change(item)
    end,
    answer = function(option_id)
      if not option_id then
        return reply({ outcome = { outcome = "cancelled" } })
      end
      reply({ outcome = { outcome = "selected", optionId = option_id } })
      chat.asked[key] = nil
      M.dispatch(chat, { type = "decided", key = key, decision = option_id })
    end,
  })
end

return M
