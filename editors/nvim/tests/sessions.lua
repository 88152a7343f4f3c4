--- Story: several conversations: begun, listed, taken up again, by the same Neovim and by the next.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

--- Answers the next choice with the entry of this number, or whose line has `needle`, and keeps what was offered.
local CHOOSE = [[
  local needle = ...
  _G.lines = nil
  vim.ui.select = function(items, options, on_choice)
    _G.lines = vim.tbl_map(options.format_item, items)
    for at, line in ipairs(_G.lines) do
      if at == needle or (type(needle) == "string" and line:find(needle, 1, true)) then
        return on_choice(items[at], at)
      end
    end
    on_choice(nil, nil)
  end
]]

---@param child Child
---@param command string
---@param needle string|integer
---@return string[] lines that were offered
local function choose(child, command, needle)
  child:lua(CHOOSE, needle)
  child:cmd(command)
  story.wait("a choice of sessions", function()
    return child:lua("return _G.lines ~= nil")
  end, function()
    return child:notes()
  end)
  return child:lua("return _G.lines")
end

---@param title string
---@param answer string
local function titled(title, answer)
  local path = story.model({ { text = answer } }, { { text = answer .. " again" } }):match("^scripted:(.*)$")
  local script = vim.json.decode(story.read(path))
  script.title = title
  story.write(path, vim.json.encode(script))
  return "scripted:" .. path
end

---@param child Child
---@param title string
local function wait_title(child, title)
  story.wait("the title " .. title, function()
    return child:conversation().title == title
  end)
end

story.tell({
  {
    "one Neovim has two conversations and goes from one to the other",
    function()
      local child = story.child({ model = titled("Of %{hidden} 100% things", "First"), settings = { title_model = "session" } })
      child:cmd("Pillion prompt One")
      child:wait_turns(1)
      wait_title(child, "Of %{hidden} 100% things")
      child:cmd("wincmd l")
      story.has(child:screen(), " Of %{hidden} 100% th…", "a title is shown as it is, not obeyed")
      local first = child:conversation().sessionId
      child:cmd("Pillion new")
      story.wait("a new conversation", function()
        return child:conversation().sessionId ~= first
      end)
      story.eq(child:chat(), { "" })
      child:cmd("Pillion prompt Two")
      child:wait_turns(1)
      local lines = choose(child, "Pillion sessions", "zzz")
      story.eq(#lines, 2)
      assert(lines[2]:match("^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d  Of %%{hidden} 100%% things  /"), lines[2])
      choose(child, "Pillion sessions", 2)
      story.wait("the first conversation", function()
        return child:conversation().sessionId == first
      end)
      story.eq(child:chat(), { "## You", "", "One", "", "## Pillion", "", "First", "" })
      child:cmd("Pillion prompt Three")
      child:wait_chat("First again")
      story.eq(#story.pillions_of(child.pid), 1)
    end,
  },
  {
    "the next Neovim goes on with the workspace's last conversation, and can take up another",
    function()
      local model = titled("About tea", "Tea")
      local before = story.child({ model = model, settings = { title_model = "session" } })
      before:cmd("Pillion prompt One")
      before:wait_turns(1)
      wait_title(before, "About tea")
      local session, chat = before:conversation().sessionId, before:chat()
      before:quit()

      local child = story.child({ model = model })
      child:cmd("Pillion open")
      child:wait_chat("Tea")
      story.eq(child:chat(), chat)
      story.eq(child:conversation().sessionId, session)
      wait_title(child, "About tea")
      story.eq(child:notes(), {}, "a turn that the model ended is nothing to tell")
      child:cmd("Pillion prompt Two")
      child:wait_turns(2)
      child:quit()

      local fresh = story.child({ model = model, settings = { resume_last = false } })
      fresh:cmd("Pillion prompt Three")
      fresh:wait_turns(1)
      assert(fresh:conversation().sessionId ~= session, "resume_last = false begins anew")
      choose(fresh, "Pillion sessions", "About tea")
      fresh:wait_turns(2)
      story.eq(fresh:conversation().sessionId, session)
    end,
  },
  {
    "sessions of other workspaces are listed on demand",
    function()
      local child = story.child({ model = story.model({ { text = "Here." } }) })
      choose(child, "Pillion sessions all", "About tea")
      child:wait_turns(2)
      child:cmd("Pillion new")
      story.wait("a new conversation", function()
        return vim.deep_equal(child:chat(), { "" })
      end)
      child:cmd("Pillion prompt One")
      child:wait_chat("Here.")
      local lines = choose(child, "Pillion sessions", "zzz")
      story.eq(#lines, 1)
    end,
  },
  {
    "a session that is gone is no reason not to talk",
    function()
      local model = story.model({ { text = "Here." } })
      local before = story.child({ model = model })
      before:cmd("Pillion prompt One")
      before:wait_turns(1)
      local session = before:conversation().sessionId
      before:lua(
        [[require("pillion.client").request("session/delete", { sessionId = ... }, function() _G.deleted = true end)]],
        session
      )
      story.wait("the session to be gone", function()
        return before:lua("return _G.deleted")
      end)
      before:quit()
      local child = story.child({ model = model })
      child:cmd("Pillion prompt Two")
      child:wait_turns(1)
      story.eq(child:chat(), { "## You", "", "Two", "", "## Pillion", "", "Here.", "" })
    end,
  },
  {
    "the model of a conversation is shown and chosen",
    function()
      local first, second = story.model({ { text = "I am the first." } }), story.model({ { text = "I am the second." } })
      local child = story.child({ model = first })
      child:cmd("Pillion model " .. second)
      child:wait_note("The model is " .. second)
      child:cmd("Pillion prompt Who?")
      child:wait_chat("I am the second.")
      child:cmd("Pillion model nonsense")
      child:wait_note("names no provider")
    end,
  },
})
