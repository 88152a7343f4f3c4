--- One word for a status line. The `User` event `PillionStatus` tells when it may have changed.

local M = {}

--- What pillion is doing in this workspace: `""` while it is not running, else `idle`, `working` or `asks`.
---
--- ```lua
--- vim.o.statusline = vim.o.statusline .. " %{v:lua.require'pillion.status'.get()}"
--- ```
---@return ""|"starting"|"idle"|"working"|"asks"
function M.get()
  -- A status line is no reason to load the rest of the plugin.
  local chat, client = package.loaded["pillion.chat"], package.loaded["pillion.client"]
  if not chat or not client then
    return ""
  end
  local state = client.info().state
  if state == "starting" then
    return "starting"
  end
  local here = chat.current()
  return state == "ready" and (here and here.state or "idle") or ""
end

return M
