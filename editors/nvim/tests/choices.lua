--- Story: what a conversation may do without a question, and whether its workspace is trusted, is chosen and shown.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

--- Picks the choice whose line begins with `wanted`, and keeps what was offered.
local PICK = [[
  local wanted = ...
  vim.ui.select = function(items, options, on_choice)
    _G.offered = vim.list_extend({ options.prompt }, vim.tbl_map(options.format_item, items))
    for at, item in ipairs(items) do
      if vim.startswith(_G.offered[at + 1], wanted) then
        return on_choice(item, at)
      end
    end
    error("nothing begins with " .. wanted)
  end
]]

local ASK = "Ask: Asks before a file is changed or a command is run"
local READ_ONLY = "Read only: Reads and searches; changes no file and runs no command"
local AUTO_EDIT = "Auto edit: Changes files of the workspace without asking; asks before a command is run"

local function write(path)
  return { { tool_call = { name = "write_file", input = { path = path, content = "written" } } } }
end

local function exists(path)
  return vim.uv.fs_stat(story.workspace .. "/" .. path) ~= nil
end

story.tell({
  {
    "a mode counts for its conversation, also after pillion was started anew, and is seen",
    function()
      local child = story.child({ model = story.model(write("first.txt"), { { text = "One." } }) })
      child:cmd("Pillion open")
      child:cmd("wincmd l")
      child:lua(PICK, "Auto edit")
      child:cmd("Pillion mode")
      child:wait_note("The mode is " .. AUTO_EDIT .. ".")
      story.eq(child:lua("return _G.offered"), { "pillion: the mode (now " .. ASK .. ")", READ_ONLY, ASK, AUTO_EDIT })
      story.has(child:screen(), "Auto edit, ")
      child:cmd("Pillion prompt @none Write")
      child:wait_chat("One.")
      story.eq(exists("first.txt"), true)

      local second = story.model(write("second.txt"), { { text = "Two." } })
      child:cmd("Pillion model " .. second)
      child:wait_note("The model is " .. second)
      -- The prompt comes while the old pillion is still going.
      child:lua([[vim.cmd("Pillion restart") vim.cmd("Pillion prompt @none Write")]])
      child:wait_chat("Two.")
      child:wait_turns(2)
      story.eq(exists("second.txt"), true)
      local turn = child:conversation().turns[2]
      story.eq({ turn.state, turn.sentence }, { "completed" }, "the prompt was for the new one, so that nothing was lost")
      story.has(child:screen(), "Auto edit, ")

      -- A second restart while the session is being opened in the first one's process.
      local third = story.model({ { text = "Still here." } })
      child:cmd("Pillion model " .. third)
      child:wait_note("The model is " .. third)
      child:lua([[
        local client = require("pillion.client")
        local request = client.request
        client.request = function(method, params, done)
          request(method, params, function(...)
            if method == "session/resume" and not _G.again then
              _G.again = true
              vim.cmd("Pillion restart")
            end
            done(...)
          end)
        end
        vim.cmd("Pillion restart")
        vim.cmd("Pillion prompt @none Are you there?")
      ]])
      child:wait_chat("Still here.")
      child:wait_turns(3)
      story.has(child:screen(), "Auto edit, ")
      story.eq(vim.iter(child:notes()):any(function(note)
        return note:find("is not open", 1, true) ~= nil
      end), false)

      child:cmd("Pillion mode read_only")
      child:wait_note("The mode is " .. READ_ONLY .. ".")
      child:cmd("Pillion model " .. story.model(write("third.txt"), { { text = "Three." } }))
      child:cmd("Pillion prompt @none Write")
      child:wait_chat("Three.")
      child:wait_turns(4)
      story.eq(exists("third.txt"), false)
      child:cmd("Pillion mode yolo")
      child:wait_note("must be one of `read_only`, `ask`, `auto_edit`")

      child:cmd("Pillion new")
      story.wait("a conversation that asks", function()
        return not child:screen():find("Read only", 1, true)
      end)
    end,
  },
  {
    "a workspace is trusted as it is, and the next Neovim knows it",
    function()
      local model = story.model({ { text = "Here." } })
      local before = story.child({ model = model })
      before:cmd("Pillion trust trusted")
      before:wait_note("The workspace is Trusted.")
      story.write(story.workspace .. "/AGENTS.md", "Use tabs.\n")
      before:cmd("Pillion prompt @none Hello")
      before:wait_note("The workspace is no longer trusted: its AGENTS.md or .pillion.toml has changed.")
      before:cmd("Pillion trust trusted")
      story.wait("the workspace to be trusted again", function()
        return vim.iter(before:notes()):filter(function(note)
          return vim.inspect(note):find("The workspace is Trusted.", 1, true)
        end):totable()[2]
      end)
      before:quit()
      local child = story.child({ model = model })
      child:lua(PICK, "Restricted")
      child:cmd("Pillion trust")
      child:wait_note("The workspace is Restricted.")
      story.eq(child:lua("return _G.offered"), { "pillion: the workspace (now Trusted)", "Restricted", "Trusted" })
      child:cmd("Pillion trust blindly")
      child:wait_note("must be `trusted` or `restricted`")
    end,
  },
})
