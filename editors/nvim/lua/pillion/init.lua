--- pillion in Neovim: what a user's configuration calls. The rest is loaded by the first `:Pillion`.

local M = {}

-- After a reload the client of the plugin before is still there: the module that owns it ends it when it is loaded.
if rawget(vim, "lsp") and #vim.lsp.get_clients({ name = "pillion.nvim" }) > 0 then
  require("pillion.client")
end

--- Takes settings; those that are left out keep their defaults. Calling it is optional.
---@param settings? pillion.Config|table
function M.setup(settings)
  require("pillion.config").set(settings)
end

--- Sends a prompt as `:Pillion prompt` does; without text it opens the window to write one.
---@param words? string may begin with `@file`, `@selection`, `@diagnostics`, `@none`
function M.prompt(words)
  require("pillion.commands").run("prompt", { rest = words or "", bang = false })
end

--- Stops the running turn.
function M.stop()
  require("pillion.commands").stop_by_key()
end

--- Shows or hides the chat.
function M.toggle()
  require("pillion.commands").run("toggle")
end

--- What pillion is doing, for a status line: `""`, `starting`, `idle`, `working` or `asks`.
---@return string
function M.status()
  return require("pillion.status").get()
end

return M
