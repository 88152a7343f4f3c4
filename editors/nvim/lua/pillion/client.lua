--- The connection to the one pillion of this Neovim: start, requests, end, restart. `vim.lsp` carries the messages.
---
--- Invariant: every request is answered once, by pillion or, when its process ends, by this module.

local binary = require("pillion.binary")
local edits = require("pillion.edits")
local text = require("pillion.text")

local M = {}

--- The client's name in `vim.lsp`; not `pillion`, which somebody may have given to a client of their own.
local NAME = "pillion.nvim"

--- The codes of errors that pillion did not send: it cannot be reached, and it went away before it answered.
M.UNREACHABLE, M.LOST = "unreachable", "lost"

--- So many unexpected ends within so many seconds are mended by a restart; more are a defect to look at.
local RESTARTS, WITHIN_S = 3, 60

--- How long a pillion may take to leave when it was asked, and then when it was sent SIGTERM.
local GRACE_MS = 2500

---@class pillion.Problem
---@field code integer|string
---@field message string
---@field data? table

---@class pillion.Hooks
---@field updated fun(params: table) a `session/update`
---@field asked fun(params: table, reply: fun(result: table)) a `session/request_permission`
---@field ready fun(client_id: integer) a pillion can be talked to
---@field leaving fun() it was asked to end: what is asked from now on is asked of the next one
---@field ended fun(sentence: string) it ended, wanted or not
---@field lost fun(sentence: string) it ended although nobody asked it to
---@field restarted fun() it is there again after that
---@field broken fun(problem: string) it is not started again

---@class pillion.Run one process
---@field path string
---@field state "starting"|"ready"|"stopping"|"ended"
---@field client? vim.lsp.Client
---@field answer? table what `initialize` was answered
---@field waiting fun(problem?: string)[] who waits for it to be ready
---@field pending table<table, fun(problem?: pillion.Problem, result?: table)>
---@field on_end fun()[]

---@type pillion.Run?
local current
---@type pillion.Hooks
local hooks
---@type integer[] when it ended unexpectedly, in seconds
local ends = {}

--- Calls a method of a client; Neovim 0.10 wants a dot where 0.11 wants a colon.
---@param client vim.lsp.Client
---@param method string
---@param ... any
local function call(client, method, ...)
  if vim.fn.has("nvim-0.11") == 1 then
    return client[method](client, ...)
  end
  return client[method](...)
end

--- Asks the process to leave, and sees to it that it does.
---@param client vim.lsp.Client
local function end_client(client)
  call(client, "stop")
  vim.defer_fn(client.rpc.terminate, GRACE_MS)
end

---@param run pillion.Run
---@param problem? string
local function tell_waiting(run, problem)
  local waiting = run.waiting
  run.waiting = {}
  for _, tell in ipairs(waiting) do
    tell(problem)
  end
end

---@param run pillion.Run
---@param problem string
local function give_up(run, problem)
  run.state = "stopping"
  tell_waiting(run, problem)
  -- What is no pillion may not know how to leave when asked.
  run.client.rpc.terminate()
end

--- Why a pillion that ended before it was ready did so: it is asked once more, with nothing to read.
---@param run pillion.Run
---@param code integer
---@param signal integer
local function explain_failed_start(run, code, signal)
  binary.run({}, function(result)
    local said = vim.trim(result and result.stderr or "")
    local why = said ~= "" and text.plain(said) or binary.meaning(code, signal)
    tell_waiting(
      run,
      ("pillion (%s) could not start: %s. `:Pillion health` looks closer."):format(run.path, (why:gsub("%.$", "")))
    )
  end)
end

--- Starts again after an unexpected end, unless that has become a habit.
local function restart_after_loss()
  local now = os.time()
  ends = vim.tbl_filter(function(at)
    return now - at < WITHIN_S
  end, ends)
  table.insert(ends, now)
  if #ends > RESTARTS then
    return hooks.broken(
      ("pillion ended %d times within %d seconds and is not started again. "):format(#ends, WITHIN_S)
        .. "`:Pillion log` shows why, `:Pillion restart` tries once more."
    )
  end
  M.ensure(function(problem)
    if problem then
      hooks.broken(problem)
    else
      hooks.restarted()
    end
  end)
end

---@param run pillion.Run
---@param code integer
---@param signal integer
local function ended(run, code, signal)
  local before = run.state
  if before == "ended" then
    return
  end
  run.state = "ended"
  if current == run then
    current = nil
  end
  local sentence = ("pillion ended while it was needed: %s."):format(binary.meaning(code, signal))
  hooks.ended(sentence)
  if before == "ready" then
    hooks.lost(sentence)
  end
  local pending = run.pending
  run.pending = {}
  for _, answer in pairs(pending) do
    answer({ code = M.LOST, message = sentence })
  end
  for _, tell in ipairs(run.on_end) do
    tell()
  end
  if before == "starting" then
    explain_failed_start(run, code, signal)
  elseif before == "ready" and vim.v.exiting == vim.NIL then
    restart_after_loss()
  end
end

--- The messages that pillion sends by itself.
local handlers = {
  ["session/update"] = function(_, params)
    hooks.updated(params)
  end,

  ["session/request_permission"] = function(_, params)
    -- Neovim calls this in a coroutine and sends what it returns, so the answer may take its time.
    local asker = coroutine.running()
    local result, asleep
    hooks.asked(params, function(given)
      if result then
        return
      end
      result = given
      if asleep then
        coroutine.resume(asker)
      end
    end)
    if not result then
      asleep = true
      coroutine.yield()
    end
    return result
  end,

  ["workspace/applyEdit"] = function(_, params, context)
    return edits.apply(params, context.client_id)
  end,

  -- Questions that are taken back: told by what becomes of their turn and tool call, see `chat`.
  ["$/cancelRequest"] = function() end,
}

--- What Neovim can, and that edits may name the version that they are made for, which `edits` looks at.
---@return lsp.ClientCapabilities
local function capabilities()
  local ours = { workspace = { workspaceEdit = { documentChanges = true } } }
  return vim.tbl_deep_extend("force", vim.lsp.protocol.make_client_capabilities(), ours)
end

--- Starts the process; its exit is told to us first, and then to `vim.lsp` as a plain one, which has nothing to add.
---@param run pillion.Run
---@param program {cmd: string[], env: table<string, string>}
---@return fun(dispatchers: vim.lsp.rpc.Dispatchers): vim.lsp.rpc.PublicClient
local function transport(run, program)
  return function(dispatchers)
    local leave = dispatchers.on_exit
    dispatchers.on_exit = function(code, signal)
      vim.schedule(function()
        ended(run, code, signal)
      end)
      leave(0, 0)
    end
    local rpc = vim.lsp.rpc.start(program.cmd, dispatchers, { env = program.env })
    local request = rpc.request
    rpc.request = function(method, params, callback, ...)
      if method ~= "initialize" then
        return request(method, params, callback, ...)
      end
      return request(method, params, function(problem, answer)
        if problem then
          give_up(run, ("%s refused to start: %s"):format(run.path, text.plain(problem.message or "")))
        elseif type(answer) ~= "table" or type(answer.capabilities) ~= "table" then
          give_up(run, binary.mismatch(run.path, type(answer) == "table" and answer or {}))
        else
          callback(problem, answer)
        end
      end, ...)
    end
    return rpc
  end
end

local function start()
  local program, problem = binary.call()
  if not program then
    return problem
  end
  ---@type pillion.Run
  local run = { path = program.cmd[1], state = "starting", waiting = {}, pending = {}, on_end = {} }
  current = run
  ---@class pillion.ClientConfig : vim.lsp.ClientConfig
  ---@field retire fun() ends it in the name of its own module
  local config = {
    name = NAME,
    retire = M.stop,
    cmd = transport(run, program),
    handlers = handlers,
    capabilities = capabilities(),
    flags = { debounce_text_changes = 100 },
    on_init = function(client, answer)
      run.client, run.answer = client, answer
      local misfit = binary.mismatch(run.path, answer)
      if misfit then
        return give_up(run, misfit)
      end
      run.state = "ready"
      hooks.ready(client.id)
      tell_waiting(run)
    end,
  }
  local id, failure
  if vim.fn.has("nvim-0.11") == 1 then
    local options = {
      attach = false,
      silent = true,
      reuse_client = function()
        return false
      end,
    }
    id = vim.lsp.start(config, options)
  else
    id, failure = vim.lsp.start_client(config)
  end
  if not id then
    current = nil
    return ("%s could not be started%s"):format(run.path, failure and (": " .. text.plain(failure)) or "; is it a program?")
  end
  run.client = vim.lsp.get_client_by_id(id)
end

--- Says who hears of what pillion does by itself.
---@param given pillion.Hooks
function M.hook(given)
  hooks = given
end

--- Calls `done` when a pillion is ready, or with why none can be had.
---@param done fun(problem?: string)
function M.ensure(done)
  if current and current.state == "ready" then
    return done()
  end
  if current and current.state == "stopping" then
    return table.insert(current.on_end, function()
      M.ensure(done)
    end)
  end
  local problem = not current and start() or nil
  if problem then
    return done(problem)
  end
  table.insert(current.waiting, done)
end

--- Sends a request, starting pillion if there is none. `done` is called once, always.
---@param method string
---@param params table
---@param done fun(problem?: pillion.Problem, result?: table)
function M.request(method, params, done)
  M.ensure(function(problem)
    if problem then
      return done({ code = M.UNREACHABLE, message = problem })
    end
    local run, token =
      current, --[[@as pillion.Run]]
      {}
    run.pending[token] = done
    local function answer(failure, result)
      if run.pending[token] then
        run.pending[token] = nil
        done(failure, result)
      end
    end
    if not call(run.client, "request", method, params, answer) then
      answer({ code = M.LOST, message = "pillion is going away; try again." })
    end
  end)
end

--- Ends pillion in an orderly way; `done` is called when its process is gone.
---@param done? fun()
function M.stop(done)
  local run = current
  if not run then
    return done and done()
  end
  if done then
    table.insert(run.on_end, done)
  end
  if run.state ~= "stopping" then
    local starting = run.state == "starting"
    run.state = "stopping"
    hooks.leaving()
    if starting then
      tell_waiting(run, "pillion was stopped while it started.")
    end
    end_client(run.client)
    -- One that takes no notice of a signal either is left to itself.
    vim.defer_fn(function()
      ended(run, 0, 15)
    end, 2 * GRACE_MS)
  end
end

--- Ends pillion, if it runs, and starts it anew.
---@param done fun(problem?: string)
function M.restart(done)
  ends = {}
  M.stop(function()
    M.ensure(done)
  end)
end

-- After a reload of the plugin the client of the one before is still there, with a module of its own that would start
-- pillion again if it were not told.
for _, client in ipairs(vim.lsp.get_clients({ name = NAME })) do
  client.config.retire()
end

---@class pillion.ClientInfo
---@field state "off"|"starting"|"ready"|"stopping"|"ended"
---@field path? string
---@field version? string
---@field id? integer the client's id in `vim.lsp`

--- How the connection is now.
---@return pillion.ClientInfo
function M.info()
  if not current then
    return { state = "off" }
  end
  return {
    state = current.state,
    path = current.path,
    version = vim.tbl_get(current, "answer", "serverInfo", "version"),
    id = current.client and current.client.id,
  }
end

return M
