--- Which open buffers pillion knows: those of files in a workspace, so that its tools read what is not saved yet.
---
--- `vim.lsp` does the telling (didOpen, didChange, didSave, didClose) for every buffer that is attached here.

local M = {}

--- A larger buffer is left to the tools' own reading: each of its changes would send all of it.
local MAX_BYTES = 2 * 1024 * 1024

---@type integer?
local client_id
---@type table<string, boolean> real paths of directories
local roots = {}

---@param path string
---@return string
local function real(path)
  return vim.fs.normalize(vim.uv.fs_realpath(path) or path)
end

--- The path of a file that may not be there yet, through the links of its directory.
---@param name string
---@return string
local function real_file(name)
  return vim.uv.fs_realpath(name) and real(name) or vim.fs.joinpath(real(vim.fs.dirname(name)), vim.fs.basename(name))
end

--- Whether a buffer is that of a file below a directory.
---@param buf integer
---@param directory string
---@return boolean
function M.is_below(buf, directory)
  local name = vim.api.nvim_buf_get_name(buf)
  if vim.bo[buf].buftype ~= "" or name == "" or name:find("^%a[%w+.-]*://") then
    return false
  end
  local root = real(directory)
  return vim.startswith(real_file(name), root == "/" and root or root .. "/")
end

---@param buf integer
---@return boolean
local function belongs(buf)
  return vim.api.nvim_buf_is_loaded(buf)
    and vim.api.nvim_buf_get_offset(buf, vim.api.nvim_buf_line_count(buf)) <= MAX_BYTES
    and vim.iter(pairs(roots)):any(function(root)
      return M.is_below(buf, root)
    end)
end

---@param buf integer
local function attach(buf)
  if client_id and belongs(buf) then
    vim.lsp.buf_attach_client(buf, client_id)
  end
end

local function attach_all()
  vim.iter(vim.api.nvim_list_bufs()):each(attach)
end

--- Tells this pillion, and no other, about the buffers from now on.
---@param id integer the client's id in `vim.lsp`
function M.follow(id)
  client_id = id
  attach_all()
  vim.api.nvim_create_autocmd({ "BufReadPost", "BufNewFile", "BufFilePost" }, {
    group = vim.api.nvim_create_augroup("pillion.documents", {}),
    desc = "pillion reads open buffers as they stand",
    callback = function(event)
      attach(event.buf)
    end,
  })
end

--- Adds a workspace.
---@param directory string
function M.add(directory)
  local root = real(directory)
  if not roots[root] then
    roots[root] = true
    attach_all()
  end
end

--- Reads files again that a tool has written, where they are open and have no unsaved changes.
---@param paths string[]
function M.reread(paths)
  for _, path in ipairs(paths) do
    local buf = vim.fn.bufnr("^" .. vim.fn.fnameescape(path) .. "$")
    if buf ~= -1 and vim.api.nvim_buf_is_loaded(buf) then
      vim.cmd.checktime(buf)
    end
  end
end

return M
