--- Story: Stop by key and by command, each known by its own source, each told in the chat and by a notification.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

--- The abort of the child's last turn, read from an export that the child makes.
---@param child Child
---@return table
local function exported_abort(child)
  local path = vim.fn.tempname() .. ".json"
  child:cmd("Pillion export " .. path)
  child:wait_note("Exported to " .. path)
  local export = vim.json.decode(story.read(path))
  local aborts = export.diagnostics and export.diagnostics.aborts or export.aborts
  assert(aborts and #aborts > 0, "the export has no abort: " .. vim.inspect(export))
  return aborts[#aborts]
end

---@param child Child
---@param source string
local function check(child, source)
  local sentence = ("The turn was cancelled by the user (%s)."):format(source)
  child:wait_note(sentence)
  child:wait_chat("**Stopped.** " .. sentence)
  story.eq(child:chat(), {
    "## You",
    "",
    "Think",
    "",
    "## Pillion",
    "",
    "I am thinking about",
    "",
    "**Stopped.** " .. sentence,
    "",
  })
  local turn = child:conversation().turns[1]
  story.eq({ turn.state, turn.cause, turn.initiator, turn.source }, { "cancelled", "client_cancel", "user", source })
  local abort = exported_abort(child)
  story.eq({ abort.cause, abort.initiator, abort.source, abort.abort_id }, { "client_cancel", "user", source, turn.abortId })
end

local function thinking()
  return story.model({ { text = "I am thinking about" }, "stall" }, { { text = "Where were we?" } })
end

story.tell({
  {
    "by the key in the chat",
    function()
      local child = story.child({ model = thinking() })
      child:cmd("Pillion prompt Think")
      child:wait_chat("thinking about")
      child:wait_state("working")
      child:cmd("wincmd l")
      story.has(child:screen(), "working, <C-c> stops")
      child:keys("<C-c>")
      check(child, "nvim.keymap")
      child:cmd("Pillion prompt Again")
      child:wait_chat("Where were we?")
    end,
  },
  {
    "by the command",
    function()
      local child = story.child({ model = thinking() })
      child:cmd("Pillion prompt Think")
      child:wait_chat("thinking about")
      child:cmd("Pillion stop")
      check(child, "nvim.command")
    end,
  },
  {
    "by the key in the prompt window, while something is being written",
    function()
      local child = story.child({ model = thinking() })
      child:cmd("Pillion prompt Think")
      child:wait_chat("thinking about")
      child:cmd("Pillion prompt")
      story.wait("the prompt window", function()
        return child:lua([[return vim.bo.filetype]]) == "pillion-prompt"
      end)
      child:keys("next I<C-c>")
      check(child, "nvim.keymap")
      story.eq(child:lua([[return vim.fn.getbufline("pillion://prompt", 1, "$")]]), { "next I" })
    end,
  },
  {
    "prompts that wait are stopped with the turn before them",
    function()
      local child = story.child({ model = thinking() })
      child:cmd("Pillion prompt Think")
      child:wait_chat("thinking about")
      child:cmd("Pillion prompt Then")
      child:wait_chat("Then")
      -- The order of the two requests on the wire is that of the commands.
      child:cmd("Pillion stop")
      story.wait("both turns to be stopped", function()
        return vim.iter(child:conversation().turns):all(function(turn)
          return turn.state == "cancelled"
        end)
      end)
      story.eq(#child:conversation().turns, 2)
    end,
  },
  {
    "at once, while pillion is still being started",
    function()
      local child = story.child({ model = thinking() })
      child:lua([[vim.cmd("Pillion prompt Think") vim.cmd("Pillion stop")]])
      child:wait_note("The turn was cancelled by the user (nvim.command).")
      child:wait_turns(1)
      story.eq(child:conversation().turns[1].state, "cancelled")
    end,
  },
  {
    "in the chat that is looked at, whatever directory Neovim is in by now",
    function()
      local child = story.child({ model = thinking() })
      child:cmd("Pillion prompt Think")
      child:wait_chat("thinking about")
      vim.fn.mkdir(story.workspace .. "/elsewhere")
      child:cmd("cd elsewhere")
      child:cmd("Pillion stop")
      child:wait_note("Nothing is running.")
      child:cmd("wincmd l")
      child:keys("<C-c>")
      child:wait_note("The turn was cancelled by the user (nvim.keymap).")
    end,
  },
  {
    "when nothing runs, that is said",
    function()
      local child = story.child({ model = thinking() })
      child:cmd("Pillion stop")
      child:wait_note("Nothing is running.")
      story.eq(story.pillions_of(child.pid), {}, "no pillion is started to stop nothing")
    end,
  },
})
