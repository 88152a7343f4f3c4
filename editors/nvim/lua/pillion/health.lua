--- `:checkhealth pillion`: Neovim, the program, the protocol, what `pillion doctor` says, what stopped last.

local binary = require("pillion.binary")
local config = require("pillion.config")
local protocol = require("pillion.protocol")
local text = require("pillion.text")

local M = {}

local health = vim.health

local function check_neovim()
  health.start("Neovim")
  local version = tostring(vim.version())
  if vim.fn.has("nvim-0.10") == 1 then
    health.ok("Neovim " .. version)
  else
    health.error(("Neovim %s is too old"):format(version), "install Neovim 0.10 or newer")
  end
  if pcall(vim.treesitter.language.add, "markdown") and #vim.api.nvim_get_runtime_file("parser/markdown.*", false) > 0 then
    health.ok("the chat is highlighted by the Markdown parser")
  else
    health.info("there is no treesitter parser for Markdown; the chat is highlighted by the older syntax file")
  end
end

--- Says whether the rest can be asked.
---@return boolean
local function check_program()
  health.start("The program")
  local path, problem = binary.find()
  if not path then
    health.error(problem --[[@as string]])
    return false
  end
  local answer, failure = binary.handshake()
  if not answer then
    health.error(
      ("%s cannot be used. %s"):format(path, failure),
      "look at `:Pillion log`, or install it with `" .. binary.install_command() .. "`"
    )
    return false
  end
  local misfit = binary.mismatch(path, answer)
  if misfit then
    health.error(misfit)
    return false
  end
  local info = answer.serverInfo or {}
  health.ok(("%s, version %s"):format(path, text.plain(tostring(info.version))))
  health.ok(("protocol version %d, as this plugin needs"):format(protocol.PROTOCOL_VERSION))
  local running = package.loaded["pillion.client"] and package.loaded["pillion.client"].info() or { state = "off" }
  health.info(
    running.state == "off" and "it is not running; the first prompt starts it" or ("it is running: %s"):format(running.state)
  )
  return true
end

--- What the program says of itself: its lines by heading, broken things as errors.
local function check_doctor()
  local result, problem = binary.run_now({ "doctor" })
  if not result then
    health.start("pillion doctor")
    return health.error(problem --[[@as string]])
  end
  local told = false
  for line in vim.gsplit(vim.trim(result.stdout or ""), "\n") do
    local name, what = line:match("^  (.-)  +(.*)$")
    if line ~= "" and not name then
      health.start(told and ("pillion doctor: " .. line) or line)
      told = true
    elseif name and vim.startswith(what, "BROKEN") then
      health.error(("%s: %s"):format(name, what))
    elseif name == "warning" then
      health.warn(what)
    elseif name == "turns" and vim.startswith(what, "none chosen") then
      health.warn(
        "no model is chosen",
        'set one: require("pillion").setup({ model = "provider:model" }), or ' .. what:gsub("^none chosen; ", "")
      )
    elseif name then
      health.info(("%s: %s"):format(name, what))
    end
  end
  if result.code ~= 0 and not told then
    health.error(text.plain(vim.trim(result.stderr or "")))
  end
end

local function check_settings()
  health.start("Settings")
  local settings = vim.deepcopy(config.get())
  -- The values may be keys; their names are enough.
  settings.env = vim.tbl_keys(settings.env)
  table.sort(settings.env)
  health.info(vim.inspect(settings))
end

function M.check()
  check_neovim()
  local usable = check_program()
  check_settings()
  if usable then
    check_doctor()
  end
end

return M
