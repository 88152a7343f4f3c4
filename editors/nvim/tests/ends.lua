--- Story: the ends: Neovim quits or is killed, pillion is killed, the plugin is reloaded. Nothing is left running, and what
--- became of a turn is told.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

local function thinking()
  return story.model({ { text = "I am thinking about" }, "stall" }, { { text = "Where were we?" } })
end

---@param model? string
---@return Child
local function with_running_turn(model)
  local child = story.child({ model = model or thinking() })
  child:cmd("Pillion prompt Think")
  child:wait_chat("thinking about")
  child:wait_state("working")
  return child
end

--- The next Neovim of the workspace opens the chat; gives the sentence that it tells.
---@return Child
---@return string
local function next_start()
  local child = story.child({ model = story.model({ { text = "Good again." } }) })
  child:cmd("Pillion open")
  local note = child:wait_note("Of the last turn of this session: ")
  return child, (note:gsub("^Of the last turn of this session: ", ""))
end

--- A killed process may have saved the words or not; that they came from a turn that was stopped is known.
---@param child Child
---@param sentence string
local function goes_on(child, sentence)
  local chat = vim.tbl_filter(function(line)
    return line ~= "" and line ~= "I am thinking about"
  end, child:chat())
  story.eq(chat, { "## You", "Think", "## Pillion", "**Stopped.** " .. sentence })
  child:cmd("Pillion prompt Again")
  child:wait_chat("Good again.")
  child:quit()
  -- What was told once is not told again.
  local later = story.child({ model = thinking() })
  later:cmd("Pillion open")
  later:wait_chat("Good again.")
  story.eq(later:notes(), {})
end

story.tell({
  {
    ":qa while an answer streams",
    function()
      with_running_turn():quit()
      local sentence = "The editor asked pillion to shut down before the turn had ended."
      local child = story.child({ model = story.model({ { text = "Good again." } }) })
      child:cmd("Pillion open")
      -- No notification is waited for: the Neovim that went may have been told while it went.
      child:wait_chat("**Stopped.** " .. sentence)
      goes_on(child, sentence)
    end,
  },
  {
    "Neovim is killed while an answer streams",
    function()
      local child = with_running_turn()
      local killed, pillions = child.pid, { child:pillion() }
      vim.uv.kill(child.pid, "sigkill")
      child:wait_gone(pillions)
      local sentence
      child, sentence = next_start()
      -- Whichever pillion noticed first.
      local told = {
        "The editor closed the connection before the turn had ended.",
        "The editor's process (%d) ended before the turn had ended.",
      }
      assert(sentence == told[1] or sentence == told[2]:format(killed), sentence)
      goes_on(child, sentence)
    end,
  },
  {
    "Neovim and pillion are killed at once: the next start finds the turn and says so",
    function()
      local child = with_running_turn()
      local pillion = child:pillion()
      vim.uv.kill(pillion, "sigstop")
      vim.uv.kill(child.pid, "sigkill")
      vim.uv.kill(pillion, "sigkill")
      child:wait_gone({ pillion })
      local sentence
      child, sentence = next_start()
      story.eq(sentence, "The process that ran the turn ended without finishing it; the turn was found and closed later.")
      story.eq(child:conversation().turns[1].cause, "crash_recovered")
      goes_on(child, sentence)
    end,
  },
  {
    "pillion is killed: told at once, started again, and the next prompt is answered",
    function()
      local child = with_running_turn(story.model({ { text = "I am thinking about" }, { delay_ms = 60000 } }))
      local first = child:pillion()
      vim.uv.kill(first, "sigkill")
      child:wait_note("pillion ended while it was needed: it was ended by SIGKILL.")
      child:wait_note("pillion was started again; the conversation goes on.")
      local sentence = "The process that ran the turn ended without finishing it; the turn was found and closed later."
      child:wait_chat("**Stopped.** " .. sentence)
      assert(child:pillion() ~= first, "another process")
      child:lua([[require("pillion.config").get().model = ...]], story.model({ { text = "Good again." } }))
      child:cmd("Pillion restart")
      child:cmd("Pillion prompt Again")
      child:wait_chat("Good again.")
      story.eq(#story.pillions_of(child.pid), 1)
    end,
  },
  {
    "pillion dies again and again: it is not started for ever",
    function()
      local child = story.child({ model = thinking() })
      child:cmd("Pillion open")
      story.wait("the chat", function()
        return child:lua("return vim.bo.filetype") == "pillion"
      end)
      for at = 1, 4 do
        local pid = story.wait("pillion " .. at, function()
          return child:lua([[return require("pillion.client").info().state]]) == "ready" and story.pillions_of(child.pid)[1]
        end)
        vim.uv.kill(pid, "sigkill")
        story.wait("its end", function()
          return not story.runs(pid)
        end)
        story.wait("the notification of it", function()
          return #vim.tbl_filter(function(note)
            return note:find("ended while it was needed", 1, true)
          end, child:notes()) == at
        end, function()
          return { at, child:notes(), child:messages() }
        end)
      end
      child:wait_note("is not started again")
      story.eq(story.pillions_of(child.pid), {})
      child:cmd("Pillion restart")
      child:wait_state("idle")
      story.eq(#story.pillions_of(child.pid), 1)
    end,
  },
  {
    ":Pillion restart ends the turn that runs, and says so",
    function()
      local child = with_running_turn()
      local first = child:pillion()
      child:cmd("Pillion restart")
      child:wait_chat("**Stopped.** The editor asked pillion to shut down before the turn had ended.")
      story.wait("another pillion", function()
        return child:lua([[return require("pillion.client").info().state]]) == "ready" and not story.runs(first)
      end)
      assert(child:pillion() ~= first, "another process")
    end,
  },
  {
    "a pillion that does not answer is ended by a restart",
    function()
      local child = with_running_turn()
      local pid = child:pillion()
      vim.uv.kill(pid, "sigstop")
      child:cmd("Pillion stop")
      child:wait_note("pillion has not answered the Stop yet. `:Pillion restart` ends it and starts it anew.")
      child:cmd("Pillion restart")
      story.wait("another pillion", function()
        return child:lua([[return require("pillion.client").info().state]]) == "ready"
      end)
      vim.uv.kill(pid, "sigcont")
      story.wait("the first one to be gone", function()
        return not story.runs(pid)
      end)
      child:wait_chat("**")
      story.eq(#story.pillions_of(child.pid), 1)
    end,
  },
  {
    "the plugin is reloaded: the pillion of the one before is ended",
    function()
      local child = with_running_turn()
      local pid = child:pillion()
      child:lua(
        [[
        for name in pairs(package.loaded) do
          if name == "pillion" or vim.startswith(name, "pillion.") then
            package.loaded[name] = nil
          end
        end
        local settings = ...
        require("pillion").setup(settings)
      ]],
        { cmd = { story.pillion }, model = story.model({ { text = "Good again." } }), title_model = "none" }
      )
      story.wait("the first pillion to be gone", function()
        return not story.runs(pid)
      end)
      child:cmd("Pillion prompt Again")
      child:wait_chat("Good again.")
      child:wait_chat("**Stopped.** The editor asked pillion to shut down before the turn had ended.")
      story.eq(#story.pillions_of(child.pid), 1)
    end,
  },
})
