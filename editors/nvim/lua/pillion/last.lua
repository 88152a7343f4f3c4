--- The memory of a workspace: which session it had last, and the last turn whose end the user has been told.
---
--- One small file for each workspace below `stdpath("state")`; what cannot be read or written is forgotten, not an error.

local M = {}

---@class pillion.Memory
---@field sessionId string
---@field seen? string the turnId of the last turn that was seen to end

---@param workspace string
---@return string
local function path_of(workspace)
  return vim.fs.joinpath(vim.fn.stdpath("state") --[[@as string]], "pillion", "last", vim.fn.sha256(workspace) .. ".json")
end

---@param workspace string
---@return pillion.Memory?
function M.recall(workspace)
  local file = io.open(path_of(workspace), "r")
  if not file then
    return nil
  end
  local ok, memory = pcall(vim.json.decode, file:read("*a"), { luanil = { object = true } })
  file:close()
  return ok and type(memory) == "table" and type(memory.sessionId) == "string" and memory or nil
end

---@param workspace string
---@param memory pillion.Memory
function M.remember(workspace, memory)
  local path = path_of(workspace)
  vim.fn.mkdir(vim.fs.dirname(path), "p", tonumber("700", 8))
  -- Another Neovim may read it at any time: it is there as a whole or not at all.
  local new = ("%s.%d"):format(path, vim.uv.os_getpid())
  local file = io.open(new, "w")
  if file then
    file:write(vim.json.encode(memory))
    file:close()
    os.rename(new, path)
  end
end

return M
