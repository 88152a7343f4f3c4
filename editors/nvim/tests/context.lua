--- Story: what goes with a prompt, and that the tools read what is not saved.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

---@param child Child
---@param turn? integer
local function sent(child, turn)
  return child:conversation().turns[turn or 1].prompt
end

---@param count integer
local function answers(count)
  local steps = {}
  for at = 1, count do
    steps[at] = { { text = ("Answer %d."):format(at) } }
  end
  return story.model(unpack(steps))
end

---@param path string
---@return string
local function uri(path)
  return vim.uri_from_fname(story.workspace .. "/" .. path)
end

story.tell({
  {
    "the selection, with its place",
    function()
      story.write(story.workspace .. "/src/a b.lua", "local one\nlocal two\nlocal three\n")
      local child = story.child({ model = answers(3), size = { 140, 30 } })
      child:cmd("edit src/a\\ b.lua")
      child:cmd("2,3Pillion prompt Explain")
      child:wait_turns(1)
      story.eq(sent(child), {
        { type = "text", text = "Explain" },
        {
          type = "resource",
          resource = { uri = uri("src/a b.lua") .. "#L2-L3", mimeType = "text/plain", text = "local two\nlocal three\n" },
        },
      })
      story.eq(child:chat(), {
        "## You",
        "",
        "Explain",
        "",
        "- `src/a b.lua, lines 2 to 3`",
        "",
        "## Pillion",
        "",
        "Answer 1.",
        "",
      })
      -- A part of a line, as it was selected.
      child:keys("gg0wve:Pillion prompt This<CR>")
      child:wait_turns(2)
      story.eq(sent(child, 2)[2].resource, { uri = uri("src/a b.lua") .. "#L1-L1", mimeType = "text/plain", text = "one\n" })
      story.has(child:chat(), "- `src/a b.lua, line 1`")
      -- The mapping for visual mode opens the prompt window, which names it.
      child:keys("<Esc>gg0V")
      child:lua([[vim.keymap.set("x", "gp", "<Plug>(pillion-prompt)")]])
      child:keys("gp")
      story.wait("the prompt window", function()
        return child:lua([[return vim.bo.filetype]]) == "pillion-prompt"
      end)
      story.has(child:screen(), "Prompt with src/a b.lua, line 1")
      child:keys("That<C-s>")
      child:wait_turns(3)
      story.eq(sent(child, 3)[2].resource.text, "local one\n")
    end,
  },
  {
    "the current file as a link, unless it is not wanted or not of the workspace",
    function()
      story.write(story.workspace .. "/a.lua", "return 1\n")
      local outside = vim.fn.tempname() .. ".txt"
      story.write(outside, "elsewhere\n")
      local child = story.child({ model = answers(4) })
      child:cmd("edit a.lua")
      child:cmd("Pillion prompt Explain")
      child:wait_turns(1)
      local link = { type = "resource_link", uri = uri("a.lua"), name = "a.lua" }
      story.eq(sent(child), { { type = "text", text = "Explain" }, link })
      child:cmd("Pillion prompt @none @decorated def")
      child:wait_turns(2)
      story.eq(sent(child, 2), { { type = "text", text = "@decorated def" } })
      child:cmd("edit " .. outside)
      child:cmd("Pillion prompt Explain")
      child:wait_turns(3)
      story.eq(sent(child, 3), { { type = "text", text = "Explain" } })
      child:cmd("Pillion prompt @file Explain")
      child:wait_turns(4)
      story.eq(sent(child, 4)[2].uri, vim.uri_from_fname(outside))
    end,
  },
  {
    "the diagnostics of the cursor's line",
    function()
      story.write(story.workspace .. "/a.lua", "local one\nlocal two = oops\n")
      local child = story.child({ model = answers(1) })
      child:cmd("edit a.lua")
      child:lua([[
        vim.diagnostic.set(vim.api.nvim_create_namespace("lint"), 0, {
          { lnum = 0, col = 0, message = "unused", severity = vim.diagnostic.severity.HINT },
          {
            lnum = 1, col = 12, message = "undefined variable", severity = vim.diagnostic.severity.ERROR,
            source = "luals", code = "undefined-global",
          },
        })
      ]])
      child:cmd("2 | Pillion prompt @diagnostics Mend this")
      child:wait_turns(1)
      story.eq(sent(child), {
        { type = "text", text = "Mend this" },
        {
          type = "text",
          text = "Diagnostics at a.lua:2\n- error: undefined variable (luals undefined-global)\nThe line is:\nlocal two = oops",
        },
      })
      child:cmd("new")
      child:cmd("Pillion prompt @diagnostics Mend this")
      child:wait_note("There are no diagnostics on the line of the cursor.")
      child:cmd("Pillion prompt @selection Mend this")
      child:wait_note("Nothing is selected: give `:Pillion prompt` a range.")
      story.eq(#child:conversation().turns, 1)
    end,
  },
  {
    "unsaved text is what a tool reads",
    function()
      story.write(story.workspace .. "/a.txt", "saved\n")
      story.write(story.workspace .. "/later.txt", "saved later\n")
      local read = function(path)
        return { tool_call = { name = "read_file", input = { path = path } } }
      end
      local child = story.child({
        model = story.model(
          { read("a.txt") },
          { { text = "One." } },
          { read("a.txt"), read("later.txt"), read("unborn.txt") },
          { { text = "Two." } }
        ),
      })
      local function seen(turn)
        local texts = {}
        for _, item in ipairs(child:conversation().turns[turn].items) do
          if item.type == "tool" then
            table.insert(texts, item.content and item.content[1].content.text or item.status)
          end
        end
        return table.concat(texts, "\n")
      end
      -- Open before pillion is.
      child:cmd("edit a.txt")
      child:keys("Sunsaved in a<Esc>")
      child:cmd("Pillion prompt Read")
      child:wait_turns(1)
      story.has(seen(1), "unsaved in a")
      -- Changed and opened while it runs; what was just typed is sent before the prompt is.
      child:keys("Schanged again<Esc>")
      child:cmd("split later.txt")
      child:keys("Sunsaved later<Esc>")
      child:cmd("split unborn.txt")
      child:keys("iof no file yet<Esc>")
      child:cmd("Pillion prompt Read")
      child:wait_turns(2)
      story.has(seen(2), "changed again")
      story.has(seen(2), "unsaved later")
      story.has(seen(2), "of no file yet")
      story.eq(story.read(story.workspace .. "/a.txt"), "saved\n")
    end,
  },
})
