--- The conversations of this Neovim: which one a workspace has, what is asked of pillion for them, and what the user is
--- told.
---
--- Invariant: a session is asked for nothing before the pillion that runs has it open.

local choices = require("pillion.choices")
local client = require("pillion.client")
local config = require("pillion.config")
local conversation = require("pillion.conversation")
local documents = require("pillion.documents")
local last = require("pillion.last")
local text = require("pillion.text")
local view = require("pillion.view")

local M = {}

--- How long a Stop may go unanswered before the user is told what else there is.
local STOP_MS = 3000

---@type table<string, pillion.OpenChat> by session
local chats = {}
---@type table<string, pillion.OpenChat> the one that each workspace shows
local current = {}
---@type table<string, (fun(chat?: pillion.OpenChat, problem?: string))[]> who waits for a workspace's conversation
local opening = {}

--- Counts the pillions that were asked to leave.
local process = 0

---@param message string
---@param level? integer
local function tell(message, level)
  vim.notify(text.plain(message), level or vim.log.levels.INFO, { title = "pillion" })
end

---@param session_id string
---@param workspace string
---@return pillion.OpenChat
local function add(session_id, workspace)
  documents.add(workspace)
  chats[session_id] = conversation.new(session_id, workspace)
  return chats[session_id]
end

--- Remembers for the next start what this conversation has come to.
---@param chat pillion.OpenChat
local function remember(chat)
  local ended = vim.iter(chat.conversation.turns):rfind(function(turn)
    return turn.state ~= "running" and turn.state ~= "lost" and turn.turnId ~= nil
  end)
  last.remember(chat.workspace, { sessionId = chat.conversation.sessionId, seen = ended and ended.turnId or nil })
end

---@param chat pillion.OpenChat
local function show_as_current(chat)
  local before = current[chat.workspace]
  current[chat.workspace] = chat
  if before and before ~= chat and view.is_shown(before) then
    view.open(chat, { enter = false })
  end
end

--- Tells how the last turn ended, if it was stopped and nobody has told it yet.
---@param chat pillion.OpenChat
local function tell_last_stop(chat)
  local turn = chat.conversation.turns[#chat.conversation.turns]
  local memory = last.recall(chat.workspace) or {}
  local known = memory.sessionId == chat.conversation.sessionId and memory.seen == (turn and turn.turnId)
  if turn and turn.sentence and turn.state ~= "running" and not known then
    tell("Of the last turn of this session: " .. turn.sentence, vim.log.levels.WARN)
  end
end

--- A history is replayed without its title: the list has it.
---@param chat pillion.OpenChat
local function fetch_title(chat)
  client.request("session/list", { cwd = chat.workspace }, function(_, result)
    local id = chat.conversation.sessionId
    local entry = vim.iter(result and result.sessions or {}):find(function(each)
      return each.sessionId == id
    end)
    if entry and entry.title and not chat.conversation.title then
      local update = { sessionUpdate = "session_info_update", title = entry.title }
      conversation.dispatch(chat, { type = "updated", params = { sessionId = id, update = update } })
    end
  end)
end

---@param session_id string
---@param workspace string
---@param done fun(chat?: pillion.OpenChat, problem?: pillion.Problem)
local function load(session_id, workspace, done)
  local chat = add(session_id, workspace)
  client.request("session/load", { sessionId = session_id }, function(problem, result)
    if problem then
      chats[session_id] = nil
      return done(nil, problem)
    end
    conversation.dispatch(chat, { type = "opened", result = result })
    tell_last_stop(chat)
    remember(chat)
    fetch_title(chat)
    choices.opened(chat, result, function()
      done(chat)
    end)
  end)
end

---@param workspace string
---@param done fun(chat?: pillion.OpenChat, problem?: string)
local function create(workspace, done)
  client.request("session/new", { cwd = workspace }, function(problem, result)
    if problem then
      return done(nil, problem.message)
    end
    local chat = add(result.sessionId, workspace)
    remember(chat)
    choices.opened(chat, result, function()
      done(chat)
    end)
  end)
end

---@param workspace string
---@param chat? pillion.OpenChat
---@param problem? string
local function opened(workspace, chat, problem)
  local waiting = opening[workspace] or {}
  opening[workspace] = nil
  if chat then
    show_as_current(chat)
  end
  for _, done in ipairs(waiting) do
    done(chat, problem)
  end
end

--- Opens a conversation's session again if its pillion is gone; by then it is known what became of the last turn.
---@param chat pillion.OpenChat
---@param done fun(problem?: pillion.Problem)
local function reopen(chat, done)
  if not chat.closed then
    return done()
  end
  if chat.reopening then
    return table.insert(chat.reopening, done)
  end
  chat.reopening = { done }
  local asked_of ---@type integer
  local again ---@type fun()
  local function reopened(problem)
    if asked_of ~= process then
      -- What the one that has left meanwhile said is worth nothing to the next one.
      return again()
    end
    local waiting = chat.reopening or {}
    chat.reopening = nil
    chat.closed = problem ~= nil
    for _, each in ipairs(waiting) do
      each(problem)
    end
  end
  function again()
    asked_of = process
    client.request("session/resume", { sessionId = chat.conversation.sessionId }, function(problem, result)
      if problem or asked_of ~= process then
        return reopened(problem)
      end
      conversation.dispatch(chat, { type = "opened", result = result })
      remember(chat)
      choices.opened(chat, result, reopened)
    end)
  end
  again()
end

---@return string
local function this_workspace()
  return vim.fs.normalize(config.get().workspace())
end

--- The conversation that is meant here, if it is open: the one that the cursor is in, else the workspace's.
---@return pillion.OpenChat?
function M.current()
  return view.here() --[[@as pillion.OpenChat?]] or current[this_workspace()]
end

--- The conversation that is meant here: one that is open, else the workspace's last one, else a new one.
---@param done fun(chat?: pillion.OpenChat, problem?: string)
function M.with_current(done)
  local workspace, chat = this_workspace(), M.current()
  if chat then
    return reopen(chat, function(problem)
      done(not problem and chat or nil, problem and problem.message)
    end)
  end
  if opening[workspace] then
    return table.insert(opening[workspace], done)
  end
  opening[workspace] = { done }
  local function finish(made, problem)
    opened(workspace, made, problem)
  end
  local memory = config.get().resume_last and last.recall(workspace) or nil
  if not memory then
    return create(workspace, finish)
  end
  load(memory.sessionId, workspace, function(loaded, problem)
    if loaded then
      finish(loaded)
    elseif problem and problem.code == client.UNREACHABLE then
      finish(nil, problem.message)
    else
      -- The session is gone, or cannot be read: that is no reason not to talk.
      create(workspace, finish)
    end
  end)
end

--- Begins a new conversation in this workspace.
---@param done fun(chat?: pillion.OpenChat, problem?: string)
function M.new(done)
  local workspace = this_workspace()
  create(workspace, function(chat, problem)
    if chat then
      show_as_current(chat)
    end
    done(chat, problem)
  end)
end

--- Goes on with another session.
---@param entry pillion.SessionEntry
---@param done fun(chat?: pillion.OpenChat, problem?: string)
function M.switch(entry, done)
  local function switched(chat)
    current[this_workspace()] = chat
    remember(chat)
    done(chat)
  end
  local known = chats[entry.sessionId]
  if known then
    return reopen(known, function(problem)
      if problem then
        return done(nil, problem.message)
      end
      switched(known)
    end)
  end
  load(entry.sessionId, vim.fs.normalize(entry.cwd), function(chat, problem)
    if not chat then
      return done(nil, problem and problem.message)
    end
    switched(chat)
  end)
end

--- Sends a prompt; `refused` is called if it did not even reach pillion.
---@param content pillion.ContentBlock[]
---@param refused fun(problem: string)
function M.prompt(content, refused)
  M.with_current(function(chat, problem)
    if not chat then
      return refused(problem or "")
    end
    local key = conversation.new_key()
    conversation.dispatch(chat, { type = "prompted", key = key, content = content })
    if config.get().open_on_prompt then
      view.open(chat, { enter = false })
    end
    local params = { sessionId = chat.conversation.sessionId, prompt = content }
    client.request("session/prompt", params, function(failure, result)
      if failure and failure.code == client.LOST then
        return -- `lost` has been told already
      elseif failure then
        conversation.dispatch(chat, { type = "failed", key = key, error = failure })
        tell(failure.message, vim.log.levels.ERROR)
      else
        conversation.dispatch(chat, { type = "answered", key = key, result = result })
        if result.sentence then
          tell(result.sentence, vim.log.levels.WARN)
        end
      end
      remember(chat)
    end)
  end)
end

---@param chat pillion.OpenChat
---@param source string
local function stop(chat, source)
  if not conversation.running_turn(chat) then
    return tell("Nothing is running.")
  end
  local answered = false
  local params = { sessionId = chat.conversation.sessionId, initiator = "user", source = source }
  client.request("session/cancel", params, function(problem)
    answered = true
    if problem and problem.code ~= client.LOST then
      tell(problem.message, vim.log.levels.ERROR)
    end
  end)
  vim.defer_fn(function()
    if not answered then
      tell("pillion has not answered the Stop yet. `:Pillion restart` ends it and starts it anew.", vim.log.levels.ERROR)
    end
  end, STOP_MS)
end

--- Stops what runs in the conversation that is meant here.
---@param source "nvim.keymap"|"nvim.command"
function M.stop(source)
  local chat = M.current()
  if opening[this_workspace()] or (chat and chat.reopening) then
    -- A prompt may be on its way; this comes after it.
    return M.with_current(function(opened_chat)
      if opened_chat then
        stop(opened_chat, source)
      end
    end)
  end
  if not chat then
    return tell("Nothing is running.")
  end
  stop(chat, source)
end

--- Takes up again, when pillion is back, what was open.
local function reopen_all()
  for _, chat in pairs(chats) do
    reopen(chat, function(problem)
      if problem and problem.code ~= client.LOST then
        tell(problem.message, vim.log.levels.ERROR)
      end
    end)
  end
end

--- Ends pillion and starts it anew, with the conversations that are open.
function M.restart()
  client.restart(function(problem)
    if problem then
      return tell(problem, vim.log.levels.ERROR)
    end
    reopen_all()
  end)
end

--- No pillion that can be asked has a session open.
local function close_all()
  for _, chat in pairs(chats) do
    chat.closed = true
  end
end

client.hook({
  updated = function(params)
    local chat = chats[params.sessionId]
    if chat then
      conversation.dispatch(chat, { type = "updated", params = params })
      local news = choices.updated(chat, params.update)
      if news then
        tell(news, vim.log.levels.WARN)
      end
    end
  end,
  asked = function(params, reply)
    local chat = chats[params.sessionId]
    if not chat then
      return reply({ outcome = { outcome = "cancelled" } })
    end
    conversation.ask(chat, params, reply)
  end,
  ready = documents.follow,
  leaving = function()
    process = process + 1
    close_all()
  end,
  ended = function(sentence)
    close_all()
    for _, chat in pairs(chats) do
      conversation.dispatch(chat, { type = "lost", sentence = sentence })
    end
  end,
  lost = function(sentence)
    tell(sentence, vim.log.levels.ERROR)
  end,
  restarted = function()
    reopen_all()
    tell("pillion was started again; the conversation goes on.")
  end,
  broken = function(problem)
    tell(problem, vim.log.levels.ERROR)
  end,
})

return M
