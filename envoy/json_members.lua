-- The members of an object in a text of which `json_types.check` has said that it is JSON.

local encoding = require("encoding")

local json_members = {}

local byte, find, match, sub = string.byte, string.find, string.match, string.sub

local QUOTE, BACKSLASH, OPEN_OBJECT, OPEN_LIST, CLOSE_OBJECT = 34, 92, 123, 91, 125

-- Returns the position after the string that begins at `at`.
local function string_end(text, at)
  at = find(text, '["\\]', at + 1)
  while byte(text, at) == BACKSLASH do at = find(text, '["\\]', at + 2) end
  return at + 1
end

-- Returns the position after the value that begins at `at`.
local function value_end(text, at)
  local first = byte(text, at)
  if first == QUOTE then return string_end(text, at) end
  if first ~= OPEN_OBJECT and first ~= OPEN_LIST then return match(text, "^[^,%]} \t\r\n]+()", at) end
  local depth = 0
  repeat
    at = find(text, '["%[%]{}]', at)
    local found = byte(text, at)
    if found == QUOTE then
      at = string_end(text, at)
    else
      depth = depth + ((found == OPEN_OBJECT or found == OPEN_LIST) and 1 or -1)
      at = at + 1
    end
  until depth == 0
  return at
end

-- Returns the members of a text that is an object, in their order: a list of { text, value, from, to }, where `text` is
-- the whole member, and `value` stands between the two positions. The second result has the same members by name, the
-- third is a name that stands there twice, or nil. A text that is no object has no members.
function json_members.of(text)
  local members, by_name, twice = {}, {}, nil
  local at = match(text, "^[ \t\r\n]*{[ \t\r\n]*()")
  while at and byte(text, at) ~= CLOSE_OBJECT do
    local stop = string_end(text, at)
    local name = encoding.unescape_json(sub(text, at + 1, stop - 2))
    local from = match(text, "^[ \t\r\n]*:[ \t\r\n]*()", stop)
    local to = value_end(text, from) - 1
    local member = { text = sub(text, at, to), value = sub(text, from, to), from = from, to = to }
    if by_name[name] then twice = name end
    members[#members + 1], by_name[name] = member, member
    at = match(text, "^[ \t\r\n]*,?[ \t\r\n]*()", to + 1)
  end
  return members, by_name, twice
end

return json_members
