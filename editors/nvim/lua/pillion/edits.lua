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
  vim.lsp.util.apply_text_edits(edits, buf, ENCODING)
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
