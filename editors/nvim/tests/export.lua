--- Story: a conversation is exported, its stops are explained, the log is opened.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

local function stopped()
  local child = story.child({ model = story.model({ { text = "A very private answer" }, "stall" }, { { text = "Next." } }) })
  child:cmd("Pillion prompt A very private question")
  child:wait_chat("A very private answer")
  child:cmd("Pillion stop")
  child:wait_turns(1)
  return child
end

story.tell({
  {
    "the export is opened, sanitized unless asked otherwise",
    function()
      local child = stopped()
      child:cmd("Pillion export")
      local note = child:wait_note("Exported to ")
      story.has(note, "sanitized, safe to attach to a report")
      local path = note:match("Exported to (%S+) ")
      story.eq(child:lua([[return vim.api.nvim_buf_get_name(0)]]), path)
      assert(vim.startswith(path, vim.env.HOME .. "/.local/share/nvim/pillion/exports/"), path)
      local export = story.read(path)
      story.has(export, child:conversation().sessionId)
      assert(not export:find("very private", 1, true), "a private text is in the sanitized export")

      child:cmd("Pillion! export " .. story.workspace .. "/full export.json")
      child:wait_note("only known keys are left out")
      story.has(story.read(story.workspace .. "/full export.json"), "A very private answer")
      child:cmd("Pillion export " .. story.workspace .. "/full export.json")
      child:wait_note("full export.json")
    end,
  },
  {
    "the stops are explained in a window of their own",
    function()
      local child = stopped()
      child:cmd("Pillion explain")
      story.wait("the explanation", function()
        return child:lua("return vim.bo.filetype") == "pillion-explain"
      end, function()
        return child:notes()
      end)
      local lines = child:lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)")
      story.has(lines, "Stop 1 of 1: " .. child:conversation().turns[1].abortId)
      story.has(lines, "The turn was cancelled by the user (nvim.command).")
      child:keys("q")
      child:cmd("Pillion explain no_such_session")
      child:wait_note("there is no session no_such_session")
      child:cmd("Pillion log")
      story.wait("the log", function()
        return child:lua("return vim.api.nvim_buf_get_name(0)") == vim.env.PILLION_LOG
      end, function()
        return child:notes()
      end)
    end,
  },
})
