--- Story: the documentation is complete and its tags work; settings are checked; the command line completes.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

local doc = story.read(story.plugin .. "/doc/pillion.txt")

story.tell({
  {
    "helptags can be made, and every link leads somewhere",
    function()
      local copy = story.workspace .. "/doc"
      story.write(copy .. "/pillion.txt", doc)
      vim.cmd.helptags(copy)
      local tags = {}
      for line in story.read(copy .. "/tags"):gmatch("[^\n]+") do
        tags[line:match("^[^\t]+")] = true
      end
      assert(tags["pillion"] and tags[":Pillion"] and tags["pillion.txt"], vim.inspect(tags))
      local ours = function(link)
        return link:lower():find("pillion", 1, true)
      end
      for link in doc:gmatch("|([^|%s]+)|") do
        assert(tags[link] or (not ours(link) and #vim.fn.getcompletion(link, "help") > 0), "a link leads nowhere: " .. link)
      end
      for line in doc:gmatch("[^\n]+") do
        assert(vim.fn.strdisplaywidth(line) <= 80, "a line is wider than a help window: " .. line)
      end
    end,
  },
  {
    "every subcommand, setting, key, mapping and highlight is described",
    function()
      local commands = require("pillion.commands")
      for name, command in pairs(commands.commands) do
        local words = command.words == "" and name or (name .. " " .. command.words)
        story.has(doc, "Pillion " .. words)
        story.has(doc, "*:Pillion-" .. name .. "*")
      end
      for _, name in ipairs(require("pillion.config").names()) do
        story.has(doc, "*pillion-config-" .. name .. "*")
      end
      vim.cmd.runtime("plugin/pillion.lua")
      for _, map in ipairs(vim.api.nvim_get_keymap("n")) do
        if vim.startswith(map.lhs, "<Plug>(pillion") then
          story.has(doc, "*" .. map.lhs .. "*")
        end
      end
      for name in pairs(vim.api.nvim_get_hl(0, {})) do
        if vim.startswith(name, "Pillion") then
          story.has(doc, "*hl-" .. name .. "*")
        end
      end
      for name in pairs(require("pillion")) do
        story.has(doc, ("*pillion.%s()*"):format(name))
      end
    end,
  },
  {
    "the defaults in the documentation are the defaults",
    function()
      local block = assert(doc:match("setup%(({\n.-\n  })%)"), "the defaults are not shown")
      local shown = assert(loadstring("return " .. block))()
      local defaults = require("pillion.config").defaults()
      defaults.workspace = nil
      story.eq(shown, defaults)
    end,
  },
  {
    "settings that cannot be are refused, all at once, and change nothing",
    function()
      local config = require("pillion.config")
      local before = vim.deepcopy(config.get())
      local function refused(settings)
        local ok, problem = pcall(require("pillion").setup, settings)
        story.eq(ok, false)
        return problem
      end
      local problem = refused({ model = 3, keys = { stop = true }, window = { position = "middle" }, colour = "red" })
      story.has(problem, "model must be a string that is not empty; it is 3")
      story.has(problem, "keys.stop must be a key such as <C-c>, or false for none; it is true")
      story.has(problem, 'window.position must be one of "right", "left", "bottom", "top"; it is "middle"')
      story.has(problem, "colour is no setting; there are base_url, cmd,")
      story.has(refused({ api_key = "sk-1" }), "a key reaches pillion through the environment alone")
      story.has(refused({ cmd = "pillion" }), "cmd must be a list of strings")
      story.eq(config.get(), before)
    end,
  },
  {
    "the command line completes subcommands and their words",
    function()
      local child = story.child()
      local function complete(line)
        return child:lua([[return vim.fn.getcompletion(..., "cmdline")]], line)
      end
      story.eq(complete("Pillion s"), { "sessions", "stop" })
      story.eq(complete("Pillion prompt @"), { "@file", "@selection", "@diagnostics", "@none" })
      story.eq(complete("'<,'>Pillion prompt @s"), { "@selection" })
      story.eq(complete("Pillion! exp"), { "explain", "export" })
      story.eq(complete("Pillion sessions "), { "all" })
      story.eq(complete("Pillion mode a"), { "ask", "auto_edit" })
      story.eq(complete("Pillion trust "), { "trusted", "restricted" })
      child:cmd("Pillion nonsense")
      child:wait_note("There is no `:Pillion nonsense`; there are answer, explain, export,")
    end,
  },
  {
    "text that people read cannot move the cursor, hide or turn around",
    function()
      local plain = require("pillion.text").plain
      story.eq(plain("a\27[2K\nb\tc\0d\127"), [[a\u{1b}[2K\nb\tc\u{0}d\u{7f}]])
      story.eq(
        plain("\u{202e}abc\u{2066}\u{200b}\u{85}\u{feff}\u{e0041}"),
        [[\u{202e}abc\u{2066}\u{200b}\u{85}\u{feff}\u{e0041}]]
      )
      story.eq(plain("grün 漢字 😀 – é"), "grün 漢字 😀 – é")
      story.eq(plain("\255\254 broken"), "\255\254 broken")
    end,
  },
})
