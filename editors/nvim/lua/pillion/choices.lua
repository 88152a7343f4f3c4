--- What a person chooses for a session: its model, its mode, and whether its workspace is trusted.
---
--- Invariant: pillion does not store a mode. Who opens the session again says it again before anything else is asked.

local client = require("pillion.client")
local text = require("pillion.text")
local view = require("pillion.view")

local M = {}

---@alias pillion.ChoiceId "model"|"mode"|"trust"

---@class pillion.Chosen : pillion.Chat
---@field options? pillion.ConfigOption[] as pillion last said
---@field modes? pillion.SessionModes as pillion last said
---@field mode? pillion.Mode the one that was chosen here

---@class pillion.Choice
---@field current string
---@field values {value: string, name: string, description?: string}[]

--- The names of the modes and of the trust, for completion; that pillion knows them is for pillion to say.
M.WORDS = { mode = { "read_only", "ask", "auto_edit" }, trust = { "trusted", "restricted" } }

--- A mode that asks before each change goes without saying; another one stands in the chat's bar.
---@param chat pillion.Chosen
---@param modes pillion.SessionModes
local function keep_modes(chat, modes)
  chat.modes = modes
  local current = vim.iter(modes.availableModes):find(function(mode)
    return mode.id == modes.currentModeId
  end)
  chat.badge = current and current.id ~= "ask" and current.name or nil
  view.refresh()
end

---@param chat pillion.Chosen
---@param mode pillion.Mode
---@param done fun(problem?: pillion.Problem)
local function set_mode(chat, mode, done)
  client.request("session/set_mode", { sessionId = chat.conversation.sessionId, modeId = mode }, function(problem)
    if not problem then
      keep_modes(chat, vim.tbl_extend("force", chat.modes, { currentModeId = mode }))
    end
    done(problem)
  end)
end

--- Keeps what pillion said when it opened the session, and tells it the mode that was chosen before.
---@param chat pillion.Chosen
---@param result pillion.NewSessionResult|pillion.OpenSessionResult
---@param done fun(problem?: pillion.Problem)
function M.opened(chat, result, done)
  chat.options = result.configOptions
  keep_modes(chat, result.modes)
  if chat.mode and chat.mode ~= result.modes.currentModeId then
    return set_mode(chat, chat.mode, done)
  end
  done()
end

---@param chat pillion.Chosen
---@param id pillion.ChoiceId
---@return pillion.Choice?
function M.of(chat, id)
  if id == "mode" then
    local values = vim.tbl_map(function(mode)
      return { value = mode.id, name = mode.name, description = mode.description }
    end, chat.modes and chat.modes.availableModes or {})
    return #values > 0 and { current = chat.modes.currentModeId, values = values } or nil
  end
  local option = vim.iter(chat.options or {}):find(function(each)
    return each.id == id
  end)
  return option and { current = option.currentValue, values = option.options } or nil
end

--- Asks pillion what there is to choose from, and what is chosen.
---@param chat pillion.Chosen
---@param id pillion.ChoiceId
---@param done fun(choice?: pillion.Choice, problem?: string)
function M.ask(chat, id, done)
  client.request("session/resume", { sessionId = chat.conversation.sessionId }, function(problem, result)
    if problem then
      return done(nil, problem.message)
    end
    M.opened(chat, result, function(failure)
      done(not failure and M.of(chat, id) or nil, failure and failure.message)
    end)
  end)
end

---@param chat pillion.Chosen
---@param id pillion.ChoiceId
---@param value string
---@param done fun(problem?: string)
function M.set(chat, id, value, done)
  if id == "mode" then
    return set_mode(chat, value, function(problem)
      chat.mode = not problem and value or chat.mode
      done(problem and problem.message)
    end)
  end
  local params = { sessionId = chat.conversation.sessionId, configId = id, value = value }
  client.request("session/set_config_option", params, function(problem, result)
    if not problem then
      chat.options = result.configOptions
    end
    done(problem and problem.message)
  end)
end

---@param options? pillion.ConfigOption[]
---@return string?
local function trust_of(options)
  local option = vim.iter(options or {}):find(function(each)
    return each.id == "trust"
  end)
  return option and option.currentValue
end

--- An update of a session: pillion may say that a setting is another one now. Gives what the user should hear of it.
---@param chat pillion.Chosen
---@param update pillion.SessionUpdate
---@return string?
function M.updated(chat, update)
  if update.sessionUpdate ~= "config_option_update" then
    return nil
  end
  local before = trust_of(chat.options)
  chat.options = update.configOptions
  if before == "trusted" and trust_of(chat.options) == "restricted" then
    return "The workspace is no longer trusted: its AGENTS.md or .pillion.toml has changed. `:Pillion trust` trusts it as it is now."
  end
end

---@param each {value: string, name: string, description?: string}
---@return string
function M.line(each)
  return text.plain(each.description and ("%s: %s"):format(each.name, each.description) or each.name)
end

--- What is chosen, as a person reads it.
---@param choice pillion.Choice
---@return string
function M.current(choice)
  local known = vim.iter(choice.values):find(function(each)
    return each.value == choice.current
  end)
  return known and M.line(known) or choice.current ~= "" and text.plain(choice.current) or "not chosen yet"
end

return M
