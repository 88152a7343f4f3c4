--- The chat: windows that show conversations, each in a buffer of its own.
---
--- Invariant: a window follows the end of a conversation only while its cursor stands there.

local config = require("pillion.config")
local page = require("pillion.view.page")
local render = require("pillion.view.render")
local text = require("pillion.text")

local M = {}

--- Where a chat stands, as its window bar tells it.
---@alias pillion.ChatState "idle"|"working"|"asks"

---@class pillion.Chat what the view knows of a conversation
---@field conversation pillion.Conversation
---@field state pillion.ChatState
---@field page? pillion.Page
---@field badge? string what has to be seen of the session all the time

---@type table<integer, pillion.Chat> by buffer
local chats = {}

--- Buffers of the plugin as it was before it was reloaded: they go when the chat is shown again.
local stale = vim.tbl_filter(function(buf)
  return vim.startswith(vim.bo[buf].filetype, "pillion")
end, vim.api.nvim_list_bufs())

local HIGHLIGHTS = {
  PillionYou = "Title",
  PillionAgent = "Title",
  PillionThought = "Comment",
  PillionContext = "Directory",
  PillionTool = "Identifier",
  PillionToolFailed = "DiagnosticError",
  PillionAdded = "Added",
  PillionRemoved = "Removed",
  PillionAsks = "DiagnosticWarn",
  PillionStopped = "DiagnosticWarn",
  PillionFailed = "DiagnosticError",
  PillionHint = "Comment",
}

local function define_highlights()
  for name, link in pairs(HIGHLIGHTS) do
    vim.api.nvim_set_hl(0, name, { link = link, default = true })
  end
end

local group = vim.api.nvim_create_augroup("pillion.view", {})
define_highlights()
vim.api.nvim_create_autocmd("ColorScheme", { group = group, callback = define_highlights })

vim.api.nvim_create_autocmd("InsertLeave", {
  group = group,
  desc = "pillion: folds are not updated while something is being inserted",
  callback = function()
    for buf in pairs(chats) do
      for _, win in ipairs(vim.fn.win_findbuf(buf)) do
        vim.wo[win].foldmethod = "expr"
      end
    end
  end,
})

--- Markdown as this Neovim can show it.
---@param buf integer
local function highlight(buf)
  vim.treesitter.language.register("markdown", { "pillion", "pillion-prompt" })
  if not pcall(vim.treesitter.start, buf, "markdown") then
    vim.bo[buf].syntax = "markdown"
  end
end

---@param win integer
local function dress(win)
  local options = {
    conceallevel = 2,
    wrap = true,
    linebreak = true,
    breakindent = true,
    number = false,
    relativenumber = false,
    signcolumn = "no",
    foldcolumn = "0",
    list = false,
    spell = false,
    foldmethod = "expr",
    foldexpr = "v:lua.require'pillion.view'.foldexpr()",
    foldtext = "v:lua.require'pillion.view'.foldtext()",
    foldminlines = 0,
    foldlevel = 0,
    foldenable = true,
    fillchars = "fold: ",
    winbar = "%!v:lua.require'pillion.view'.winbar()",
    winhighlight = "Folded:PillionThought",
  }
  for name, value in pairs(options) do
    vim.api.nvim_set_option_value(name, value, { win = win, scope = "local" })
  end
end

---@param buf integer
local function set_keys(buf)
  local keys, commands = config.get().keys, require("pillion.commands")
  local function map(key, description, action)
    if key then
      vim.keymap.set("n", key, action, { buffer = buf, desc = "pillion: " .. description, nowait = true })
    end
  end
  map(keys.stop, "stop the turn", commands.stop_by_key)
  map(keys.prompt, "write a prompt", function()
    commands.run("prompt")
  end)
  map(keys.answer, "answer a question", function()
    commands.run("answer")
  end)
  map(keys.close, "close the chat", function()
    M.close()
  end)
  map(keys.next_turn, "next turn", function()
    M.jump(1)
  end)
  map(keys.previous_turn, "previous turn", function()
    M.jump(-1)
  end)
end

---@param chat pillion.Chat
---@return integer buf
local function buffer_of(chat)
  if chat.page and vim.api.nvim_buf_is_valid(chat.page.buf) then
    return chat.page.buf
  end
  local buf = vim.api.nvim_create_buf(false, true)
  local name = "pillion://" .. chat.conversation.sessionId:sub(-8)
  -- The whole of an id is too long to be read in a status line; two can end the same.
  if not pcall(vim.api.nvim_buf_set_name, buf, name) then
    vim.api.nvim_buf_set_name(buf, ("%s#%d"):format(name, buf))
  end
  for option, value in pairs({ buftype = "nofile", bufhidden = "hide", swapfile = false, undolevels = -1, modifiable = false }) do
    vim.bo[buf][option] = value
  end
  chat.page = page.new(buf)
  chats[buf] = chat
  vim.bo[buf].filetype = "pillion"
  highlight(buf)
  set_keys(buf)
  vim.api.nvim_create_autocmd("BufWinEnter", {
    group = group,
    buffer = buf,
    callback = function()
      dress(vim.api.nvim_get_current_win())
    end,
  })
  vim.api.nvim_create_autocmd("BufWipeout", {
    group = group,
    buffer = buf,
    callback = function()
      chats[buf], chat.page = nil, nil
    end,
  })
  chat.page:draw(chat.conversation.turns)
  return buf
end

--- The chat's window in this tab page, whatever conversation it shows.
---@return integer?
local function window()
  return vim.iter(vim.api.nvim_tabpage_list_wins(0)):find(function(win)
    return vim.bo[vim.api.nvim_win_get_buf(win)].filetype == "pillion"
  end)
end

---@param win integer
local function to_end(win)
  vim.api.nvim_win_set_cursor(win, { vim.api.nvim_buf_line_count(vim.api.nvim_win_get_buf(win)), 0 })
  -- What was folded meanwhile has left room: Neovim would leave it empty.
  local seen = vim.fn.getwininfo(win)[1]
  local top = seen.topline
  while top > 1 and vim.api.nvim_win_text_height(win, { start_row = top - 2 }).all <= seen.height do
    top = top - 1
  end
  if top ~= seen.topline then
    vim.api.nvim_win_call(win, function()
      vim.fn.winrestview({ topline = top })
    end)
  end
end

local SPLITS = { right = "botright vsplit", left = "topleft vsplit", bottom = "botright split", top = "topleft split" }

--- Shows a conversation; the cursor goes there only if `enter` is set.
---@param chat pillion.Chat
---@param options {enter: boolean}
function M.open(chat, options)
  local buf, win, before = buffer_of(chat), window(), vim.api.nvim_get_current_win()
  if win then
    if vim.api.nvim_win_get_buf(win) ~= buf then
      vim.api.nvim_win_set_buf(win, buf)
      to_end(win)
    end
  else
    local settings = config.get().window
    local upright = settings.position == "right" or settings.position == "left"
    local whole = upright and vim.o.columns or vim.o.lines
    local size = settings.size < 1 and math.floor(whole * settings.size) or settings.size
    vim.cmd(("%s | %sresize %d"):format(SPLITS[settings.position], upright and "vertical " or "", size))
    win = vim.api.nvim_get_current_win()
    vim.api.nvim_win_set_buf(win, buf)
    to_end(win)
  end
  for _, old in ipairs(stale) do
    pcall(vim.api.nvim_buf_delete, old, { force = true })
  end
  stale = {}
  if options.enter or not vim.api.nvim_win_is_valid(before) then
    before = win
  end
  vim.api.nvim_set_current_win(before)
end

--- Closes the chat's window in this tab page. Says whether there was one.
---@return boolean
function M.close()
  local win = window()
  if not win then
    return false
  end
  if not pcall(vim.api.nvim_win_close, win, false) then
    -- The last window cannot be closed; it shows something else instead.
    vim.api.nvim_win_call(win, function()
      vim.cmd("enew")
    end)
  end
  return true
end

---@return integer? win
function M.window()
  return window()
end

--- The conversation that the cursor is in: in its chat, or in the window for prompts beside it.
---@return pillion.Chat?
function M.here()
  local buf = vim.api.nvim_get_current_buf()
  local win = vim.bo[buf].filetype == "pillion-prompt" and window()
  return chats[win and vim.api.nvim_win_get_buf(win) or buf]
end

--- Whether a conversation is on the screen.
---@param chat pillion.Chat
---@return boolean
function M.is_shown(chat)
  return chat.page ~= nil and #vim.fn.win_findbuf(chat.page.buf) > 0
end

--- The conversation changed: draws it, and lets the windows follow that stood at its end.
---@param chat pillion.Chat
---@param touched? table<pillion.Turn, true> nothing means all turns
function M.changed(chat, touched)
  if not chat.page then
    return
  end
  local buf = chat.page.buf
  local count = vim.api.nvim_buf_line_count(buf)
  local followers = vim.tbl_filter(function(win)
    return vim.api.nvim_win_get_cursor(win)[1] >= count
  end, vim.fn.win_findbuf(buf))
  chat.page:draw(chat.conversation.turns, touched)
  vim.iter(followers):each(to_end)
end

--- The window bars are drawn again.
function M.refresh()
  vim.cmd.redrawstatus({ bang = true })
end

---@param direction 1|-1
function M.jump(direction)
  local chat = chats[vim.api.nvim_get_current_buf()]
  if not chat then
    return
  end
  local row = vim.api.nvim_win_get_cursor(0)[1] - 1
  local rows = chat.page:turn_rows()
  local target ---@type integer?
  for _, start in ipairs(rows) do
    if direction == 1 and start > row then
      target = target or start
    elseif direction == -1 and start < row then
      target = start
    end
  end
  if target then
    vim.api.nvim_win_set_cursor(0, { target + 1, 0 })
  end
end

local STATES = {
  idle = function(keys)
    return keys.prompt and (keys.prompt .. " writes a prompt") or ":Pillion prompt"
  end,
  working = function(keys)
    return "working, " .. (keys.stop or ":Pillion stop") .. " stops"
  end,
  asks = function(keys)
    return "asks you, " .. (keys.answer or ":Pillion answer") .. " answers"
  end,
}

--- The bar above the window that is being drawn.
---@return string
function M.winbar()
  local win = vim.g.statusline_winid or vim.api.nvim_get_current_win()
  local chat = chats[vim.api.nvim_win_get_buf(win)]
  if not chat then
    return ""
  end
  local hint = STATES[chat.state](config.get().keys)
  if chat.badge then
    hint = ("%s, %s"):format(text.plain(chat.badge), hint)
  end
  local room = vim.api.nvim_win_get_width(win) - vim.fn.strdisplaywidth(hint) - 4
  local title = text.cut(text.plain(chat.conversation.title or "pillion"), math.max(room, 8))
  -- A percent sign would be an instruction, and a title is a model's or a stranger's text.
  local function literal(words)
    return (words:gsub("%%", "%%%%"))
  end
  local tint = chat.state == "asks" and "PillionAsks" or "PillionHint"
  return (" %%#PillionAgent#%s%%*%%=%%#%s#%s "):format(literal(title), tint, literal(hint))
end

--- The fold level of a line: what was thought, changes that were decided on, and the output of commands, are folded.
---@return string
function M.foldexpr()
  local chat = chats[vim.api.nvim_get_current_buf()]
  local row = vim.v.lnum - 1
  if not chat or not chat.page then
    return "0"
  end
  local drawn, first = chat.page:at(row)
  if not drawn or not drawn.fold_from then
    return "0"
  end
  local at = row - first
  if at < drawn.fold_from or at > (drawn.fold_to or at) then
    return "0"
  end
  return at == drawn.fold_from and ">1" or "1"
end

--- What stands in place of a closed fold.
---@return string
function M.foldtext()
  local chat = chats[vim.api.nvim_get_current_buf()]
  local drawn = chat and chat.page and chat.page:at(vim.v.foldstart - 1)
  local count = vim.v.foldend - vim.v.foldstart + 1
  local first = vim.fn.getline(vim.v.foldstart):gsub("^> ", "")
  if drawn and drawn.label then
    return ("  + the %s, %d lines"):format(drawn.label, count)
  end
  return ("> Thought: %s%s"):format(text.cut(first, 60), count > 1 and (" (%d lines)"):format(count) or "")
end

--- Shows in a window of its own the whole of what a tool would do.
---@param item pillion.ToolItem
function M.show_change(item)
  local change, words = render.change_of(item), render.words_of(item)
  local lines ---@type string[]
  if change then
    lines = { "--- " .. text.plain(change.path), "+++ " .. text.plain(change.path) }
    vim.list_extend(lines, (render.diff(change.oldText or "", change.newText)))
  else
    lines = { text.plain(item.title or item.toolCallId) }
  end
  if not change and #words == 0 then
    words = vim.split(vim.inspect(item.rawInput), "\n")
  end
  vim.list_extend(lines, words)
  M.scratch("pillion://change/" .. text.plain(item.toolCallId), lines, change and "diff" or "text")
end

--- A window with text to read; `q` closes it.
---@param name string
---@param lines string[]
---@param filetype string
function M.scratch(name, lines, filetype)
  local buf = vim.fn.bufadd(name)
  vim.fn.bufload(buf)
  vim.bo[buf].buftype, vim.bo[buf].bufhidden, vim.bo[buf].swapfile = "nofile", "wipe", false
  vim.bo[buf].modifiable = true
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  vim.bo[buf].modifiable = false
  vim.bo[buf].filetype = filetype
  vim.keymap.set("n", "q", "<Cmd>close<CR>", { buffer = buf, desc = "pillion: close" })
  local win = vim.fn.bufwinid(buf)
  if win ~= -1 then
    return vim.api.nvim_set_current_win(win)
  end
  vim.cmd("botright split")
  vim.api.nvim_win_set_buf(0, buf)
  vim.api.nvim_win_set_height(0, math.min(#lines + 1, math.floor(vim.o.lines / 2)))
end

M.highlight_markdown = highlight

return M
