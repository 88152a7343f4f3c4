--- Questions of pillion's to the user, one at a time, by `vim.ui.select`.
---
--- Invariant: a question is answered once, by the user's own choice or as withdrawn. It never opens over something that the
--- user is typing: it waits for normal mode.

local text = require("pillion.text")

local M = {}

---@class pillion.Question
---@field key integer
---@field title string what would be done, in one line
---@field options {optionId: string, name: string, kind: string}[]
---@field show fun() shows the whole of what would be done
---@field answer fun(option_id?: string) nothing means that it was withdrawn
---@field postponed? boolean the user closed the choice; it is shown again when they say so

---@type pillion.Question[]
local open = {}
---@type pillion.Question?
local shown

---@param message string
---@param level? integer
local function tell(message, level)
  vim.notify(message, level or vim.log.levels.INFO, { title = "pillion" })
end

---@param question pillion.Question
---@return boolean
local function is_open(question)
  return vim.list_contains(open, question)
end

---@param question pillion.Question
local function remove(question)
  open = vim.tbl_filter(function(other)
    return other ~= question
  end, open)
end

local group = vim.api.nvim_create_augroup("pillion.permission", {})

--- Whether the next key would not be meant for the question.
---@return boolean
local function is_typing()
  return vim.api.nvim_get_mode().mode ~= "n" or vim.fn.getcmdwintype() ~= ""
end

local show_next

---@param question pillion.Question
---@param choice? {id?: string}
local function chosen(question, choice)
  shown = nil
  if not is_open(question) then
    tell(("Nobody asks any more: %s"):format(question.title))
  elseif choice and choice.id then
    remove(question)
    question.answer(choice.id)
  else
    question.postponed = true
    if choice then
      question.show()
    end
    tell("The question stays open. `:Pillion answer` asks it again, `:Pillion stop` ends the turn.")
  end
  vim.schedule(show_next)
end

function show_next()
  if shown then
    return
  end
  local question = vim.iter(open):find(function(each)
    return not each.postponed
  end)
  if not question then
    return
  end
  if is_typing() then
    vim.api.nvim_create_autocmd("ModeChanged", {
      group = group,
      pattern = "*:n",
      once = true,
      callback = vim.schedule_wrap(show_next),
    })
    return
  end
  shown = question
  local choices = vim.tbl_map(function(option)
    return { id = option.optionId, name = text.plain(option.name) }
  end, question.options)
  table.insert(choices, { name = "Show it first" })
  vim.cmd.redraw()
  local count = #open > 1 and (" (1 of %d)"):format(#open) or ""
  vim.ui.select(choices, {
    prompt = ("pillion asks%s: %s?"):format(count, question.title),
    kind = "pillion.permission",
    format_item = function(choice)
      return choice.name
    end,
  }, function(choice)
    chosen(question, choice)
  end)
end

--- Asks the user, after those who were first.
---@param question pillion.Question
function M.ask(question)
  table.insert(open, question)
  if shown or is_typing() then
    tell(("pillion asks: %s?"):format(question.title), vim.log.levels.WARN)
  end
  vim.schedule(show_next)
end

--- Takes a question back.
---@param key integer
function M.withdraw(key)
  for _, question in ipairs(open) do
    if question.key == key then
      remove(question)
      question.answer(nil)
    end
  end
end

--- Asks again what the user put off. Says whether there was something.
---@return boolean
function M.again()
  for _, question in ipairs(open) do
    question.postponed = nil
  end
  -- A choice that was closed without a word would block the others for ever.
  shown = nil
  vim.schedule(show_next)
  return #open > 0
end

return M
