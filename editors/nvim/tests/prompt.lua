--- Story: a prompt is sent, the answer streams into the chat.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

--- The model's name as the chat shows it.
local function shown_model(model)
  return "scripted:" .. vim.fs.basename(model)
end

story.tell({
  {
    "thoughts, tools and text stand in the chat as they came, and the screen shows them folded",
    function()
      story.write(story.workspace .. "/__init__.py", "print(1)\n")
      local model = story.model({
        { reasoning = "The file will tell.\nIt is small." },
        { text = "Let me look." },
        { tool_call = { name = "read_file", input = { path = "__init__.py" } } },
        { tool_call = { name = "read_file", input = { path = "nothing.txt" } } },
      }, {
        { text = { text = "It prints **one**.\n\n```python\nprint(1)\n```", chunks = 7 } },
        { usage = { input_tokens = 120, output_tokens = 18 } },
      })
      local child = story.child({ model = model })
      child:cmd("Pillion prompt What does it do?")
      child:wait_turns(1)
      story.eq(child:chat(), {
        "## You",
        "",
        "What does it do?",
        "",
        "## Pillion",
        "",
        "> The file will tell.",
        "> It is small.",
        "",
        "Let me look.",
        "",
        "- ✓ `Read __init__.py`",
        "- ✗ `Read nothing.txt`: nothing.txt does not exist; list_directory shows what is there",
        "",
        "It prints **one**.",
        "",
        "```python",
        "print(1)",
        "```",
        "",
      })
      child:cmd("wincmd l | only | set laststatus=0 | silent! normal! G")
      local expected = {
        " pillion" .. (" "):rep(100 - 8 - 18) .. "i writes a prompt",
        "You",
        "",
        "What does it do?",
        "",
        "Pillion   " .. shown_model(model) .. ", 120 tokens in, 18 tokens out",
        "",
        "> Thought: The file will tell. (2 lines)",
        "",
        "Let me look.",
        "",
        "- ✓ Read __init__.py",
        "- ✗ Read nothing.txt: nothing.txt does not exist; list_directory shows what is there",
        "",
        "It prints one.",
        "",
        "print(1)",
      }
      if vim.fn.has("nvim-0.11") == 0 then
        -- Before 0.11 a hidden fence leaves its line.
        table.insert(expected, #expected, "")
      end
      local screen = vim.split(child:screen(), "\n")
      story.eq(vim.list_slice(screen, 1, #expected), expected, "the screen")
      story.eq(
        child:lua(
          [[return vim.bo.filetype .. " " .. tostring(vim.treesitter.highlighter.active[vim.api.nvim_get_current_buf()] ~= nil)]]
        ),
        "pillion true"
      )
    end,
  },
  {
    "twenty thousand words are drawn in batches, and only the windows at the end follow",
    function()
      local child = story.child({ model = story.model({ { text = { text = "one two six ten go\n", chunks = 5, ["repeat"] = 4000 } } }) })
      child:cmd("Pillion open")
      story.wait("the chat", function()
        return child:lua([[return vim.bo.filetype]]) == "pillion"
      end)
      -- A second window of the same chat, whose reader looks at the beginning.
      child:lua([[
        _G.drawn = 0
        vim.api.nvim_buf_attach(0, false, { on_lines = function() _G.drawn = _G.drawn + 1 end })
        vim.cmd("split")
      ]])
      child:cmd("Pillion prompt Much")
      child:wait_chat("six ten")
      child:cmd("normal! gg")
      child:wait_turns(1)
      local lines = child:chat()
      story.eq(#vim.tbl_filter(function(line)
        return line == "one two six ten go"
      end, lines), 4000)
      local cursors = child:lua([[
        return vim.tbl_map(function(win) return vim.api.nvim_win_get_cursor(win)[1] end, vim.fn.win_findbuf(vim.api.nvim_get_current_buf()))
      ]])
      table.sort(cursors)
      story.eq(cursors, { 1, #lines }, "the cursors of the reader and of the follower")
      local drawn = child:lua("return _G.drawn")
      assert(drawn < 1000, ("the buffer was changed %d times"):format(drawn))
    end,
  },
  {
    "a prompt is written in a window of its own, which keeps what has not been sent",
    function()
      local child =
        story.child({ model = story.model({ { text = "Yes." } }, { { text = "Yes again." } }), settings = { context = {} } })
      child:cmd("Pillion prompt")
      story.wait("the prompt window", function()
        return child:lua([[return vim.bo.filetype]]) == "pillion-prompt"
      end)
      child:keys("Is it so?<CR>Really?<C-s>")
      child:wait_chat("Yes.")
      story.eq(vim.list_slice(child:chat(), 1, 5), { "## You", "", "Is it so?", "Really?", "" })
      story.eq(child:lua([[return vim.api.nvim_get_mode().mode .. vim.bo.filetype]]), "npillion")
      child:keys("i")
      story.wait("the prompt window", function()
        return child:lua([[return vim.bo.filetype]]) == "pillion-prompt"
      end)
      -- Closed unsent, it is still there.
      child:keys("half a thought<Esc>q")
      story.wait("the chat", function()
        return child:lua([[return vim.bo.filetype]]) == "pillion"
      end)
      child:keys("i")
      story.wait("what was written", function()
        return child:lua([[return vim.api.nvim_get_current_line()]]) == "half a thought"
      end)
      child:keys("<Esc><CR>")
      child:wait_chat("Yes again.")
    end,
  },
  {
    "a turn that fails says why in the chat and by a notification; the next prompt is answered",
    function()
      local child = story.child({
        model = story.model(
          { { text = "```lua\nhalf" }, { protocol_error = { kind = "provider_error", message = "overloaded" } } },
          { { text = "Whole." } }
        ),
      })
      child:cmd("Pillion prompt One")
      local sentence = "The model provider's answer was not understood or reported an error. overloaded"
      child:wait_note(sentence)
      child:cmd("Pillion prompt Two")
      child:wait_chat("Whole.")
      story.eq(child:chat(), {
        "## You",
        "",
        "One",
        "",
        "## Pillion",
        "",
        "```lua",
        "half",
        "```",
        "",
        "**Failed.** " .. sentence,
        "",
        "## You",
        "",
        "Two",
        "",
        "## Pillion",
        "",
        "Whole.",
        "",
      })
      child:cmd("wincmd l | normal! gg")
      child:keys("]]")
      story.eq(child:lua("return vim.api.nvim_get_current_line()"), "## You")
      story.eq(child:lua("return vim.fn.line('.')"), 13)
      child:keys("[[")
      story.eq(child:lua("return vim.fn.line('.')"), 1)
    end,
  },
  {
    "without a model the chat says which setting chooses one",
    function()
      local child = story.child()
      child:cmd("Pillion prompt Hello")
      child:wait_chat("**Failed.**")
      story.has(child:chat(), "--model")
      story.eq(#child:notes(), 1)
    end,
  },
})
