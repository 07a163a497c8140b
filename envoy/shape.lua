-- Whether the values of a JSON body have the types that the request's message wants. The transcoder would say so, too,
-- but with the names of our types, sometimes without the field's, and it takes "5" for a number and 5 for a list.
--
-- This is no JSON parser: whatever it cannot read, it leaves to the transcoder to refuse.

local messages = require("messages")

local shape = {}

local byte, find, match, sub = string.byte, string.find, string.match, string.sub

local DEEPEST = 100
local LARGEST_INT = 2147483647
-- Raised where the text is no JSON.
local UNREADABLE = {}

-- What begins with which byte, and what is a word.
local KINDS = { [34] = "string", [123] = "object", [91] = "list", [116] = "word", [102] = "word", [110] = "word" }
for first in ("-0123456789"):gmatch(".") do KINDS[byte(first)] = "number" end
local WORDS = { ["true"] = "bool", ["false"] = "bool", ["null"] = "null" }
local COLON, COMMA, QUOTE, END_OF_LIST, END_OF_OBJECT = 58, 44, 34, 93, 125

-- Which kind of JSON value a field of each kind takes, and how that is told.
local WANTED = { string = "string", number = "number", int = "number", bool = "bool", enum = "string",
                 list = "list", object = "object" }
local EXPECTATIONS = {
  string = "must be a string", number = "must be a number", int = "must be a whole number",
  bool = "must be true or false", list = "must be a list", object = "must be an object",
}

local read

local function wrong(field, path)
  error({ field = path, message = EXPECTATIONS[field.kind] or "must be one of " .. field.expected })
end

local function skip_space(text, at)
  return find(text, "[^ \t\r\n]", at) or error(UNREADABLE)
end

-- The position after the string that begins at `at`.
local function after_string(text, at)
  at = at + 1
  while true do
    at = find(text, '["\\]', at) or error(UNREADABLE)
    if byte(text, at) == QUOTE then return at + 1 end
    at = at + 2
  end
end

-- The position of the next member or item, or nil and the position after the end.
local function next_part(text, at, closing)
  at = skip_space(text, at)
  local separator = byte(text, at)
  if separator == closing then return nil, at + 1 end
  if separator ~= COMMA then error(UNREADABLE) end
  return skip_space(text, at + 1)
end

-- Reads the object at `at`. `fields` is what its message knows, nil where nothing is expected.
local function read_object(text, at, fields, path, depth)
  at = skip_space(text, at + 1)
  if byte(text, at) == END_OF_OBJECT then return at + 1 end
  local stop
  while at do
    if byte(text, at) ~= QUOTE then error(UNREADABLE) end
    stop = after_string(text, at)
    local name = sub(text, at + 1, stop - 2)
    at = skip_space(text, stop)
    if byte(text, at) ~= COLON then error(UNREADABLE) end
    local field = fields and fields[name]
    local inside = field and (path == "" and name or path .. "." .. name)
    at, stop = next_part(text, read(text, skip_space(text, at + 1), field, inside, depth + 1), END_OF_OBJECT)
  end
  return stop
end

-- Reads the list at `at`. `item` is what each item must be, or nil.
local function read_list(text, at, item, path, depth)
  at = skip_space(text, at + 1)
  if byte(text, at) == END_OF_LIST then return at + 1 end
  local index, stop = 0, nil
  while at do
    local inside = item and path .. "[" .. index .. "]"
    at, stop = next_part(text, read(text, at, item, inside, depth + 1), END_OF_LIST)
    index = index + 1
  end
  return stop
end

local function read_string(text, at, field, path)
  local stop = after_string(text, at)
  if field and field.values and not field.values[sub(text, at + 1, stop - 2)] then wrong(field, path) end
  return stop
end

local function is_int(value)
  return value % 1 == 0 and value >= -LARGEST_INT - 1 and value <= LARGEST_INT
end

local function read_number(text, at, field, path)
  local number = match(text, "^-?%d+%.?%d*[eE]?[-+]?%d*", at)
  local value = number and tonumber(number) or error(UNREADABLE)
  if field and (math.abs(value) == math.huge or field.kind == "int" and not is_int(value)) then wrong(field, path) end
  return at + #number
end

-- Reads the value at `at` and returns the position after it. A null is as if the field were not there.
function read(text, at, field, path, depth)
  if depth > DEEPEST then error(UNREADABLE) end
  local kind = KINDS[byte(text, at)] or error(UNREADABLE)
  local word = kind == "word" and match(text, "^%l+", at)
  if word then kind = WORDS[word] or error(UNREADABLE) end
  if field and kind ~= "null" and kind ~= WANTED[field.kind] then wrong(field, path) end
  if kind == "string" then return read_string(text, at, field, path) end
  if kind == "number" then return read_number(text, at, field, path) end
  if kind == "object" then return read_object(text, at, field and messages[field.message], path, depth) end
  if kind == "list" then return read_list(text, at, field and field.item, path, depth) end
  return at + #word
end

-- The first violation, as { field, message }, in a body that shall be the message of this name; `field` is empty when
-- the body as a whole is to blame. Nil when there is none, or when the body cannot be read.
function shape.check(text, message)
  local ok, raised = pcall(function()
    return read(text, skip_space(text, 1), { kind = "object", message = message }, "", 0)
  end)
  if ok or raised == UNREADABLE then return nil end
  if type(raised) ~= "table" then error(raised) end
  return raised
end

return shape
