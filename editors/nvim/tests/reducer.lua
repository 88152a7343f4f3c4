--- Story: the reducer gives, for every recording of a real session, the conversation that is expected; and putting words
--- together before they are reduced changes nothing.

local story = dofile(vim.env.PILLION_REPO .. "/editors/nvim/tests/story.lua")

local session = require("pillion.session")
local recordings = story.repo .. "/editors/recordings"

--- As `vim.lsp` decodes messages.
---@param json string
local function decode(json)
  return vim.json.decode(json, { luanil = { object = true } })
end

---@param name string
---@return pillion.Event[]
local function events_of(name)
  local events = {}
  for line in story.read(("%s/%s.events.jsonl"):format(recordings, name)):gmatch("[^\n]+") do
    table.insert(events, decode(line))
  end
  return events
end

---@param events pillion.Event[]
---@param session_id string
local function reduced(events, session_id)
  local state = session.new(session_id)
  for _, event in ipairs(events) do
    state = session.reduce(state, event)
  end
  return state
end

local names = {}
for file in vim.fs.dir(recordings) do
  table.insert(names, file:match("^(.*)%.events%.jsonl$"))
end
table.sort(names)
assert(#names > 0, "there are no recordings in " .. recordings)

local parts = {}
for _, name in ipairs(names) do
  table.insert(parts, {
    name,
    function()
      local expected = decode(story.read(("%s/%s.conversation.json"):format(recordings, name)))
      story.eq(reduced(events_of(name), expected.sessionId), expected)
      story.eq(reduced(session.coalesce(events_of(name)), expected.sessionId), expected, "with its words put together")
    end,
  })
end
story.tell(parts)
