--- Changes that pillion asks of open buffers (`workspace/applyEdit`), and their saving.
---
--- Invariant: a change is made for the text that pillion has seen, as one step of undo, or not at all. A buffer that was as on
--- the disk is saved, so that commands see the change; the user's own changes stay unsaved.

local config = require("pillion.config")
local text = require("pillion.text")

local M = {}

--- The encoding of pillion's positions.
local ENCODING = "utf-16"

--- Takes over what somebody else has written to the file, without a question: only for a buffer that has nothing to lose.
---@param buf integer
local function take_over(buf)
  local by_itself = vim.bo[buf].autoread
  vim.bo[buf].autoread = true
  vim.cmd(("silent! checktime %d"):format(buf))
  vim.bo[buf].autoread = by_itself
end

---@param client? vim.lsp.Client
---@param buf integer
local function save(client, buf)
  -- pillion is to see the change as it asked for it, before anything that formats at a save has its way.
  pcall(function()
    require("vim.lsp._changetracking").flush(client, buf)
  end)
  local saved, problem = pcall(vim.api.nvim_buf_call, buf, function()
    vim.cmd("silent update")
  end)
  if not saved then
    local name = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buf), ":.")
    local message = ("pillion changed %s, and it could not be saved: %s"):format(name, tostring(problem))
    vim.notify(text.plain(message), vim.log.levels.WARN, { title = "pillion" })
  end
end

---@class pillion.LineEdit
---@field first integer from 0
---@field last integer the line behind it
---@field lines string[]
---@field ends? boolean whether the buffer ends with a line end then, if the edit reaches its end

--- An edit of whole lines as the buffer will have them, or what the buffer cannot express of it: it has one kind of line ends,
--- and "fixendofline" gives it a last one.
---@param buf integer
---@param edit lsp.TextEdit
---@return pillion.LineEdit? lines
---@return string? problem
local function of_lines(buf, edit)
  local count, has_end = vim.api.nvim_buf_line_count(buf), vim.bo[buf].endofline
  local first, behind = edit.range.start, edit.range["end"]
  local to_end = behind.line >= count or (not has_end and behind.line == count - 1 and behind.character > 0)
  if first.character ~= 0 or (behind.character ~= 0 and not to_end) then
    return nil
  end
  local lines = vim.split(edit.newText, "\n", { plain = true })
  local ends = table.remove(lines) == "" or edit.newText == ""
  if not ends then
    lines = vim.split(edit.newText, "\n", { plain = true })
    if not to_end then
      return nil
    end
  end
  if to_end and ends ~= has_end and edit.newText ~= "" then
    if not ends and vim.bo[buf].fixendofline then
      return nil, "the change leaves out the last line end, which 'fixendofline' would write again"
    end
  end
  if vim.bo[buf].fileformat == "dos" then
    for at, line in ipairs(lines) do
      local is_whole = at < #lines or ends
      if is_whole and line:sub(-1) ~= "\r" then
        return nil, "the change has a line end that is none of DOS, and all of the buffer's are ('fileformat')"
      end
      lines[at] = is_whole and line:sub(1, -2) or line
    end
  elseif vim.bo[buf].fileformat == "mac" then
    return nil
  end
  local last = to_end and count or behind.line
  return { first = first.line, last = last, lines = lines, ends = to_end and edit.newText ~= "" and ends or nil }
end

--- Makes the edits, which are of whole lines, from the last to the first.
---@param buf integer
---@param edits lsp.TextEdit[]
---@return string? problem
local function make(buf, edits)
  local all = {} ---@type pillion.LineEdit[]
  for _, edit in ipairs(edits) do
    local lines, problem = of_lines(buf, edit)
    if problem then
      return problem
    elseif not lines then
      vim.lsp.util.apply_text_edits(edits, buf, ENCODING)
      return nil
    end
    all[#all + 1] = lines
  end
  table.sort(all, function(a, b)
    return a.first > b.first
  end)
  for _, edit in ipairs(all) do
    vim.api.nvim_buf_set_lines(buf, edit.first, edit.last, false, edit.lines)
    if edit.ends ~= nil then
      vim.bo[buf].endofline = edit.ends
    end
  end
end

---@param document {uri: string, version: integer}
---@param edits lsp.TextEdit[]
---@param client? vim.lsp.Client
---@return string? problem
local function change(document, edits, client)
  local buf = vim.uri_to_bufnr(document.uri)
  if not vim.api.nvim_buf_is_loaded(buf) then
    return "the buffer is not loaded"
  end
  local was_clean = not vim.bo[buf].modified
  local tick = vim.api.nvim_buf_get_changedtick(buf)
  if was_clean then
    take_over(buf)
  end
  if vim.api.nvim_buf_get_changedtick(buf) ~= tick or vim.lsp.util.buf_versions[buf] ~= document.version then
    return "the buffer has changed meanwhile"
  end
  if not vim.bo[buf].modifiable then
    return "the buffer cannot be changed ('modifiable' is off)"
  end
  -- Ends the step of undo before it.
  vim.bo[buf].undolevels = vim.bo[buf].undolevels
  local problem = make(buf, edits)
  if problem then
    return problem
  end
  if was_clean and config.get().save_edits then
    save(client, buf)
  end
end

--- Answers a `workspace/applyEdit`.
---@param params {edit: {documentChanges?: lsp.TextDocumentEdit[]}}
---@param client_id integer
---@return {applied: boolean, failureReason?: string}
function M.apply(params, client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  for _, one in ipairs(params.edit.documentChanges or {}) do
    local done, problem = pcall(change, one.textDocument, one.edits, client)
    if not done or problem then
      return { applied = false, failureReason = tostring(problem) }
    end
  end
  return { applied = true }
end

return M
