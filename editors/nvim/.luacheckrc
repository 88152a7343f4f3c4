-- Settings of luacheck for the plugin: `luacheck editors/nvim`.
std = "luajit"
read_globals = { "vim" }
globals = { "vim.o", "vim.g", "vim.bo", "vim.wo", "vim.opt", "vim.notify", "vim.env" }
max_line_length = 140
exclude_files = { "lua/pillion/protocol.lua" }
