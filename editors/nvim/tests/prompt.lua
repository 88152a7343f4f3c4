--- Story: a prompt is sent, the answer streams into the chat.

vim.opt.runtimepath:prepend(vim.fs.joinpath(vim.env.PILLION_REPO, "editors", "nvim"))
package.path = vim.fs.joinpath(vim.env.PILLION_REPO, "editors", "nvim", "tests", "?.lua;") .. package.path
local story = require("story")

story.tell({
  {
    "an answer streams into the chat",
    function()
      local child = story.child({ model = story.model({ { text = "Hello! How can I help?" } }) })
      child:cmd("Pillion prompt Hello")
      child:wait_chat("How can I help?")
      child:wait_state("idle")
      print(child:screen())
    end,
  },
})
