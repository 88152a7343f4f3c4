--- What goes with a prompt: the selection, the current file, the diagnostics under the cursor, as content blocks; and how
--- such a block is named where a person reads.

local documents = require("pillion.documents")
local text = require("pillion.text")

local M = {}

---@class pillion.Selection lines are counted from 1
---@field first integer
---@field last integer
---@field lines string[]

---@class pillion.ContextSource what a prompt is about
---@field buf integer
---@field line integer the cursor's, from 1
---@field selection? pillion.Selection

--- The part of `buf` that a command's range names. A selection within lines is taken as it was made.
---@param buf integer
---@param first integer
---@param last integer
---@return pillion.Selection
function M.selection(buf, first, last)
  local mode, from, to = vim.fn.visualmode(), vim.fn.getpos("'<"), vim.fn.getpos("'>")
  if mode ~= "V" and from[2] == first and to[2] == last and buf == vim.api.nvim_get_current_buf() then
    local ok, lines = pcall(vim.fn.getregion, from, to, { type = mode })
    if ok then
      return { first = first, last = last, lines = lines }
    end
  end
  return { first = first, last = last, lines = vim.api.nvim_buf_get_lines(buf, first - 1, last, false) }
end

--- Where the prompt was asked for: the current window's buffer and cursor, and what the range names.
---@param range? {[1]: integer, [2]: integer}
---@return pillion.ContextSource
function M.here(range)
  local buf = vim.api.nvim_get_current_buf()
  return {
    buf = buf,
    line = vim.api.nvim_win_get_cursor(0)[1],
    selection = range and M.selection(buf, range[1], range[2]) or nil,
  }
end

---@param buf integer
---@return boolean
local function is_file(buf)
  return vim.bo[buf].buftype == "" and vim.api.nvim_buf_get_name(buf) ~= ""
end

---@param buf integer
---@return string
local function uri_of(buf)
  return is_file(buf) and vim.uri_from_bufnr(buf) or ("buffer:%d"):format(buf)
end

---@param buf integer
---@return string
local function name_of(buf)
  local name = vim.api.nvim_buf_get_name(buf)
  return name ~= "" and vim.fn.fnamemodify(name, ":.") or "[No Name]"
end

local SEVERITIES = { "error", "warning", "information", "hint" }

---@type table<pillion.ContextKind, fun(source: pillion.ContextSource): pillion.ContentBlock?, string?>
local collect = {
  selection = function(source)
    local selected = source.selection
    if not selected then
      return nil, "Nothing is selected: give `:Pillion prompt` a range."
    end
    local uri = ("%s#L%d-L%d"):format(uri_of(source.buf), selected.first, selected.last)
    local contents = table.concat(selected.lines, "\n") .. "\n"
    return { type = "resource", resource = { uri = uri, mimeType = "text/plain", text = contents } }
  end,

  file = function(source)
    if not is_file(source.buf) then
      return nil, "The current buffer is no file."
    end
    return { type = "resource_link", uri = vim.uri_from_bufnr(source.buf), name = name_of(source.buf) }
  end,

  diagnostics = function(source)
    local found = vim.diagnostic.get(source.buf, { lnum = source.line - 1 })
    if #found == 0 then
      return nil, "There are no diagnostics on the line of the cursor."
    end
    local lines = { ("Diagnostics at %s:%d"):format(name_of(source.buf), source.line) }
    for _, diagnostic in ipairs(found) do
      local from = vim.iter({ diagnostic.source or false, diagnostic.code or false }):filter(function(word)
        return word
      end)
      local origin = from:map(tostring):join(" ")
      lines[#lines + 1] = ("- %s: %s%s"):format(
        SEVERITIES[diagnostic.severity] or "error",
        diagnostic.message,
        origin ~= "" and (" (%s)"):format(origin) or ""
      )
    end
    local line = vim.api.nvim_buf_get_lines(source.buf, source.line - 1, source.line, false)[1] or ""
    vim.list_extend(lines, { "The line is:", line })
    return { type = "text", text = table.concat(lines, "\n") }
  end,
}

--- The blocks of what was asked for by name, or why one of them is not to be had.
---@param kinds pillion.ContextKind[]
---@param source pillion.ContextSource
---@return pillion.ContentBlock[]? blocks
---@return string? problem
function M.collect(kinds, source)
  local blocks = {}
  for _, kind in ipairs(kinds) do
    local block, problem = collect[kind](source)
    if not block then
      return nil, problem
    end
    blocks[#blocks + 1] = block
  end
  return blocks
end

--- The blocks of what goes along unasked: whatever of it is there, but no file that the workspace does not have.
---@param kinds pillion.ContextKind[]
---@param source pillion.ContextSource
---@param workspace string
---@return pillion.ContentBlock[]
function M.collect_available(kinds, source, workspace)
  return vim
    .iter(kinds)
    :map(function(kind)
      if kind ~= "file" or documents.is_below(source.buf, workspace) then
        return (collect[kind](source))
      end
    end)
    :totable()
end

---@param uri string
---@return string
local function shown_uri(uri)
  local path = uri:match("^(file://[^#]*)")
  if not path then
    return (uri:gsub("#.*$", ""))
  end
  local ok, name = pcall(vim.uri_to_fname, path)
  return ok and vim.fn.fnamemodify(name, ":.") or path
end

--- A block in a few words, on one line: `src/a.lua, lines 3 to 9`. A text that the user wrote has no such name.
---@param block pillion.ContentBlock
---@return string?
function M.name(block)
  if block.type == "resource" then
    local uri = block.resource.uri
    local first, last = uri:match("#L(%d+)-L(%d+)$")
    local where = text.plain(shown_uri(uri))
    if not first then
      return where
    end
    return first == last and ("%s, line %s"):format(where, first) or ("%s, lines %s to %s"):format(where, first, last)
  elseif block.type == "resource_link" then
    return text.plain(shown_uri(block.uri))
  end
end

return M
