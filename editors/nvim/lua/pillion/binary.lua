--- The pillion program: where it is, how it is called, whether it fits this plugin, and what its end means.
---
--- Every error tells what was looked for and which command mends it.

local config = require("pillion.config")
local protocol = require("pillion.protocol")
local text = require("pillion.text")

local M = {}

--- What the plugin calls; a pillion without one of them is too old for it.
local NEEDED = {
  "session/new",
  "session/load",
  "session/resume",
  "session/list",
  "session/prompt",
  "session/cancel",
  "session/export",
  "session/set_config_option",
  "session/set_mode",
}

--- How long a call of the program may take that is waited for.
local PATIENCE_MS = 10000

--- The checkout that this plugin stands in, if it does.
---@return string?
local function checkout()
  local here = vim.fs.normalize(debug.getinfo(1, "S").source:sub(2))
  local root = vim.fn.fnamemodify(here, ":p:h:h:h:h:h")
  return vim.uv.fs_stat(vim.fs.joinpath(root, "Cargo.toml")) and root or nil
end

--- The command that installs the pillion which belongs to this plugin.
---@return string
function M.install_command()
  local root = checkout()
  return "cargo install --locked --path " .. (root and vim.fn.shellescape(root) or "CHECKOUT")
end

--- The program, and where it was looked for when it is not there.
---@return string? path
---@return string? problem
function M.find()
  local cmd = config.get().cmd
  if cmd then
    local named = vim.fn.exepath(vim.fs.normalize(cmd[1]))
    if named ~= "" then
      return named
    end
    return nil,
      ("`cmd` in the settings names %s, which is no program that can be run. "):format(text.plain(cmd[1]))
        .. "Mend the setting, or leave it out and pillion is looked for in PATH and ~/.cargo/bin."
  end
  local cargo = vim.fs.joinpath(vim.env.CARGO_HOME or vim.fs.normalize("~/.cargo"), "bin", "pillion")
  for _, candidate in ipairs({ "pillion", cargo }) do
    local path = vim.fn.exepath(candidate)
    if path ~= "" then
      return path
    end
  end
  return nil,
    ("The program `pillion` is neither in PATH nor at %s. Install it with `%s`, "):format(cargo, M.install_command())
      .. 'or name it: require("pillion").setup({ cmd = { "/path/to/pillion" } }).'
end

--- The command line of the program with the plugin's settings, and what is added to its environment.
---@param ... string a subcommand and its arguments; none for the server
---@return {cmd: string[], env: table<string, string>}? call
---@return string? problem
function M.call(...)
  local path, problem = M.find()
  if not path then
    return nil, problem
  end
  local settings = config.get()
  local cmd = { path }
  vim.list_extend(cmd, settings.cmd or {}, 2)
  for _, flag in ipairs({ "model", "title_model", "base_url" }) do
    if settings[flag] then
      vim.list_extend(cmd, { "--" .. flag:gsub("_", "-"), settings[flag] })
    end
  end
  return { cmd = vim.list_extend(cmd, { ... }), env = settings.env }
end

--- Runs a subcommand; `done` gets what it printed and its exit code, or why it could not be run.
---@param arguments string[]
---@param done fun(result?: vim.SystemCompleted, problem?: string)
function M.run(arguments, done)
  local call, problem = M.call(unpack(arguments))
  if not call then
    return done(nil, problem)
  end
  local options = { text = true, env = call.env, timeout = PATIENCE_MS, stdin = "" }
  local ok, failure = pcall(vim.system, call.cmd, options, vim.schedule_wrap(done))
  if not ok then
    done(nil, ("%s could not be run: %s"):format(call.cmd[1], text.plain(tostring(failure))))
  end
end

--- As [M.run], waited for.
---@param arguments string[]
---@param input? string
---@return vim.SystemCompleted? result
---@return string? problem
function M.run_now(arguments, input)
  local call, problem = M.call(unpack(arguments))
  if not call then
    return nil, problem
  end
  local options = { text = true, env = call.env, timeout = PATIENCE_MS, stdin = input or "" }
  local ok, process = pcall(vim.system, call.cmd, options)
  if not ok then
    return nil, ("%s could not be run: %s"):format(call.cmd[1], text.plain(tostring(process)))
  end
  return process:wait()
end

--- Why this pillion cannot be used, from its answer to `initialize`; nothing if it can.
---@param path string
---@param answer table
---@return string?
function M.mismatch(path, answer)
  local info = answer.serverInfo or {}
  local called = vim.trim(("%s %s"):format(info.name or "a program without a name", info.version or ""))
  local found = ("%s is %s"):format(path, text.plain(called))
  local ours = vim.tbl_get(answer, "capabilities", "experimental", "pillion")
  local mend = (" Install the one that belongs to this plugin with `%s`, then `:Pillion restart`."):format(M.install_command())
  if type(ours) ~= "table" then
    return found .. ", which is no pillion that this plugin knows." .. mend
  end
  if ours.protocolVersion ~= protocol.PROTOCOL_VERSION then
    return ("%s and speaks protocol version %s; this plugin needs version %d.%s"):format(
      found,
      text.plain(tostring(ours.protocolVersion)),
      protocol.PROTOCOL_VERSION,
      mend
    )
  end
  for _, method in ipairs(NEEDED) do
    if not vim.list_contains(ours.methods or {}, method) then
      return ("%s and does not have %s, which this plugin needs.%s"):format(found, method, mend)
    end
  end
end

--- The answer to `initialize` of a pillion that is started for this and leaves at once.
---@return table? answer
---@return string? problem
function M.handshake()
  local params = { capabilities = vim.empty_dict(), clientInfo = { name = "Neovim", version = tostring(vim.version()) } }
  local body = vim.json.encode({ jsonrpc = "2.0", id = 1, method = "initialize", params = params })
  local result, problem = M.run_now({ "--stdio=lsp" }, ("Content-Length: %d\r\n\r\n%s"):format(#body, body))
  if not result then
    return nil, problem
  end
  local sent = (result.stdout or ""):match("\n%s*({.*})")
  local ok, message = pcall(vim.json.decode, sent or "", { luanil = { object = true } })
  if ok and type(message) == "table" and message.result then
    return message.result
  end
  local said = vim.trim(result.stderr or "")
  return nil, "It did not answer `initialize`" .. (said ~= "" and (": " .. text.plain(said)) or ".")
end

--- Signals by number, as far as they end programs.
local SIGNALS = {
  [1] = "SIGHUP",
  [2] = "SIGINT",
  [4] = "SIGILL",
  [6] = "SIGABRT",
  [7] = "SIGBUS",
  [9] = "SIGKILL",
  [11] = "SIGSEGV",
  [15] = "SIGTERM",
}

local MEANINGS = {
  [1] = "it was told to exit without a shutdown, or could not start",
  [2] = "it did not understand what Neovim sent",
  [3] = "it could no longer reach Neovim",
}

--- What an end of the server means, as the second half of a sentence.
---@param code integer
---@param signal integer
---@return string
function M.meaning(code, signal)
  signal = signal ~= 0 and signal or (code > 128 and code - 128 or 0)
  if signal ~= 0 then
    return "it was ended by " .. (SIGNALS[signal] or ("signal " .. signal))
  end
  if code == 0 then
    return "it left by itself"
  end
  return ("%s (exit code %d)"):format(MEANINGS[code] or "it failed", code)
end

return M
