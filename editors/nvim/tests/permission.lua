--- Story: a tool asks before it writes. The user allows, denies, puts it off, or stops the turn instead.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

local function write(path, content)
  return { tool_call = { name = "write_file", input = { path = path, content = content } } }
end

--- Keeps every choice that is offered, until `_G.choose` answers the oldest.
local SELECT = [[
  _G.offered, _G.open = {}, {}
  vim.ui.select = function(items, options, on_choice)
    local names = vim.tbl_map(options.format_item, items)
    table.insert(_G.offered, { prompt = options.prompt, kind = options.kind, names = names })
    table.insert(_G.open, { items = items, on_choice = on_choice })
  end
  _G.choose = function(at)
    local first = table.remove(_G.open, 1)
    first.on_choice(at and first.items[at] or nil, at)
  end
]]

---@param options ChildOptions
---@return Child
local function asking(options)
  local child = story.child(options)
  child:lua(SELECT)
  return child
end

---@param child Child
---@param count integer
---@return table
local function wait_offer(child, count)
  story.wait(("question %d"):format(count), function()
    return child:lua("return #_G.offered") == count
  end, function()
    return { child:lua("return _G.offered"), child:chat(), child:notes() }
  end)
  return child:lua("return _G.offered[#_G.offered]")
end

---@param child Child
local function decision(child)
  for _, item in ipairs(child:conversation().turns[1].items) do
    if item.permission then
      return item.permission.decision, item.status
    end
  end
end

story.tell({
  {
    "allowed: the change is shown, asked about, made in the open buffer, and saved",
    function()
      story.write(story.workspace .. "/b.txt", "one\ntwo\n")
      local child = asking({ model = story.model({ write("b.txt", "one\n2\nthree\n") }, { { text = "Done." } }) })
      child:cmd("edit b.txt")
      child:cmd("Pillion prompt @none Write")
      story.eq(wait_offer(child, 1), {
        prompt = "pillion asks: Replace b.txt (+2 -1)?",
        kind = "pillion.permission",
        names = {
          "Allow once",
          "Allow this in the whole session",
          "Reject once",
          "Reject this in the whole session",
          "Show it first",
        },
      })
      child:wait_state("asks")
      story.eq(child:chat(), {
        "## You",
        "",
        "Write",
        "",
        "## Pillion",
        "",
        "- ? `Replace b.txt (+2 -1)`: waits for your answer",
        "```diff",
        "@@ -1,2 +1,3 @@",
        " one",
        "-two",
        "+2",
        "+three",
        "```",
        "",
      })
      story.eq(story.read(story.workspace .. "/b.txt"), "one\ntwo\n")
      story.has(child:screen(), "asks you, <CR> answers")
      child:lua("_G.choose(1)")
      child:wait_chat("Done.")
      child:wait_turns(1)
      story.eq({ decision(child) }, { "allow_once", "completed" })
      story.has(child:chat(), "- ✓ `Replace b.txt (+2 -1)`: you allowed it")
      story.has(child:screen(), "+ the change, 5 lines")
      story.eq(story.read(story.workspace .. "/b.txt"), "one\n2\nthree\n")
      story.eq(child:lua([[return vim.fn.getbufline("b.txt", 1, "$")]]), { "one", "2", "three" })
      story.eq(child:lua([[return vim.bo[vim.fn.bufnr("b.txt")].modified]]), false)
    end,
  },
  {
    "a buffer with changes of the user's is changed where it is, and u takes it back in one step",
    function()
      story.write(story.workspace .. "/b.txt", "one\ntwo\nthree\n")
      local edits = { { old_text = "one", new_text = "1" }, { old_text = "three", new_text = "3" } }
      local call = { tool_call = { name = "edit_file", input = { path = "b.txt", edits = edits } } }
      local child = asking({ model = story.model({ call }, { { text = "Done." } }) })
      child:cmd("edit b.txt")
      child:keys("jAtyped<Esc>")
      story.wait("the typed text", function()
        return child:lua("return vim.bo.modified and vim.api.nvim_get_mode().mode == 'n'")
      end)
      child:cmd("Pillion prompt @none Write")
      story.has(wait_offer(child, 1).prompt, "Edit b.txt (+2 -2)")
      child:lua("_G.choose(1)")
      child:wait_chat("Done.")
      child:wait_turns(1)
      story.eq({ decision(child) }, { "allow_once", "completed" })
      local function lines()
        return child:lua([[return vim.fn.getbufline("b.txt", 1, "$")]])
      end
      story.eq(lines(), { "1", "twotyped", "3" })
      story.eq(story.read(story.workspace .. "/b.txt"), "one\ntwo\nthree\n")
      story.eq(child:lua([[return vim.bo[vim.fn.bufnr("b.txt")].modified]]), true)
      child:cmd([[call win_execute(bufwinid("b.txt"), "undo")]])
      story.eq(lines(), { "one", "twotyped", "three" })
    end,
  },
  {
    "what a buffer cannot express is refused, and line ends stay what they are",
    function()
      local function edit(old, new)
        local call = { path = "b.txt", edits = { { old_text = old, new_text = new } } }
        return { tool_call = { name = "edit_file", input = call } }
      end
      local refused = "b.txt was not changed: the editor refused: the change leaves out the last line end"
      for _, case in ipairs({
        { "a\r\nb\nc\r\n", edit("a", "A"), "A\r\nb\nc\r\n" },
        { "a\r\nb\r\n", edit("b", "B"), "a\r\nB\r\n" },
        { "a\nb", edit("b", "B"), "a\nB" },
        { "", edit("", "x\ny\n"), "x\ny\n" },
        { "a\nb\n", edit("a\n", ""), "b\n" },
        { "a\nb\n", edit("b\n", "b\nc\n"), "a\nb\nc\n" },
        { "a\nb\n", edit("b\n", "c"), "a\nb\n", refused },
      }) do
        story.write(story.workspace .. "/b.txt", case[1])
        local model = story.model({ case[2] }, { { text = "Done." } })
        local child = asking({ model = model, settings = { resume_last = false } })
        child:cmd("set nofixendofline")
        if case[4] then
          child:cmd("set fixendofline")
        end
        child:cmd("edit b.txt")
        child:cmd("Pillion prompt @none Edit")
        wait_offer(child, 1)
        child:lua("_G.choose(1)")
        child:wait_chat("Done.")
        child:wait_turns(1)
        story.eq(story.read(story.workspace .. "/b.txt"), case[3])
        local item = vim.iter(child:conversation().turns[1].items):find(function(item)
          return item.type == "tool"
        end)
        story.eq(item.status, case[4] and "failed" or "completed", vim.inspect(item))
        if case[4] then
          story.has(vim.inspect(item.content), case[4])
        end
        child:quit()
      end
    end,
  },
  {
    "a buffer that has changed on the disk meanwhile is left alone, and save_edits = false leaves saving to the user",
    function()
      story.write(story.workspace .. "/b.txt", "one\n")
      local child = asking({
        model = story.model({ write("b.txt", "two\n") }, { write("b.txt", "three\n") }, { { text = "Done." } }),
        settings = { save_edits = false },
      })
      child:cmd("edit b.txt")
      child:cmd("Pillion prompt @none Write")
      wait_offer(child, 1)
      story.write(story.workspace .. "/b.txt", "somebody else's\n")
      child:lua("_G.choose(1)")
      wait_offer(child, 2)
      child:lua("_G.choose(1)")
      child:wait_chat("Done.")
      child:wait_turns(1)
      story.eq(child:conversation().turns[1].items[1].status, "failed")
      story.eq(child:lua([[return vim.fn.getbufline("b.txt", 1, "$")]]), { "three" })
      story.eq(story.read(story.workspace .. "/b.txt"), "somebody else's\n")
    end,
  },
  {
    "denied: nothing is written, and the model goes on",
    function()
      local child = asking({ model = story.model({ write("b.txt", "new\n") }, { { text = "Then not." } }) })
      child:cmd("Pillion prompt Write")
      story.eq(wait_offer(child, 1).prompt, "pillion asks: Create b.txt (+1 -0)?")
      child:lua("_G.choose(3)")
      child:wait_chat("Then not.")
      child:wait_turns(1)
      story.eq({ decision(child) }, { "reject_once", "failed" })
      story.has(child:chat(), "- ✗ `Create b.txt`: you said no")
      story.eq(vim.uv.fs_stat(story.workspace .. "/b.txt"), nil)
    end,
  },
  {
    "once and for all: the same call is asked about once in the session",
    function()
      local child = asking({ model = story.model({ write("b.txt", "b\n") }, { write("b.txt", "c\n") }, { write("c.txt", "c\n") }, { { text = "Done." } }) })
      child:cmd("Pillion prompt Write")
      wait_offer(child, 1)
      child:lua("_G.choose(2)")
      story.eq(wait_offer(child, 2).prompt, "pillion asks: Create c.txt (+1 -0)?")
      child:lua("_G.choose(4)")
      child:wait_chat("Done.")
      child:wait_turns(1)
      story.eq({ decision(child) }, { "allow_always", "completed" })
      story.has(child:chat(), "- ✗ `Create c.txt`: you said no")
      story.eq(story.read(story.workspace .. "/b.txt"), "c\n")
      story.eq(vim.uv.fs_stat(story.workspace .. "/c.txt"), nil)
    end,
  },
  {
    "a command: the whole of it is shown before it is allowed, and its title is only its beginning",
    function()
      local long = "touch made; # " .. ("x"):rep(200) .. "\necho \27[2K$TMPDIR > where"
      local run = { tool_call = { name = "shell", input = { command = long } } }
      local child = asking({ model = story.model({ run }, { { text = "Done." } }) })
      child:cmd("Pillion prompt Run")
      local prompt = wait_offer(child, 1).prompt
      story.eq(prompt:match("^pillion asks: Run `touch made; # x+…%?$") ~= nil, true, prompt)
      local words = {
        "A script for /bin/sh:",
        "",
        "```sh",
        "touch made; # " .. ("x"):rep(200),
        "echo ⟨U+001B⟩[2K$TMPDIR > where",
        "```",
        "",
        "- Directory: " .. story.workspace,
        "- Time limit: 120 s",
        "- Writes: in the workspace, a scratch directory; nowhere else, but modes, owners and times of your files can be changed anywhere",
        "- Network: off",
      }
      story.has(child:chat(), "````\n" .. table.concat(words, "\n") .. "\n````")
      child:lua("_G.choose(5)")
      child:wait_note("The question stays open.")
      story.eq(child:lua("return vim.api.nvim_buf_get_lines(0, 1, -1, false)"), words)
      child:keys("q")
      child:cmd("Pillion answer")
      wait_offer(child, 2)
      child:lua("_G.choose(1)")
      child:wait_chat("Done.")
      story.eq(vim.uv.fs_stat(story.workspace .. "/made") ~= nil, true, "the command ran")
    end,
  },
  {
    "what a command wrote is folded, and its line says how it ended",
    function()
      local function run(command)
        return { tool_call = { name = "shell", input = { command = command } } }
      end
      local model = story.model({ run("printf 'one\\033[2J\\n```\\ntwo'; exit 3"), run("seq 3"), run("true") }, { { text = "Done." } })
      local child = asking({ model = model })
      child:cmd("Pillion prompt Run")
      for at = 1, 3 do
        wait_offer(child, at)
        child:lua("_G.choose(1)")
      end
      child:wait_chat("Done.")
      child:wait_turns(1)
      story.eq(vim.list_slice(child:chat(), 7), {
        "- ✗ `` Run ````printf 'one\\033[2J\\n```\\ntwo'; exit 3```` ``: exit code 3",
        "````",
        "one\\u{1b}[2J",
        "```",
        "two",
        "[exit code 3]",
        "````",
        "- ✓ `Run seq 3`: you allowed it",
        "```",
        "1",
        "2",
        "3",
        "[exit code 0]",
        "```",
        "- ✓ `Run true`: you allowed it",
        "",
        "Done.",
        "",
      })
      local screen = child:screen()
      story.has(screen, "+ the output, 4 lines")
      story.eq(screen:find("[exit code 0]", 1, true), nil)
    end,
  },
  {
    "two changes of one file: each is asked about by its own title",
    function()
      local model = story.model({ write("b.txt", "b\n"), write("b.txt", "c\n") }, { { text = "Done." } })
      local child = asking({ model = model })
      child:cmd("Pillion prompt Write")
      story.eq(wait_offer(child, 1).prompt, "pillion asks: Create b.txt (+1 -0)?")
      child:lua("_G.choose(1)")
      story.eq(wait_offer(child, 2).prompt, "pillion asks: Replace b.txt (+1 -1)?")
      child:lua("_G.choose(1)")
      child:wait_chat("Done.")
      story.eq(story.read(story.workspace .. "/b.txt"), "c\n")
    end,
  },
  {
    "put off: it is not a no; the change can be looked at, and the question asked again",
    function()
      local child = asking({ model = story.model({ write("b.txt", "new\n```\n") }, { { text = "Done." } }) })
      child:cmd("Pillion prompt Write")
      wait_offer(child, 1)
      story.has(child:chat(), "````diff\n@@ -0,0 +1,2 @@\n+new\n+```\n````")
      child:lua("_G.choose(5)")
      child:wait_note("The question stays open.")
      story.eq(child:lua("return vim.api.nvim_buf_get_lines(0, 2, -1, false)"), { "@@ -0,0 +1,2 @@", "+new", "+```" })
      story.eq(child:lua("return vim.bo.filetype"), "diff")
      child:keys("q")
      child:cmd("Pillion answer")
      wait_offer(child, 2)
      child:lua("_G.choose(nil)")
      child:cmd("Pillion answer")
      wait_offer(child, 3)
      child:lua("_G.choose(1)")
      child:wait_chat("Done.")
      story.eq(story.read(story.workspace .. "/b.txt"), "new\n```\n")
      child:cmd("Pillion answer")
      child:wait_note("Nothing waits for your answer.")
    end,
  },
  {
    "several: they are asked one after another",
    function()
      local child = asking({
        model = story.model({ write("a.txt", "a\n"), write("b.txt", "b\n"), write("c.txt", "c\n") }, { { text = "Done." } }),
      })
      child:cmd("Pillion prompt Write")
      local titles = {}
      for at, answer in ipairs({ 1, 3, 1 }) do
        titles[at] = wait_offer(child, at).prompt:match("(%a%.txt)")
        story.eq(child:lua("return #_G.open"), 1, "the choices that are open at once")
        child:lua("_G.choose(...)", answer)
      end
      child:wait_chat("Done.")
      child:wait_turns(1)
      local written = vim.iter(titles):map(function(title)
        return title .. (vim.uv.fs_stat(story.workspace .. "/" .. title) and " written" or "")
      end)
      story.eq(written:totable(), { titles[1] .. " written", titles[2], titles[3] .. " written" })
    end,
  },
  {
    "withdrawn by Stop: a late choice does nothing",
    function()
      local child = asking({ model = story.model({ write("b.txt", "new\n") }, { { text = "Next." } }) })
      child:cmd("Pillion prompt Write")
      wait_offer(child, 1)
      child:cmd("wincmd l")
      child:keys("<C-c>")
      child:wait_chat("**Stopped.** The turn was cancelled by the user (nvim.keymap).")
      story.eq({ decision(child) }, { "withdrawn", "stopped" })
      child:lua("_G.choose(1)")
      child:wait_note("Nobody asks any more: Create b.txt (+1 -0)")
      child:cmd("Pillion prompt Go on")
      child:wait_chat("Next.")
      story.eq(vim.uv.fs_stat(story.workspace .. "/b.txt"), nil)
      story.eq(child:lua("return #_G.offered"), 1)
    end,
  },
  {
    "Neovim's own choice is answered by keys, and never opens over what is being typed",
    function()
      local child = story.child({ model = story.model({ write("b.txt", "new\n") }, { { text = "Done." } }) })
      child:keys("ityping ")
      child:lua([[vim.schedule(function() vim.cmd("Pillion prompt Write") end)]])
      child:wait_note("pillion asks: Create b.txt (+1 -0)?")
      child:keys("1")
      story.wait("the letter", function()
        return child:lua("return vim.api.nvim_get_current_line()") == "typing 1"
      end)
      child:keys("<Esc>")
      story.wait("the choice", function()
        local mode = child:call("nvim_get_mode")
        -- Neovim 0.10 waits for the choice, 0.11 reads it as a command line.
        return mode.blocking or mode.mode == "c"
      end, function()
        return { child:call("nvim_get_mode"), child:notes(), child:messages() }
      end)
      child:keys("1<CR>")
      child:wait_chat("Done.")
      story.eq(story.read(story.workspace .. "/b.txt"), "new\n")
    end,
  },
  {
    "a name that a model made up cannot forge what is asked",
    function()
      local name = "a\27[2K\u{a}\u{202e}txt.sh"
      local child = asking({ model = story.model({ write(name, "new\n") }, { { text = "Done." } }) })
      child:cmd("Pillion prompt Write")
      local prompt = wait_offer(child, 1).prompt
      story.eq(prompt, "pillion asks: Create `a⟨U+001B⟩[2K⟨U+000A⟩⟨U+202E⟩txt.sh` (+1 -0)?")
      child:lua("_G.choose(3)")
      child:wait_chat("Done.")
    end,
  },
})
