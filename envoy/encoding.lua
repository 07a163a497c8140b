-- Percent escapes, UTF-8 and JSON strings, which Lua 5.1 does not have.

local encoding = {}

local byte, char, find = string.byte, string.char, string.find
local format, gsub, sub = string.format, string.gsub, string.sub

local function is_between(text, at, low, high)
  local value = byte(text, at)
  return value ~= nil and value >= low and value <= high
end

-- Returns the length of the UTF-8 sequence at `at`, or nil when there is none (RFC 3629, table 3-7 of Unicode).
local function sequence_length(text, at)
  local lead = byte(text, at)
  if lead < 0x80 then return 1 end
  if lead < 0xC2 or lead > 0xF4 then return nil end
  if lead < 0xE0 then return is_between(text, at + 1, 0x80, 0xBF) and 2 or nil end
  local low, high = 0x80, 0xBF
  if lead == 0xE0 then low = 0xA0 elseif lead == 0xED then high = 0x9F
  elseif lead == 0xF0 then low = 0x90 elseif lead == 0xF4 then high = 0x8F end
  if not is_between(text, at + 1, low, high) or not is_between(text, at + 2, 0x80, 0xBF) then return nil end
  if lead < 0xF0 then return 3 end
  return is_between(text, at + 3, 0x80, 0xBF) and 4 or nil
end

function encoding.is_utf8(text)
  local at = find(text, "[\128-\255]")
  while at do
    local length = sequence_length(text, at)
    if not length then return false end
    at = find(text, "[\128-\255]", at + length)
  end
  return true
end

-- Returns the text without its percent escapes, or nil when an escape is broken or the result is not UTF-8.
function encoding.unescape(text)
  if find(text, "%", 1, true) then
    if find(gsub(text, "%%%x%x", ""), "%", 1, true) then return nil end
    text = gsub(text, "%%(%x%x)", function(digits) return char(tonumber(digits, 16)) end)
  end
  return encoding.is_utf8(text) and text or nil
end

local function escape(character)
  return format("\\u%04x", byte(character))
end

-- Returns UTF-8 text as a JSON string.
function encoding.json_string(text)
  text = gsub(text, '[%c"\\\127]', escape)
  return '"' .. text .. '"'
end

local ESCAPED = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- Returns the content of a JSON string without its escapes. An escaped character beyond ASCII becomes U+FFFD, which is
-- enough to compare with ASCII names.
function encoding.unescape_json(text)
  return (gsub(text, "\\(.)(%x?%x?%x?%x?)", function(kind, digits)
    if kind ~= "u" then return (ESCAPED[kind] or kind) .. digits end
    local code = tonumber(digits, 16)
    return code < 0x80 and char(code) or "\239\191\189"
  end))
end

-- Returns a proto field's name in JSON: `deliveryDays` for `delivery_days`.
function encoding.camel_case(name)
  return (gsub(name, "_(%l)", string.upper))
end

-- Returns the first `length` bytes at most, without a part of a character at the end.
function encoding.shorten(text, length)
  if #text <= length then return text end
  while length > 0 and is_between(text, length + 1, 0x80, 0xBF) do length = length - 1 end
  return sub(text, 1, length)
end

return encoding
