--- The window in which a prompt is written. What is written stays there until it has been sent.

local config = require("pillion.config")
local context = require("pillion.context")
local view = require("pillion.view")

local M = {}

local HEIGHT = 6

---@class pillion.Draft
---@field blocks pillion.ContentBlock[] what goes along
---@field send fun(words: string)

---@type integer?
local buf
---@type pillion.Draft?
local draft

---@return string
local function words()
  return vim.trim(table.concat(vim.api.nvim_buf_get_lines(buf --[[@as integer]], 0, -1, false), "\n"))
end

---@return integer?
local function window()
  local win = buf and vim.api.nvim_buf_is_valid(buf) and vim.fn.bufwinid(buf) or -1
  return win ~= -1 and win or nil
end

function M.close()
  local win = window()
  if win then
    vim.cmd.stopinsert()
    vim.api.nvim_win_close(win, true)
  end
end

local function send()
  local written = words()
  if written == "" or not draft then
    return vim.notify("There is nothing to send yet.", vim.log.levels.INFO, { title = "pillion" })
  end
  local sending = draft
  vim.api.nvim_buf_set_lines(buf --[[@as integer]], 0, -1, false, {})
  M.close()
  sending.send(written)
end

---@return integer
local function make_buffer()
  local made = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(made, "pillion://prompt")
  vim.bo[made].buftype, vim.bo[made].bufhidden, vim.bo[made].swapfile = "nofile", "hide", false
  vim.bo[made].filetype = "pillion-prompt"
  view.highlight_markdown(made)
  local keys = config.get().keys
  local function map(mode, key, description, action)
    if key then
      vim.keymap.set(mode, key, action, { buffer = made, desc = "pillion: " .. description, nowait = true })
    end
  end
  map("n", keys.send, "send the prompt", send)
  map("i", keys.send_insert, "send the prompt", send)
  map("n", keys.close, "close the prompt window", M.close)
  map({ "n", "i" }, keys.stop, "stop the turn", function()
    require("pillion.commands").stop_by_key()
  end)
  return made
end

---@param given pillion.Draft
---@return string
local function winbar(given)
  local names = vim
    .iter(given.blocks)
    :map(function(block)
      return context.name(block) or "diagnostics"
    end)
    :join("; ")
  local keys = config.get().keys
  local along = names ~= "" and (" with %<" .. names:gsub("%%", "%%%%")) or ""
  local how = keys.send_insert and (keys.send_insert .. " sends") or keys.send and (keys.send .. " sends") or ""
  return (" %%#PillionYou#Prompt%%*%%#PillionContext#%s%%*%%=%%#PillionHint#%s "):format(along, how)
end

--- Opens the window below the chat, or at the bottom. What was written and not sent is still there.
---@param given pillion.Draft
function M.open(given)
  draft = given
  if not buf or not vim.api.nvim_buf_is_valid(buf) then
    buf = make_buffer()
  end
  local win = window()
  if win then
    vim.api.nvim_set_current_win(win)
  else
    local chat = view.window()
    if chat then
      vim.api.nvim_set_current_win(chat)
    end
    vim.cmd(chat and "belowright split" or "botright split")
    win = vim.api.nvim_get_current_win()
    vim.api.nvim_win_set_buf(win, buf)
    vim.api.nvim_win_set_height(win, HEIGHT)
  end
  local options =
    { winfixheight = true, number = false, relativenumber = false, signcolumn = "no", wrap = true, linebreak = true }
  options.winbar, options.foldmethod, options.winhighlight = winbar(given), "manual", ""
  for name, value in pairs(options) do
    vim.api.nvim_set_option_value(name, value, { win = win, scope = "local" })
  end
  vim.cmd.startinsert({ bang = true })
end

--- Puts back what could not be sent, unless something else is written there by now.
---@param written string
function M.restore(written)
  if buf and vim.api.nvim_buf_is_valid(buf) and words() == "" then
    vim.api.nvim_buf_set_lines(buf, 0, -1, false, vim.split(written, "\n", { plain = true }))
  end
end

return M
