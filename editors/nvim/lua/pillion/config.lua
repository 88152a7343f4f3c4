--- The plugin's settings: defaults, what `setup` accepts, and what is wrong with what it does not.
---
--- Invariant: `get()` always gives complete, checked settings; a bad `setup` changes nothing.

local M = {}

---@class pillion.Config.Window
---@field position "right"|"left"|"bottom"|"top" where the chat opens
---@field size number columns or rows; a part of the screen if below 1

---@class pillion.Config.Keys
---@field stop string|false in the chat and in the prompt window: stops the turn
---@field prompt string|false in the chat: opens the prompt window
---@field answer string|false in the chat: asks a waiting permission question again
---@field close string|false in the chat and in the prompt window: closes it
---@field next_turn string|false in the chat
---@field previous_turn string|false in the chat
---@field send string|false in the prompt window, normal mode
---@field send_insert string|false in the prompt window, insert mode

---@class pillion.Config
---@field cmd? string[] the program and its first arguments; without it `pillion` is looked for
---@field model? string `provider:model`; without it what pillion's own settings say
---@field title_model? string the model that names sessions, `session` or `none`
---@field base_url? string the base URL of the model's provider
---@field env table<string, string> variables for the program, on top of Neovim's own
---@field workspace fun(): string the directory that a new session works in
---@field resume_last boolean go on with the workspace's last session
---@field context pillion.ContextKind[] what goes with a prompt that has no range and names nothing
---@field open_on_prompt boolean show the chat when a prompt is sent
---@field save_edits boolean save a buffer that pillion has changed, if it had no other changes
---@field window pillion.Config.Window
---@field keys pillion.Config.Keys

---@alias pillion.ContextKind "selection"|"file"|"diagnostics"

---@type pillion.Config
local defaults = {
  env = {},
  workspace = function()
    return vim.fn.getcwd()
  end,
  resume_last = true,
  context = { "file" },
  open_on_prompt = true,
  save_edits = true,
  window = { position = "right", size = 0.42 },
  keys = {
    stop = "<C-c>",
    prompt = "i",
    answer = "<CR>",
    close = "q",
    next_turn = "]]",
    previous_turn = "[[",
    send = "<CR>",
    send_insert = "<C-s>",
  },
}

--- What a value must be: said in the error, checked by the function.
---@alias pillion.config.Rule [string, fun(value: any): boolean]

local function is_text(value)
  return type(value) == "string" and value ~= ""
end

---@param values any[]
---@return pillion.config.Rule
local function one_of(values)
  return {
    "one of " .. table.concat(vim.tbl_map(vim.inspect, values), ", "),
    function(value)
      return vim.list_contains(values, value)
    end,
  }
end

---@type pillion.config.Rule
local a_text = { "a string that is not empty", is_text }
---@type pillion.config.Rule
local a_boolean = {
  "true or false",
  function(value)
    return type(value) == "boolean"
  end,
}
---@type pillion.config.Rule
local a_key = {
  "a key such as <C-c>, or false for none",
  function(value)
    return value == false or is_text(value)
  end,
}

local kinds = { "selection", "file", "diagnostics" }

---@type table<string, pillion.config.Rule|table<string, pillion.config.Rule>>
local rules = {
  cmd = {
    "a list of strings: the program and its arguments",
    function(value)
      return type(value) == "table" and #value > 0 and vim.islist(value) and vim.iter(value):all(is_text)
    end,
  },
  model = a_text,
  title_model = a_text,
  base_url = a_text,
  env = {
    'a table of strings, such as { PILLION_LOG_LEVEL = "debug" }',
    function(value)
      return type(value) == "table"
        and vim.iter(pairs(value)):all(function(name, text)
          return type(name) == "string" and type(text) == "string"
        end)
    end,
  },
  workspace = {
    "a function that gives a directory",
    function(value)
      return type(value) == "function"
    end,
  },
  resume_last = a_boolean,
  context = {
    "a list of " .. table.concat(vim.tbl_map(vim.inspect, kinds), ", "),
    function(value)
      return type(value) == "table"
        and vim.islist(value)
        and vim.iter(value):all(function(kind)
          return vim.list_contains(kinds, kind)
        end)
    end,
  },
  open_on_prompt = a_boolean,
  save_edits = a_boolean,
  window = {
    position = one_of({ "right", "left", "bottom", "top" }),
    size = {
      "a number above 0",
      function(value)
        return type(value) == "number" and value > 0
      end,
    },
  },
  keys = {},
}
for name in pairs(defaults.keys) do
  rules.keys[name] = a_key
end

---@type pillion.Config
local current = vim.deepcopy(defaults)

---@param name string
---@param given any
---@param rule pillion.config.Rule|table<string, any>
---@param complaints string[]
local function check(name, given, rule, complaints)
  if type(rule[2]) == "function" then
    if not rule[2](given) then
      complaints[#complaints + 1] = ("%s must be %s; it is %s"):format(name, rule[1], vim.inspect(given))
    end
    return
  end
  if type(given) ~= "table" then
    complaints[#complaints + 1] = ("%s must be a table; it is %s"):format(name, vim.inspect(given))
    return
  end
  for key, value in vim.spairs(given) do
    local whole = name == "" and tostring(key) or ("%s.%s"):format(name, key)
    if rule[key] then
      check(whole, value, rule[key], complaints)
    elseif tostring(key):find("key", 1, true) and name == "" then
      complaints[#complaints + 1] = ("%s is no setting: a key reaches pillion through the environment alone, "):format(whole)
        .. "such as OPENAI_API_KEY or PILLION_API_KEY"
    else
      local known = vim.tbl_keys(rule)
      table.sort(known)
      complaints[#complaints + 1] = ("%s is no setting; there are %s"):format(whole, table.concat(known, ", "))
    end
  end
end

--- Takes the user's settings over the defaults.
---@param given? table
function M.set(given)
  given = given or {}
  local complaints = {} ---@type string[]
  check("", given, rules, complaints)
  if #complaints > 0 then
    error("pillion: setup cannot take these settings:\n  " .. table.concat(complaints, "\n  "), 0)
  end
  current = vim.tbl_deep_extend("force", vim.deepcopy(defaults), given)
end

---@return pillion.Config
function M.get()
  return current
end

--- The names of all settings, as the documentation must have them.
---@return string[]
function M.names()
  local names = {} ---@type string[]
  for name, rule in vim.spairs(rules) do
    if type(rule[2]) == "function" then
      names[#names + 1] = name
    else
      for key in vim.spairs(rule) do
        names[#names + 1] = ("%s.%s"):format(name, key)
      end
    end
  end
  return names
end

--- The defaults, to be shown.
---@return pillion.Config
function M.defaults()
  return vim.deepcopy(defaults)
end

return M
