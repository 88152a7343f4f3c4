--- Story: no pillion, a wrong one, a broken one, a picky one: each time the user is told what was found and what to do;
--- and what `:checkhealth pillion` says.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

local INSTALL = "cargo install --locked --path " .. vim.fn.shellescape(story.repo)

--- A program that answers `initialize` with this result, as far as a language server would.
---@param result table
---@return string
local function impostor(result)
  local body = vim.json.encode({ jsonrpc = "2.0", id = 1, result = result })
  -- It answers at once, whatever it is sent, and then waits for the end of its input.
  return story.program(
    "impostor-" .. vim.fn.sha256(body):sub(1, 8),
    ("#!/bin/sh\nprintf 'Content-Length: %d\\r\\n\\r\\n'\nprintf '%%s' '%s'\nexec cat >/dev/null\n"):format(#body, body)
  )
end

---@param options ChildOptions
---@return string note
---@return Child
local function first_note(options)
  local child = story.child(options)
  child:cmd("Pillion prompt Hello")
  local note = story.wait("a notification", function()
    return child:notes()[1]
  end)
  -- It is told once, and nothing is left of it.
  story.wait("the program to be gone", function()
    return child:lua([[return #vim.api.nvim_get_proc_children(vim.fn.getpid())]]) == 0
  end)
  story.eq(#child:notes(), 1)
  return note, child
end

---@param child Child
---@return string[]
local function health(child)
  child:cmd("Pillion health")
  return child:lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)")
end

story.tell({
  {
    "it is nowhere",
    function()
      local note, child = first_note({ settings = { cmd = vim.NIL }, path = "/usr/bin:/bin" })
      story.eq(
        note,
        ("The program `pillion` is neither in PATH nor at %s/.cargo/bin/pillion. Install it with `%s`, "):format(
          vim.env.HOME,
          INSTALL
        ) .. 'or name it: require("pillion").setup({ cmd = { "/path/to/pillion" } }).'
      )
      story.has(health(child), "ERROR The program `pillion` is neither in PATH nor at")
    end,
  },
  {
    "it is where cargo puts it",
    function()
      vim.fn.mkdir(vim.env.HOME .. "/.cargo/bin", "p")
      vim.uv.fs_symlink(story.pillion, vim.env.HOME .. "/.cargo/bin/pillion")
      local child =
        story.child({ settings = { cmd = vim.NIL }, path = "/usr/bin:/bin", model = story.model({ { text = "Here." } }) })
      child:cmd("Pillion prompt Hello")
      child:wait_chat("Here.")
      vim.uv.fs_unlink(vim.env.HOME .. "/.cargo/bin/pillion")
    end,
  },
  {
    "the setting names no program; what was written in the prompt window is not lost",
    function()
      local note = first_note({ settings = { cmd = { "~/bin/pillion" } } })
      story.eq(
        note,
        "`cmd` in the settings names ~/bin/pillion, which is no program that can be run. "
          .. "Mend the setting, or leave it out and pillion is looked for in PATH and ~/.cargo/bin."
      )
      local child = story.child({ model = story.model({ { text = "Here." } }) })
      child:cmd("Pillion prompt")
      story.wait("the prompt window", function()
        return child:lua("return vim.bo.filetype") == "pillion-prompt"
      end)
      child:lua([[require("pillion.config").get().cmd = { "/nowhere/pillion" }]])
      child:lua([[require("pillion.client").stop(function() _G.stopped = true end)]])
      story.wait("the end of pillion", function()
        return child:lua("return _G.stopped")
      end)
      child:keys("A long thought<C-s>")
      child:wait_note("`cmd` in the settings names /nowhere/pillion")
      child:lua([[require("pillion.config").get().cmd = ...]], { story.pillion })
      child:keys("i")
      story.wait("what was written", function()
        return child:lua("return vim.api.nvim_get_current_line()") == "A long thought"
      end, function()
        return { child:screen(), child:notes(), child:messages() }
      end)
      child:keys("<C-s>")
      child:wait_chat("Here.")
      story.eq(child:chat(), { "## You", "", "A long thought", "", "## Pillion", "", "Here.", "" })
    end,
  },
  {
    "it speaks another version",
    function()
      local path = impostor({
        capabilities = { experimental = { pillion = { protocolVersion = 7, methods = {} } } },
        serverInfo = { name = "pillion", version = "9.9.9" },
      })
      local note, child = first_note({ settings = { cmd = { path } } })
      local told = ("%s is pillion 9.9.9 and speaks protocol version 7; this plugin needs version 1. "):format(path)
        .. ("Install the one that belongs to this plugin with `%s`, then `:Pillion restart`."):format(INSTALL)
      story.eq(note, told)
      story.has(health(child), "ERROR " .. told)
    end,
  },
  {
    "it is too old to have what the plugin calls",
    function()
      local path = impostor({
        capabilities = { experimental = { pillion = { protocolVersion = 1, methods = { "session/new" } } } },
        serverInfo = { name = "pillion", version = "0.0.1" },
      })
      local note = first_note({ settings = { cmd = { path } } })
      story.has(note, path .. " is pillion 0.0.1 and does not have session/load, which this plugin needs.")
    end,
  },
  {
    "it is another language server, or none at all",
    function()
      local path = impostor({ capabilities = vim.empty_dict(), serverInfo = { name = "lua-language-server" } })
      story.has(
        first_note({ settings = { cmd = { path } } }),
        path .. " is lua-language-server, which is no pillion that this plugin knows."
      )
      path = story.program("liar", "#!/bin/sh\necho 'cannot open the frobnicator' >&2\nexit 4\n")
      story.eq(
        first_note({ settings = { cmd = { path } } }),
        ("pillion (%s) could not start: cannot open the frobnicator. `:Pillion health` looks closer."):format(path)
      )
    end,
  },
  {
    "its settings are wrong: it says so itself",
    function()
      local note, child = first_note({ model = "gpt-5" })
      story.has(note, "could not start")
      story.has(note, "names no provider")
      story.has(health(child), "names no provider")
    end,
  },
  {
    "it is well",
    function()
      local child = story.child({
        model = story.model({ { text = "I am thinking about" }, "stall" }),
        settings = { env = { OPENAI_API_KEY = "sk-very-private" } },
      })
      child:cmd("Pillion prompt Think")
      child:wait_chat("thinking about")
      child:cmd("Pillion stop")
      child:wait_turns(1)
      local lines = health(child)
      local version =
        vim.trim(vim.system({ story.pillion, "--version" }, { text = true }):wait().stdout):match("^pillion (%S+)")
      story.has(lines, "OK Neovim 0.")
      story.has(lines, ("OK %s, version %s"):format(story.pillion, version))
      story.has(lines, "OK protocol version 1, as this plugin needs")
      story.has(lines, "it is running: ready")
      story.has(lines, "data: " .. vim.env.PILLION_DATA_DIR)
      story.has(lines, "The turn was cancelled by the user (nvim.command).")
      local whole = table.concat(lines, "\n")
      assert(not whole:find("very-private", 1, true), "a key is shown")
      assert(not whole:find("ERROR", 1, true) and not whole:find("BROKEN", 1, true), whole)
    end,
  },
})
