--- What every story uses: a child Neovim with the plugin and the real pillion, scripted models, and ways to look.
---
--- A story is run by `nvim -l`, in a workspace of its own, with the variables that `tests/editors/support.rs` lists. It
--- fails by an error; nothing here waits without a deadline.

local M = {}

--- The longest that anything is waited for.
local PATIENCE_MS = 40000

M.repo = assert(vim.env.PILLION_REPO, "PILLION_REPO is not set; run the stories with `cargo test --test editors`")
M.plugin = vim.fs.joinpath(M.repo, "editors", "nvim")
M.pillion = assert(vim.env.PILLION)
--- The directory that the children work in; each part of a story has one of its own.
M.workspace = ""

vim.opt.runtimepath:prepend(M.plugin)

---@param actual any
---@param expected any
---@param what? string
function M.eq(actual, expected, what)
  if vim.deep_equal(actual, expected) then
    return
  end
  local function shown(value)
    return type(value) == "string" and value or vim.inspect(value)
  end
  error(("%s\n--- expected:\n%s\n--- seen:\n%s"):format(what or "not what was expected", shown(expected), shown(actual)), 2)
end

---@param haystack string|string[]
---@param needle string
---@param what? string
function M.has(haystack, needle, what)
  local whole = type(haystack) == "table" and table.concat(haystack, "\n") or haystack --[[@as string]]
  if not whole:find(needle, 1, true) then
    error(("%s: %q is missing in\n%s"):format(what or "text", needle, whole), 2)
  end
end

--- Waits until `condition` gives something true, and gives that back.
---@generic T
---@param what string
---@param condition fun(): T
---@param seen? fun(): any what to show if it does not happen
---@return T
function M.wait(what, condition, seen)
  local found
  local ok = vim.wait(PATIENCE_MS, function()
    found = condition()
    -- What is nil in the child comes as NIL.
    return found ~= vim.NIL and found and true or false
  end, 5)
  if not ok then
    error(("waited in vain for: %s%s"):format(what, seen and ("\n--- seen:\n" .. vim.inspect(seen())) or ""), 2)
  end
  return found
end

---@param path string
---@return string
function M.read(path)
  local file = assert(io.open(path, "r"))
  local contents = file:read("*a")
  file:close()
  return contents
end

---@param path string
---@param contents string
function M.write(path, contents)
  vim.fn.mkdir(vim.fs.dirname(path), "p")
  local file = assert(io.open(path, "w"))
  file:write(contents)
  file:close()
end

local scripts = 0

--- A scripted model that plays these steps, one for each call of the model.
---@param ... table
---@return string model
function M.model(...)
  scripts = scripts + 1
  local path = vim.fs.joinpath(vim.env.PILLION_SCRIPTS, ("script-%d-%d.json"):format(vim.uv.os_getpid(), scripts))
  M.write(path, vim.json.encode({ steps = { ... } }))
  return "scripted:" .. path
end

---@param name string
---@param contents string
---@return string path of a program
function M.program(name, contents)
  local path = vim.fs.joinpath(vim.env.PILLION_SCRIPTS, name)
  M.write(path, contents)
  vim.uv.fs_chmod(path, tonumber("755", 8))
  return path
end

---@param pid integer
---@return boolean
function M.runs(pid)
  local stat = io.open(("/proc/%d/stat"):format(pid), "r")
  if not stat then
    return false
  end
  -- Nothing can be read of a process that is gone since the file was opened.
  local line = stat:read("*a")
  stat:close()
  return line ~= nil and line:match("^.*%) (%a)") ~= "Z"
end

--- The processes named pillion that this process has started.
---@param parent integer
---@return integer[]
function M.pillions_of(parent)
  local found = {}
  for name in vim.fs.dir("/proc") do
    local stat = name:match("^%d+$") and io.open(("/proc/%s/stat"):format(name), "r")
    if stat then
      local command, state, of = (stat:read("*a") or ""):match("^%d+ %((.*)%) (%a) (%d+)")
      stat:close()
      if command == "pillion" and state ~= "Z" and tonumber(of) == parent then
        found[#found + 1] = tonumber(name)
      end
    end
  end
  return found
end

---@class Child
---@field channel integer
---@field pid integer
local Child = {}
Child.__index = Child

---@type Child[]
local children = {}

local PRELUDE = [[
local plugin, settings, size = ...
vim.o.columns, vim.o.lines = size[1], size[2]
vim.opt.runtimepath:prepend(plugin)
vim.cmd.runtime("plugin/pillion.lua")
_G.notes = {}
vim.notify = function(message, level)
  table.insert(_G.notes, { message, level })
end
require("pillion").setup(settings)
]]

---@class ChildOptions
---@field model? string
---@field settings? table
---@field size? {[1]: integer, [2]: integer}
---@field path? string

--- Starts a Neovim with the plugin. Its notifications are kept, not shown.
---@param options? ChildOptions
---@return Child
function M.child(options)
  options = options or {}
  local settings =
    vim.tbl_extend("force", { cmd = { M.pillion }, model = options.model, title_model = "none" }, options.settings or {})
  if settings.cmd == vim.NIL then
    settings.cmd = nil
  end
  local command = { vim.v.progpath, "--embed", "--headless", "--clean", "-n", "-i", "NONE" }
  local channel = vim.fn.jobstart(
    command,
    { rpc = true, cwd = M.workspace, env = options.path and { PATH = options.path } or vim.empty_dict() }
  )
  assert(channel > 0, "the child Neovim does not start")
  local child = setmetatable({ channel = channel, pid = vim.fn.jobpid(channel) }, Child)
  table.insert(children, child)
  child:lua(PRELUDE, M.plugin, settings, options.size or { 100, 30 })
  return child
end

---@param method string
---@param ... any
function Child:call(method, ...)
  return vim.rpcrequest(self.channel, method, ...)
end

--- Runs Lua in the child; `...` in it are the further arguments.
---@param code string
---@param ... any
function Child:lua(code, ...)
  return vim.rpcrequest(self.channel, "nvim_exec_lua", code, { ... })
end

---@param command string
function Child:cmd(command)
  vim.rpcrequest(self.channel, "nvim_command", command)
end

--- Types keys, as a person does: the child need not be ready for them.
---@param keys string
function Child:keys(keys)
  vim.rpcrequest(self.channel, "nvim_input", keys)
end

--- All lines of the chat that is shown.
---@return string[]
function Child:chat()
  return self:lua([[
    for _, win in ipairs(vim.api.nvim_list_wins()) do
      local buf = vim.api.nvim_win_get_buf(win)
      if vim.bo[buf].filetype == "pillion" then
        return vim.api.nvim_buf_get_lines(buf, 0, -1, false)
      end
    end
    return {}
  ]])
end

--- The screen as text, without the blanks at the ends of lines.
---@return string
function Child:screen()
  return self:lua([[
    vim.cmd.redraw({ bang = true })
    local lines = {}
    for row = 1, vim.o.lines do
      local cells = {}
      for column = 1, vim.o.columns do
        cells[column] = vim.fn.screenstring(row, column)
      end
      lines[row] = (table.concat(cells):gsub("%s+$", ""))
    end
    return table.concat(lines, "\n")
  ]])
end

--- What was said by `vim.notify` so far.
---@return string[]
function Child:notes()
  return vim.tbl_map(function(note)
    return note[1]
  end, self:lua("return _G.notes"))
end

--- What the child itself has said, errors of the plugin's among it.
---@return string
function Child:messages()
  return vim.rpcrequest(self.channel, "nvim_exec2", "messages", { output = true }).output
end

--- Fails if anything in the child ended with a Lua error.
function Child:has_no_errors()
  local said = self:messages()
  if said:find("stack traceback", 1, true) or said:find("Error", 1, true) then
    error("the child has said:\n" .. said)
  end
end

---@param needle string
function Child:wait_note(needle)
  return M.wait("the notification " .. needle, function()
    return vim.iter(self:notes()):find(function(note)
      return note:find(needle, 1, true) ~= nil
    end)
  end, function()
    return { self:notes(), self:chat() }
  end)
end

--- Waits until the chat has these words.
---@param needle string
function Child:wait_chat(needle)
  M.wait("the chat to have " .. needle, function()
    return table.concat(self:chat(), "\n"):find(needle, 1, true)
  end, function()
    return { self:chat(), self:notes(), self:messages() }
  end)
end

---@param state string
function Child:wait_state(state)
  M.wait("the state " .. state, function()
    return self:lua([[return require("pillion").status()]]) == state
  end, function()
    return { self:lua([[return require("pillion").status()]]), self:chat(), self:notes() }
  end)
end

--- Waits until the conversation has so many turns and none of them runs.
---@param count integer
function Child:wait_turns(count)
  M.wait(("%d turns that have ended"):format(count), function()
    return self:lua(
      [[
      local chat = package.loaded["pillion.chat"] and require("pillion.chat").current()
      local ended = chat and vim.tbl_filter(function(turn) return turn.state ~= "running" end, chat.conversation.turns) or {}
      return chat ~= nil and #chat.conversation.turns == ... and #ended == ...
    ]],
      count
    )
  end, function()
    return { self:chat(), self:notes(), self:messages() }
  end)
end

--- The conversation's state in this child.
---@return table
function Child:conversation()
  return self:lua([[return require("pillion.chat").current().conversation]])
end

--- The one pillion of this child.
---@return integer
function Child:pillion()
  local found = M.pillions_of(self.pid)
  M.eq(#found, 1, "the number of pillions that the child runs")
  return found[1]
end

--- Ends the child as `:qa!` does, and waits until it and its pillion are gone.
function Child:quit()
  local pillions = M.pillions_of(self.pid)
  vim.rpcnotify(self.channel, "nvim_command", "qa!")
  self:wait_gone(pillions)
end

---@param pillions integer[]
function Child:wait_gone(pillions)
  M.wait("the child and its pillion to be gone", function()
    return not M.runs(self.pid) and not vim.iter(pillions):any(M.runs)
  end)
  vim.fn.jobstop(self.channel)
end

--- Runs the parts of a story, then ends the children that are left.
---@param parts table<integer, {[1]: string, [2]: fun()}>
function M.tell(parts)
  local room = vim.uv.fs_realpath(vim.uv.cwd())
  for at, part in ipairs(parts) do
    M.workspace = ("%s/workspace-%d"):format(room, at)
    vim.fn.mkdir(M.workspace)
    local ok, problem = xpcall(part[2], debug.traceback)
    for _, child in ipairs(children) do
      if M.runs(child.pid) then
        if ok then
          ok, problem = pcall(child.has_no_errors, child)
          child:quit()
        else
          vim.uv.kill(child.pid, "sigkill")
        end
      end
    end
    children = {}
    if not ok then
      io.stderr:write(("FAILED: %s\n%s\n"):format(part[1], problem))
      os.exit(1)
    end
    print("passed: " .. part[1])
  end
end

return M
