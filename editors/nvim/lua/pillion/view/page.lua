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
---@field fold_to? integer
---@field label? "change"|"output" what its fold is called

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
  local at = row + mark.line
  local line = vim.api.nvim_buf_get_lines(self.buf, at, at + 1, false)[1]
  -- It ends within its line: one that ended at the next line would go when that line is drawn anew.
  vim.api.nvim_buf_set_extmark(self.buf, namespace, at, 0, {
    end_col = #line,
    hl_group = mark.highlight,
    priority = 200,
    virt_text = mark.behind and { { "  " .. mark.behind[1], mark.behind[2] } } or nil,
    hl_mode = "combine",
  })
  if mark.hidden then
    vim.api.nvim_buf_set_extmark(self.buf, namespace, at, 0, { end_col = mark.hidden, conceal = "" })
  end
end

---@param first integer
---@param last integer
---@param highlight string
function Page:_dim(first, last, highlight)
  for row = first, last - 1 do
    self:_mark(row, { line = 0, highlight = highlight })
  end
end

--- Takes away the blocks of a turn from `at` on.
---@param row integer where block `at` begins
---@param section pillion.Section
---@param at integer
function Page:_cut(row, section, at)
  local height = 0
  for index = #section.blocks, at, -1 do
    height = height + section.blocks[index].height
    section.blocks[index] = nil
  end
  section.height = section.height - height
  if height > 0 then
    self:_set(row, row + height, {})
  end
end

--- Draws block `at` of a turn anew.
---@param row integer
---@param section pillion.Section
---@param at integer
---@param block pillion.Block
function Page:_draw(row, section, at, block)
  local drawing, row_of_mark = block.draw(), row
  if row == 0 and drawing.lines[1] == "" then
    -- The buffer does not begin with an empty line.
    table.remove(drawing.lines, 1)
    row_of_mark = -1
  end
  local before = section.blocks[at] and section.blocks[at].height or 0
  -- Set first: Neovim asks for the folds of the lines while it takes them.
  section.blocks[at] = {
    id = block.id,
    stamp = block.stamp,
    text = block.text,
    height = #drawing.lines,
    fold_from = drawing.fold_from,
    fold_to = drawing.fold_to,
    label = drawing.fold_label,
  }
  section.height = section.height - before + #drawing.lines
  self:_set(row, row + before, drawing.lines)
  for _, mark in ipairs(drawing.marks or {}) do
    self:_mark(row_of_mark, mark)
  end
  if block.highlight then
    self:_dim(row + 1, row + #drawing.lines, block.highlight)
  end
end

--- Writes what the text of a block has grown by.
---@param row integer
---@param section pillion.Section
---@param at integer
---@param block pillion.Block
function Page:_grow(row, section, at, block)
  local drawn = section.blocks[at]
  local added = text.lines(block.text:sub(#drawn.text + 1))
  for index = 2, #added do
    added[index] = block.prefix .. added[index]
  end
  local last = row + drawn.height - 1
  local line = vim.api.nvim_buf_get_lines(self.buf, last, last + 1, false)[1]
  added[1] = line .. added[1]
  drawn.text = block.text
  drawn.height = drawn.height + #added - 1
  section.height = section.height + #added - 1
  vim.api.nvim_buf_set_lines(self.buf, last, last + 1, false, added)
  if block.highlight then
    vim.api.nvim_buf_clear_namespace(self.buf, namespace, last, last + 1)
    self:_dim(last, last + #added, block.highlight)
  end
end

---@param row integer where the turn begins
---@param section pillion.Section
---@param turn pillion.Turn
function Page:_draw_turn(row, section, turn)
  local blocks = render.turn(turn)
  for at, block in ipairs(blocks) do
    local drawn = section.blocks[at]
    if drawn and drawn.id ~= block.id then
      -- Something new stands here: what was below is drawn again behind it.
      self:_cut(row, section, at)
      drawn = nil
    end
    if not drawn or drawn.stamp ~= block.stamp or not vim.startswith(block.text or "", drawn.text or "") then
      self:_draw(row, section, at, block)
    elseif block.text and #block.text > #drawn.text then
      self:_grow(row, section, at, block)
    end
    row = row + section.blocks[at].height
  end
  self:_cut(row, section, #blocks + 1)
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
