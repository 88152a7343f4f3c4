--- Defines `:Pillion` and the `<Plug>` mappings; everything else waits until one of them is used.

if vim.g.loaded_pillion then
  return
end
vim.g.loaded_pillion = true

if vim.fn.has("nvim-0.10") == 0 then
  vim.notify("pillion needs Neovim 0.10 or newer", vim.log.levels.ERROR)
  return
end

vim.api.nvim_create_user_command("Pillion", function(opts)
  require("pillion.commands").from_command_line(opts)
end, {
  nargs = "*",
  range = true,
  bang = true,
  desc = "AI coding sessions: prompt, stop, sessions, export, explain ...",
  complete = function(typed, line)
    return require("pillion.commands").complete(typed, line)
  end,
})

---@param name string
---@param description string
---@param action string|fun()
---@param modes? string[]
local function plug(name, description, action, modes)
  vim.keymap.set(modes or "n", ("<Plug>(pillion-%s)"):format(name), action, { desc = "pillion: " .. description })
end

plug("prompt", "write a prompt", "<Cmd>Pillion prompt<CR>")
plug("prompt", "write a prompt about the selection", ":Pillion prompt<CR>", { "x" })
plug("diagnostics", "write a prompt about the diagnostics of this line", "<Cmd>Pillion prompt @diagnostics<CR>")
plug("stop", "stop the running turn", function()
  require("pillion.commands").stop_by_key()
end)
plug("answer", "answer a permission question", "<Cmd>Pillion answer<CR>")
plug("toggle", "show or hide the chat", "<Cmd>Pillion toggle<CR>")
plug("new", "begin a new conversation", "<Cmd>Pillion new<CR>")
plug("sessions", "go on with an earlier conversation", "<Cmd>Pillion sessions<CR>")
