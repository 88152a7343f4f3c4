--- Text that a person reads: one place that makes foreign words harmless.

local M = {}

--- Letters that change how their neighbours are shown: bidirectional controls, zero-width and line separators.
local HIDDEN = {
  [0x00AD] = true,
  [0x061C] = true,
  [0xFEFF] = true,
}
for code = 0x200B, 0x200F do
  HIDDEN[code] = true
end
for code = 0x2028, 0x202E do
  HIDDEN[code] = true
end
for code = 0x2060, 0x2069 do
  HIDDEN[code] = true
end

---@param code integer
---@return string
local function escaped(code)
  if code == 0x0A then
    return "\\n"
  elseif code == 0x09 then
    return "\\t"
  elseif code == 0x0D then
    return "\\r"
  end
  return ("\\u{%x}"):format(code)
end

--- One line that shows every control and direction character instead of obeying it.
---@param text string
---@return string
function M.plain(text)
  local out = text:gsub("[%z\1-\31\127]", function(byte)
    return escaped(byte:byte())
  end)
  -- Above ASCII: C1 controls, the hidden letters, and the invisible copy of ASCII that Unicode calls tags.
  out = out:gsub("[\194-\239][\128-\191][\128-\191]?", function(letter)
    local code = vim.fn.char2nr(letter, true)
    if HIDDEN[code] or (code >= 0x80 and code < 0xA0) then
      return escaped(code)
    end
  end)
  return (out:gsub("\243\160[\128-\129][\128-\191]", function(letter)
    return escaped(vim.fn.char2nr(letter, true))
  end))
end

--- `text`, at most `cells` wide, cut at a character.
---@param text string
---@param cells integer
---@return string
function M.cut(text, cells)
  if vim.fn.strdisplaywidth(text) <= cells then
    return text
  end
  return vim.fn.strcharpart(text, 0, math.max(cells - 1, 0)) .. "…"
end

--- Its lines, without the carriage returns of other systems.
---@param text string
---@return string[]
function M.lines(text)
  local lines = vim.split(text, "\n", { plain = true })
  for at, line in ipairs(lines) do
    if line:sub(-1) == "\r" then
      lines[at] = line:sub(1, -2)
    end
  end
  return lines
end

return M
