--- A conversation's buffer: draws what changed of its turns, and nothing else, so that a long answer stays cheap.
---
--- Invariant: the buffer is the turns' blocks one after another and one empty line; `heights` adds up to it.

local render = require("pillion.view.render")
local text = require("pillion.text")

local M = {}

local namespace = vim.api.nvim_create_namespace("pillion.view")

---@class pillion.Drawn a block as it stands in the buffer
---@field id string
---@field stamp string
---@field text? string
---@field height integer
---@field fold_from? integer
---@field label? string what its fold is called

---@class pillion.Section the blocks of one turn
---@field blocks pillion.Drawn[]
---@field height integer

---@class pillion.Page
---@field buf integer
---@field sections pillion.Section[]
local Page = {}
Page.__index = Page

---@param buf integer
---@return pillion.Page
function M.new(buf)
  return setmetatable({ buf = buf, sections = {} }, Page)
end

---@param first integer
---@param last integer
---@param lines string[]
function Page:_set(first, last, lines)
  vim.api.nvim_buf_clear_namespace(self.buf, namespace, first, last)
  vim.api.nvim_buf_set_lines(self.buf, first, last, false, lines)
end

---@param row integer
---@param mark pillion.Mark
function Page:_mark(row, mark)
  vim.api.nvim_buf_set_extmark(self.buf, namespace, row + mark.line, 0, {
    end_row = row + mark.line + 1,
    hl_group = mark.highlight,
    hl_eol = true,
    priority = 200,
    virt_text = mark.behind and { { "  " .. mark.behind[1], mark.behind[2] } } or nil,
    hl_mode = "combine",
  })
end

---@param first integer
---@param last integer
---@param highlight string
function Page:_dim(first, last, highlight)
  for row = first, last - 1 do
    self:_mark(row, { line = 0, highlight = highlight })
  end
end

---@param row integer
---@param height integer of what is replaced
---@param block pillion.Block
---@return pillion.Drawn
function Page:_draw(row, height, block)
  local drawing = block.draw()
  if row == 0 and drawing.lines[1] == "" then
    table.remove(drawing.lines, 1)
    drawing.fold_from = drawing.fold_from and drawing.fold_from - 1
    for _, mark in ipairs(drawing.marks or {}) do
      mark.line = mark.line - 1
    end
  end
  self:_set(row, row + height, drawing.lines)
  for _, mark in ipairs(drawing.marks or {}) do
    self:_mark(row, mark)
  end
  if block.highlight then
    self:_dim(row + 1, row + #drawing.lines, block.highlight)
  end
  return {
    id = block.id,
    stamp = block.stamp,
    text = block.text,
    height = #drawing.lines,
    fold_from = drawing.fold_from,
    label = block.folds == "thought" and "Thought" or "Change",
  }
end

--- Writes what a text has grown by.
---@param row integer
---@param drawn pillion.Drawn
---@param block pillion.Block
function Page:_grow(row, drawn, block)
  local added = text.lines(block.text:sub(#drawn.text + 1))
  for at = 2, #added do
    added[at] = block.prefix .. added[at]
  end
  local last = row + drawn.height - 1
  local line = vim.api.nvim_buf_get_lines(self.buf, last, last + 1, false)[1]
  added[1] = line .. added[1]
  vim.api.nvim_buf_set_lines(self.buf, last, last + 1, false, added)
  if block.highlight then
    vim.api.nvim_buf_clear_namespace(self.buf, namespace, last, last + 1)
    self:_dim(last, last + #added, block.highlight)
  end
  drawn.text = block.text
  drawn.height = drawn.height + #added - 1
end

---@param row integer where the turn begins
---@param section pillion.Section
---@param turn pillion.Turn
function Page:_draw_turn(row, section, turn)
  local blocks = render.turn(turn)
  local start = row
  for at, block in ipairs(blocks) do
    local drawn = section.blocks[at]
    if not drawn or drawn.id ~= block.id then
      -- Something new stands here: what was below is drawn again behind it.
      local rest = 0
      for index = at, #section.blocks do
        rest = rest + section.blocks[index].height
        section.blocks[index] = nil
      end
      self:_set(row, row + rest, {})
      drawn = self:_draw(row, 0, block)
      section.blocks[at] = drawn
    elseif drawn.stamp ~= block.stamp or (block.text and #block.text < #drawn.text) then
      drawn = self:_draw(row, drawn.height, block)
      section.blocks[at] = drawn
    elseif block.text and #block.text > #drawn.text then
      self:_grow(row, drawn, block)
    end
    row = row + drawn.height
  end
  for index = #section.blocks, #blocks + 1, -1 do
    self:_set(row, row + section.blocks[index].height, {})
    section.blocks[index] = nil
  end
  section.height = row - start
end

--- Draws the turns in `touched`, or all of them.
---@param turns pillion.Turn[]
---@param touched? table<pillion.Turn, true>
function Page:draw(turns, touched)
  vim.bo[self.buf].modifiable = true
  local row = 0
  for at, turn in ipairs(turns) do
    local section = self.sections[at]
    if not section then
      section = { blocks = {}, height = 0 }
      self.sections[at] = section
      self:_draw_turn(row, section, turn)
    elseif not touched or touched[turn] then
      self:_draw_turn(row, section, turn)
    end
    row = row + section.height
  end
  vim.bo[self.buf].modifiable = false
  vim.bo[self.buf].modified = false
end

--- The block at a row, and the row where it begins.
---@param row integer from 0
---@return pillion.Drawn?
---@return integer?
function Page:at(row)
  local first = 0
  for _, section in ipairs(self.sections) do
    if row < first + section.height then
      for _, drawn in ipairs(section.blocks) do
        if row < first + drawn.height then
          return drawn, first
        end
        first = first + drawn.height
      end
    end
    first = first + section.height
  end
end

--- The rows, from 0, where turns begin.
---@return integer[]
function Page:turn_rows()
  local rows, row = {}, 0
  for _, section in ipairs(self.sections) do
    -- A turn begins with an empty line, except the first.
    rows[#rows + 1] = row == 0 and 0 or row + 1
    row = row + section.height
  end
  return rows
end

return M
