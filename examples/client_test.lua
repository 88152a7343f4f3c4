-- How a plugin is tested without a model and without a key: pillion plays a script. Run by `nvim -l client_test.lua`.
local here = vim.fs.dirname(vim.fs.normalize(vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p")))
local client = dofile(here .. "/client.lua")

-- What the model does: the first prompt is answered, the second one writes a file, the third one never ends.
local model = vim.fn.tempname()
vim.fn.writefile({ vim.json.encode({
  steps = {
    { { text = { text = "Hello, Neovim!", chunks = 4 } } },
    { { tool_call = { name = "write_file", input = { path = "note.txt", content = "from the model\n" } } } },
    { { text = "Written." } },
    { { text = "Wait for it" }, "stall" },
  },
}) }, model)

-- Neither its sessions nor its files are among yours.
vim.env.PILLION_DATA_DIR = vim.fn.tempname()
local workspace = vim.fn.tempname()
vim.fn.mkdir(workspace)

local shown, asked, code = "", nil, nil
local function wait(what, holds) assert(vim.wait(10000, holds, 10), "waited 10 s for " .. what) end

local problem, session
client.open({ vim.env.PILLION or "pillion", "--model", "scripted:" .. model, "--title-model", "none" }, workspace, {
  show = function(text) shown = shown .. text end,
  allow = function(title)
    asked = title
    -- A person takes a moment.
    local waiting = coroutine.running()
    vim.schedule(function() coroutine.resume(waiting) end)
    coroutine.yield()
    return true
  end,
  ended = function(status) code = status end,
}, function(trouble, opened) problem, session = trouble, opened end)
wait("the session", function() return problem or session end)
assert(not problem, problem)

--- Runs a prompt; `meanwhile` is called as soon as it has shown something.
local function prompt(text, meanwhile)
  local answer
  shown = ""
  session.prompt(text, function(err, result) answer = { err = err, result = result } end)
  if meanwhile then
    wait("the first text", function() return shown ~= "" end)
    meanwhile()
  end
  wait("the answer", function() return answer end)
  assert(not answer.err, vim.inspect(answer.err))
  return answer.result
end

local function same(found, wanted)
  assert(vim.deep_equal(found, wanted), ("expected %s, found %s"):format(vim.inspect(wanted), vim.inspect(found)))
end

same(prompt("Hello").stopReason, "end_turn")
same(shown, "Hello, Neovim!")

same(prompt("Write a note").stopReason, "end_turn")
same(asked, "Create note.txt")
same(vim.fn.readfile(workspace .. "/note.txt"), { "from the model" })

local stopped = prompt("Take your time", function() session.stop("my-plugin.key", function() end) end)
same(stopped.stopReason, "cancelled")
same(stopped.sentence, "The turn was cancelled by the user (my-plugin.key).")
same(stopped.diagnostics.abort.request.client.name, "Neovim")

session.close()
wait("the end of pillion", function() return code end)
same(code, 0)
