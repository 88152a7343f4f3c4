--- `:Pillion` and its subcommands.

local binary = require("pillion.binary")
local chat = require("pillion.chat")
local choices = require("pillion.choices")
local client = require("pillion.client")
local config = require("pillion.config")
local context = require("pillion.context")
local input = require("pillion.view.input")
local permission = require("pillion.permission")
local text = require("pillion.text")
local view = require("pillion.view")

local M = {}

---@class pillion.Command
---@field words string what stands behind the subcommand, as the documentation has it
---@field does string
---@field run fun(call: pillion.CommandCall)
---@field complete? fun(typed: string): string[]

---@class pillion.CommandCall
---@field rest string what stands behind the subcommand
---@field bang boolean
---@field range? {[1]: integer, [2]: integer}

---@param message string
---@param level? integer
local function tell(message, level)
  vim.notify(text.plain(message), level or vim.log.levels.INFO, { title = "pillion" })
end

---@param message string
local function complain(message)
  tell(message, vim.log.levels.ERROR)
end

--- Takes the words `@file`, `@selection` and `@diagnostics` (or `@none`) off the front.
---@param words string
---@return pillion.ContextKind[]? kinds nothing if none was named
---@return string rest
---@return string? problem
local function take_kinds(words)
  local kinds ---@type pillion.ContextKind[]?
  while true do
    local name, rest = words:match("^@(%l+)%s*(.*)$")
    if not name then
      return kinds, words
    end
    if name ~= "none" and not vim.list_contains({ "file", "selection", "diagnostics" }, name) then
      -- A word of the prompt's own, such as a decorator.
      return kinds, words
    end
    kinds = kinds or {}
    if name ~= "none" then
      table.insert(kinds, name)
    end
    words = rest
  end
end

---@param blocks pillion.ContentBlock[]
---@param words string
local function send(blocks, words)
  local content = { { type = "text", text = words } } ---@type pillion.ContentBlock[]
  chat.prompt(vim.list_extend(content, blocks), function(problem)
    complain(problem)
    input.restore(words)
  end)
end

---@param call pillion.CommandCall
local function prompt(call)
  local kinds, words = take_kinds(vim.trim(call.rest))
  local source = context.here(call.range)
  local blocks, problem ---@type pillion.ContentBlock[]?, string?
  if kinds then
    blocks, problem = context.collect(kinds, source)
    if not blocks then
      return complain(problem --[[@as string]])
    end
  elseif call.range then
    blocks = context.collect({ "selection" }, source)
  else
    blocks = context.collect_available(config.get().context, source, config.get().workspace())
  end
  if words ~= "" then
    return send(blocks --[[@as pillion.ContentBlock[] ]], words)
  end
  chat.with_current(function(here, failure)
    if not here then
      return complain(failure or "")
    end
    view.open(here, { enter = true })
    input.open({
      blocks = blocks --[[@as pillion.ContentBlock[] ]],
      send = function(written)
        send(blocks --[[@as pillion.ContentBlock[] ]], written)
      end,
    })
  end)
end

---@param here? pillion.OpenChat
---@param problem? string
local function show(here, problem)
  if here then
    view.open(here, { enter = true })
  else
    complain(problem or "")
  end
end

---@param entry pillion.SessionEntry
---@return string
local function session_line(entry)
  local date, time = entry.updatedAt:match("^(%S+)T(%d+:%d+)")
  return ("%s  %s  %s"):format(
    date and (date .. " " .. time) or entry.updatedAt,
    text.cut(text.plain(entry.title or "without a title"), 60),
    text.plain(vim.fn.fnamemodify(entry.cwd, ":~"))
  )
end

--- All pages of the list, as far as a person would look.
---@param params table
---@param found pillion.SessionEntry[]
---@param done fun(found: pillion.SessionEntry[])
local function list(params, found, done)
  client.request("session/list", params, function(problem, result)
    if problem then
      return complain(problem.message)
    end
    vim.list_extend(found, result.sessions)
    if result.nextCursor and #found < 500 then
      return list(vim.tbl_extend("force", params, { cursor = result.nextCursor }), found, done)
    end
    done(found)
  end)
end

---@param call pillion.CommandCall
local function sessions(call)
  local all = vim.trim(call.rest) == "all"
  local params = all and vim.empty_dict() or { cwd = config.get().workspace() }
  list(params, {}, function(found)
    if #found == 0 then
      return tell(
        all and "There are no sessions yet."
          or "There are no sessions in this workspace; `:Pillion sessions all` shows the others."
      )
    end
    local options = { prompt = "pillion: go on with", kind = "pillion.session", format_item = session_line }
    vim.ui.select(found, options, function(entry)
      if entry then
        chat.switch(entry, show)
      end
    end)
  end)
end

---@param session_id string
---@return string
local function export_path(session_id)
  local directory = vim.fs.joinpath(vim.fn.stdpath("data") --[[@as string]], "pillion", "exports")
  vim.fn.mkdir(directory, "p", tonumber("700", 8))
  return vim.fs.joinpath(directory, ("%s-%s.json"):format(session_id, os.date("%Y%m%d-%H%M%S")))
end

---@param call pillion.CommandCall
local function export(call)
  chat.with_current(function(here, failure)
    if not here then
      return complain(failure or "")
    end
    local named = vim.trim(call.rest)
    local path = named ~= "" and vim.fn.fnamemodify(vim.fn.expand(named), ":p") or export_path(here.conversation.sessionId)
    local params = { sessionId = here.conversation.sessionId, path = path, sanitize = not call.bang }
    client.request("session/export", params, function(problem, result)
      if problem then
        return complain(problem.message)
      end
      vim.cmd("botright split " .. vim.fn.fnameescape(result.path))
      local what = call.bang and "the full texts; only known keys are left out" or "sanitized, safe to attach to a report"
      tell(("Exported to %s (%d kB, %s)."):format(result.path, math.ceil(result.bytes / 1000), what))
    end)
  end)
end

---@param call pillion.CommandCall
local function explain(call)
  local named = vim.trim(call.rest)
  local function told(what)
    binary.run({ "explain", what }, function(result, problem)
      if not result then
        complain(problem or "")
      elseif result.code ~= 0 then
        complain(vim.trim(result.stderr))
      else
        view.scratch("pillion://explain", vim.split(vim.trim(result.stdout), "\n"), "pillion-explain")
      end
    end)
  end
  if named ~= "" then
    return told(named)
  end
  chat.with_current(function(here, failure)
    if not here then
      return complain(failure or "")
    end
    told(here.conversation.sessionId)
  end)
end

local function log()
  binary.run({ "doctor" }, function(result, problem)
    local path = result and (result.stdout or ""):match("\n  log%s+([^\n]+)")
    if not path then
      return complain(problem or "`pillion doctor` does not say where the log is; `:Pillion health` shows what it says.")
    end
    path = path:gsub(" %(does not exist%)$", "")
    if not vim.uv.fs_stat(path) then
      return tell(("Nothing has been logged yet; the log will be %s."):format(path))
    end
    vim.cmd("botright split " .. vim.fn.fnameescape(path) .. " | setlocal autoread nomodifiable readonly | normal! G")
  end)
end

--- A command that shows or sets what is chosen for this conversation.
---@param id pillion.ChoiceId
---@param what string
---@return fun(call: pillion.CommandCall)
local function choose(id, what)
  ---@param here pillion.OpenChat
  ---@param value string
  local function set(here, value)
    choices.set(here, id, value, function(problem)
      if problem then
        return complain(problem)
      end
      tell(("%s is %s."):format(what, choices.current(choices.of(here, id) --[[@as pillion.Choice]])))
    end)
  end
  return function(call)
    local named = vim.trim(call.rest)
    chat.with_current(function(here, failure)
      if not here then
        return complain(failure or "")
      elseif named ~= "" then
        return set(here, named)
      end
      choices.ask(here, id, function(choice, problem)
        if not choice then
          return complain(problem or ("This pillion offers nothing to choose for %s."):format(what))
        elseif #choice.values < 2 then
          return tell(("%s is %s."):format(what, choices.current(choice)))
        end
        local options = { prompt = ("pillion: %s (now %s)"):format(what:lower(), choices.current(choice)), format_item = choices.line }
        vim.ui.select(choice.values, options, function(picked)
          if picked then
            set(here, picked.value)
          end
        end)
      end)
    end)
  end
end

---@param words string[]
---@return fun(typed: string): string[]
local function one_of(words)
  return function(typed)
    return vim.tbl_filter(function(word)
      return vim.startswith(word, typed)
    end, words)
  end
end

---@type table<string, pillion.Command>
M.commands = {
  prompt = {
    words = "[@file] [@selection] [@diagnostics] [@none] [text]",
    does = "sends a prompt, or opens a window to write one",
    run = prompt,
    complete = one_of({ "@file", "@selection", "@diagnostics", "@none" }),
  },
  stop = {
    words = "",
    does = "stops the running turn",
    run = function()
      chat.stop("nvim.command")
    end,
  },
  answer = {
    words = "",
    does = "asks a permission question again that was put off",
    run = function()
      if not permission.again() then
        tell("Nothing waits for your answer.")
      end
    end,
  },
  open = {
    words = "",
    does = "shows the chat",
    run = function()
      chat.with_current(show)
    end,
  },
  toggle = {
    words = "",
    does = "shows or hides the chat",
    run = function()
      if not view.close() then
        chat.with_current(show)
      end
    end,
  },
  new = {
    words = "",
    does = "begins a new conversation",
    run = function()
      chat.new(show)
    end,
  },
  sessions = { words = "[all]", does = "goes on with an earlier conversation", run = sessions, complete = one_of({ "all" }) },
  model = {
    words = "[provider:model]",
    does = "shows or chooses the model of this conversation",
    run = choose("model", "The model"),
  },
  mode = {
    words = "[read_only|ask|auto_edit]",
    does = "shows or chooses what this conversation may do without a question",
    run = choose("mode", "The mode"),
    complete = one_of(choices.WORDS.mode),
  },
  trust = {
    words = "[trusted|restricted]",
    does = "shows or chooses whether this workspace is trusted",
    run = choose("trust", "The workspace"),
    complete = one_of(choices.WORDS.trust),
  },
  export = {
    words = "[file]",
    does = "writes the conversation with all its records to a file",
    run = export,
    complete = function(typed)
      return vim.fn.getcompletion(typed, "file")
    end,
  },
  explain = { words = "[session]", does = "tells the story of every stop", run = explain },
  health = {
    words = "",
    does = "checks that everything is in order",
    run = function()
      vim.cmd.checkhealth("pillion")
    end,
  },
  restart = { words = "", does = "ends pillion and starts it anew", run = chat.restart },
  log = { words = "", does = "opens pillion's log", run = log },
}

--- Stops by a key, which the record of the stop tells from the command.
function M.stop_by_key()
  chat.stop("nvim.keymap")
end

---@return string[]
function M.names()
  local names = vim.tbl_keys(M.commands)
  table.sort(names)
  return names
end

--- Runs a subcommand.
---@param name string
---@param call? pillion.CommandCall
function M.run(name, call)
  local command = M.commands[name]
  if not command then
    return complain(("There is no `:Pillion %s`; there are %s."):format(name, table.concat(M.names(), ", ")))
  end
  command.run(call or { rest = "", bang = false })
end

--- What `:Pillion` calls.
---@param opts vim.api.keyset.create_user_command.command_args
function M.from_command_line(opts)
  local name, rest = opts.args:match("^(%S+)%s*(.*)$")
  local range = opts.range > 0 and { opts.line1, opts.line2 } or nil
  M.run(name or "open", { rest = rest or "", bang = opts.bang, range = range })
end

--- Completes the line up to the cursor.
---@param typed string
---@param line string
---@return string[]
function M.complete(typed, line)
  local before = line:match("Pillion!?%s+(.*)$") or ""
  local name = before:match("^(%S+)%s")
  if not name then
    return one_of(M.names())(typed)
  end
  local command = M.commands[name]
  return command and command.complete and command.complete(typed) or {}
end

return M
