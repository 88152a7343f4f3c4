--- What a conversation looks like after an event: the state of one session, folded from what came over the wire.
---
--- Pure: no input, no output, no clock. The state is plain JSON, and what is not known is absent. `reduce` owns the state
--- that it is given and gives it back.

local M = {}

---@class pillion.Conversation
---@field sessionId string
---@field title? string
---@field seq integer the highest number of an update so far
---@field turns pillion.Turn[]

---@alias pillion.TurnState "running"|"completed"|"cancelled"|"failed"|"lost"

---@class pillion.Turn
---@field key? string|integer the client's own key of its prompt; absent in a replayed turn
---@field turnId? string
---@field messageId? string
---@field prompt pillion.ContentBlock[]
---@field items pillion.Item[]
---@field plan? pillion.PlanEntry[] what the model is going to do, as it last said it
---@field state pillion.TurnState
---@field stopReason? string
---@field sentence? string why it was stopped
---@field cause? string
---@field initiator? string
---@field source? string
---@field abortId? string
---@field usage? pillion.PromptUsage
---@field model? string

---@alias pillion.Item pillion.TextItem|pillion.ToolItem

---@class pillion.TextItem
---@field type "text"|"thought"
---@field text string

---@class pillion.ToolItem
---@field type "tool"
---@field toolCallId string
---@field title string
---@field kind string
---@field status "pending"|"in_progress"|"completed"|"failed"|"stopped"
---@field rawInput any
---@field locations? pillion.ToolLocation[]
---@field content? pillion.ToolCallContent[]
---@field permission? pillion.Permission

---@class pillion.Permission
---@field key string|integer
---@field options table[]
---@field decision? "allow_once"|"allow_always"|"reject_once"|"reject_always"|"withdrawn"|"unanswered"

---@class pillion.Event
---@field type "prompted"|"updated"|"asked"|"decided"|"answered"|"failed"|"opened"|"lost"
---@field key? string|integer
---@field content? pillion.ContentBlock[]
---@field params? table
---@field decision? string
---@field result? table
---@field error? table
---@field sentence? string

---@param session_id string
---@return pillion.Conversation
function M.new(session_id)
  return { sessionId = session_id, seq = 0, turns = {} }
end

---@class pillion.Place
---@field seq? integer
---@field turnId? string
---@field messageId? string

--- Where in the session a message belongs.
---@param params table
---@return pillion.Place
local function place_of(params)
  return params._meta and params._meta.pillion or {}
end

---@param turns pillion.Turn[]
---@param fits fun(turn: pillion.Turn): boolean
---@return pillion.Turn?
local function find(turns, fits)
  for _, turn in ipairs(turns) do
    if fits(turn) then
      return turn
    end
  end
end

---@param state pillion.Conversation
---@param turn_id string
---@return pillion.Turn?
local function by_id(state, turn_id)
  return find(state.turns, function(turn)
    return turn.turnId == turn_id
  end)
end

---@param state pillion.Conversation
---@param key string|integer
---@return pillion.Turn?
local function by_key(state, key)
  return find(state.turns, function(turn)
    return turn.key == key
  end)
end

--- The turn that an update belongs to; a running one without a name takes the name, and a turn of the past is made.
---@param state pillion.Conversation
---@param place pillion.Place
---@return pillion.Turn?
local function turn_of(state, place)
  if not place.turnId then
    return nil
  end
  local turn = by_id(state, place.turnId)
    or find(state.turns, function(turn)
      return turn.state == "running" and not turn.turnId
    end)
  if not turn then
    turn = { prompt = {}, items = {}, state = "completed" }
    table.insert(state.turns, turn)
  end
  turn.turnId = place.turnId
  turn.messageId = place.messageId or turn.messageId
  return turn
end

---@param turn pillion.Turn
---@param type "text"|"thought"
---@param content pillion.ContentBlock
local function say(turn, type, content)
  if content.type ~= "text" then
    return
  end
  local last = turn.items[#turn.items]
  if last and last.type == type then
    last.text = last.text .. content.text
  else
    table.insert(turn.items, { type = type, text = content.text })
  end
end

---@param turn pillion.Turn
---@param id string
---@return pillion.ToolItem?
local function tool_of(turn, id)
  for _, item in ipairs(turn.items) do
    if item.type == "tool" and item.toolCallId == id then
      return item --[[@as pillion.ToolItem]]
    end
  end
end

local TOOL_FIELDS = { "title", "kind", "status", "rawInput", "locations", "content" }

--- Merges the fields that `call` has into its tool item, which is made if it is not there.
---@param turn pillion.Turn
---@param call table
---@return pillion.ToolItem
local function tool(turn, call)
  local item = tool_of(turn, call.toolCallId)
  if not item then
    item = { type = "tool", toolCallId = call.toolCallId }
    table.insert(turn.items, item)
  end
  for _, field in ipairs(TOOL_FIELDS) do
    if call[field] ~= nil then
      item[field] = call[field]
    end
  end
  return item
end

---@type table<string, fun(state: pillion.Conversation, turn: pillion.Turn?, update: table)>
local updates = {
  user_message_chunk = function(_, turn, update)
    if turn then
      table.insert(turn.prompt, update.content)
    end
  end,
  agent_message_chunk = function(_, turn, update)
    if turn then
      say(turn, "text", update.content)
    end
  end,
  agent_thought_chunk = function(_, turn, update)
    if turn then
      say(turn, "thought", update.content)
    end
  end,
  tool_call = function(_, turn, update)
    if turn then
      tool(turn, update)
    end
  end,
  tool_call_update = function(_, turn, update)
    if turn and tool_of(turn, update.toolCallId) then
      tool(turn, update)
    end
  end,
  plan = function(_, turn, update)
    if turn then
      turn.plan = update.entries
    end
  end,
  session_info_update = function(state, _, update)
    state.title = update.title or state.title
  end,
}

--- A turn that leaves `running` leaves no question open and no tool at work.
---@param turn pillion.Turn
---@param state pillion.TurnState
local function settle(turn, state)
  if turn.state == "running" and state ~= "running" then
    for _, item in ipairs(turn.items) do
      if item.permission and not item.permission.decision then
        item.permission.decision = "withdrawn"
      end
      if item.status == "pending" or item.status == "in_progress" then
        item.status = "stopped"
      end
    end
  end
  turn.state = state
end

---@param turn pillion.Turn
---@param abort? table the record of what stopped the turn
local function blame(turn, abort)
  if abort then
    turn.initiator = abort.initiator or turn.initiator
    turn.source = abort.source or turn.source
    turn.abortId = abort.abort_id or turn.abortId
  end
end

--- What an event changed: one turn, none, or any number of them.
---@alias pillion.Touched pillion.Turn|"all"|nil

---@type table<string, fun(state: pillion.Conversation, event: pillion.Event): pillion.Touched>
local events = {
  prompted = function(state, event)
    local turn = { key = event.key, prompt = event.content, items = {}, state = "running" }
    table.insert(state.turns, turn)
    return turn
  end,

  updated = function(state, event)
    local place = place_of(event.params)
    state.seq = math.max(state.seq, place.seq or 0)
    local update = event.params.update
    local apply = updates[update.sessionUpdate]
    if apply then
      local turn = turn_of(state, place)
      apply(state, turn, update)
      return turn
    end
  end,

  asked = function(state, event)
    local turn = turn_of(state, place_of(event.params))
    if turn then
      local call = event.params.toolCall
      local item = tool_of(turn, call.toolCallId)
      if item then
        -- A call that was planned late had no title before.
        item.title, item.locations = call.title or item.title, call.locations or item.locations
        item.content = call.content or item.content
      else
        item = tool(turn, call)
      end
      item.permission = { key = event.key, options = event.params.options }
    end
    return turn
  end,

  decided = function(state, event)
    for _, turn in ipairs(state.turns) do
      for _, item in ipairs(turn.items) do
        if item.permission and item.permission.key == event.key then
          item.permission.decision = event.decision
          return turn
        end
      end
    end
  end,

  answered = function(state, event)
    local turn, result = by_key(state, event.key), event.result --[[@as table]]
    if not turn then
      return
    end
    settle(turn, result.stopReason == "cancelled" and "cancelled" or "completed")
    for _, field in ipairs({ "stopReason", "turnId", "messageId", "usage", "model", "sentence" }) do
      turn[field] = result[field] or turn[field]
    end
    local abort = vim.tbl_get(result, "diagnostics", "abort")
    turn.cause = abort and abort.cause or turn.cause
    blame(turn, abort)
    return turn
  end,

  failed = function(state, event)
    local turn, problem = by_key(state, event.key), event.error --[[@as table]]
    if not turn then
      return
    end
    settle(turn, "failed")
    turn.sentence = problem.message
    local data = type(problem.data) == "table" and problem.data or {}
    turn.cause = data.cause or turn.cause
    turn.turnId = data.turnId or turn.turnId
    blame(turn, vim.tbl_get(data, "diagnostics", "abort"))
    return turn
  end,

  opened = function(state, event)
    for _, stop in ipairs(event.result.stops or {}) do
      local turn = by_id(state, stop.turnId)
      if turn then
        if stop.stop == "max_turn_requests" then
          settle(turn, "completed")
          turn.stopReason = stop.stop
        else
          settle(turn, stop.stop)
        end
        for _, field in ipairs({ "sentence", "cause", "initiator", "source", "abortId" }) do
          turn[field] = stop[field]
        end
      end
    end
    return "all"
  end,

  lost = function(state, event)
    for _, turn in ipairs(state.turns) do
      if turn.state == "running" then
        settle(turn, "lost")
        turn.sentence = event.sentence
      end
    end
    return "all"
  end,
}

--- The state after `event`, and which turns it touched. An event of an unknown type changes nothing.
---@param state pillion.Conversation
---@param event pillion.Event
---@return pillion.Conversation state
---@return pillion.Touched touched
function M.reduce(state, event)
  local apply = events[event.type]
  return state, apply and apply(state, event) or nil
end

local CHUNKS = { agent_message_chunk = true, agent_thought_chunk = true }

--- Whether `next` only goes on with the words of `event`.
---@param event pillion.Event
---@param next pillion.Event
---@return boolean
local function goes_on(event, next)
  if event.type ~= "updated" or next.type ~= "updated" then
    return false
  end
  local before, after = event.params.update, next.params.update
  if not CHUNKS[before.sessionUpdate] or before.sessionUpdate ~= after.sessionUpdate then
    return false
  end
  local here, there = place_of(event.params), place_of(next.params)
  return before.content.type == "text"
    and after.content.type == "text"
    and here.turnId == there.turnId
    and here.messageId == there.messageId
end

--- Fewer events with the same effect: the words of neighbouring chunks become one chunk. A burst of many thousand words
--- would otherwise copy the text so far once for each of them.
---@param list pillion.Event[]
---@return pillion.Event[]
function M.coalesce(list)
  local out = {} ---@type pillion.Event[]
  local at = 1
  while at <= #list do
    local last = at
    while list[last + 1] and goes_on(list[last], list[last + 1]) do
      last = last + 1
    end
    if last == at then
      out[#out + 1] = list[at]
    else
      local words = {} ---@type string[]
      for index = at, last do
        words[#words + 1] = list[index].params.update.content.text
      end
      local params = list[last].params ---@cast params table
      local kind = params.update.sessionUpdate
      local update = { sessionUpdate = kind, content = { type = "text", text = table.concat(words) } }
      out[#out + 1] = { type = "updated", params = { sessionId = params.sessionId, update = update, _meta = params._meta } }
    end
    at = last + 1
  end
  return out
end

return M
