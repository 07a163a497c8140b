-- Checks that a body is JSON (RFC 8259), nested no deeper than the transcoder allows, and that its types are those of the
-- request's message. The transcoder checks types too, but its errors contain names of our messages, sometimes without
-- the field, and it takes "5" for a number and 5 for a list. It also takes texts that are not JSON ('a', {a: 1}, [1,]):
-- a text that this script could not read, but the transcoder could, would pass with any types.
--
-- A name counts after its escapes are resolved, as the transcoder reads it: "pri\u0063e" is `price`. `messages` has both
-- names that the transcoder takes for a field, `deliveryDays` and `delivery_days`.

local encoding = require("encoding")
local messages = require("messages")

local json_types = {}

local byte, find, match, sub = string.byte, string.find, string.match, string.sub

local MAX_DEPTH = 100
local MAX_INT = 2147483647
-- The violations of a whole text. Raised where the text is not JSON, or is nested too deeply.
local NOT_JSON = { text = "The request body is not valid JSON" }
local TOO_DEEP = { text = "The request body is nested too deeply" }
local NOT_AN_OBJECT = { text = "The request body must be a JSON object" }
json_types.NOT_AN_OBJECT = NOT_AN_OBJECT

-- The kind of value that begins with a byte. The words are true, false and null.
local KINDS = { [34] = "string", [123] = "object", [91] = "list", [116] = "word", [102] = "word", [110] = "word" }
for first in ("-0123456789"):gmatch(".") do KINDS[byte(first)] = "number" end
local WORDS = { ["true"] = "bool", ["false"] = "bool", ["null"] = "null" }
local COLON, COMMA, QUOTE, BACKSLASH, END_OF_LIST, END_OF_OBJECT = 58, 44, 34, 92, 93, 125

-- The kind of JSON value that a field takes, and the message for every other value.
local EXPECTED_KIND = { string = "string", number = "number", int = "number", bool = "bool", enum = "string",
                        list = "list", object = "object" }
local MESSAGES = {
  string = "must be a string", number = "must be a number", int = "must be a whole number",
  bool = "must be true or false", list = "must be a list", object = "must be an object",
}

-- The first violation of the text that is being read. Reading goes on after it: the text must be JSON to its end.
local first_violation

local read_value

local function add_violation(field, path)
  first_violation = first_violation
    or { field = path, message = MESSAGES[field.kind] or "must be one of " .. field.expected }
end

local function skip_space(text, at)
  return find(text, "[^ \t\r\n]", at) or error(NOT_JSON)
end

-- Returns the position after the string that begins at `at`, and whether it has escapes.
local function string_end(text, at)
  local has_escapes = false
  at = at + 1
  while true do
    at = find(text, '[%z\1-\31"\\]', at) or error(NOT_JSON)
    local found = byte(text, at)
    if found == QUOTE then return at + 1, has_escapes end
    if found ~= BACKSLASH then error(NOT_JSON) end
    has_escapes = true
    if find(text, '^["\\/bfnrt]', at + 1) then
      at = at + 2
    elseif find(text, "^u%x%x%x%x", at + 1) then
      at = at + 6
    else
      error(NOT_JSON)
    end
  end
end

-- Returns the text of the string between `at` and `stop`, its quotes included.
local function string_value(text, at, stop, has_escapes)
  local value = sub(text, at + 1, stop - 2)
  return has_escapes and encoding.unescape_json(value) or value
end

-- Returns the position of the next member or item; at the end nil and the position after it.
local function next_part(text, at, closing)
  at = skip_space(text, at)
  local separator = byte(text, at)
  if separator == closing then return nil, at + 1 end
  if separator ~= COMMA then error(NOT_JSON) end
  return skip_space(text, at + 1)
end

-- Reads the object at `at`. `fields` are the fields of its message, or nil where any object may stand. A field that
-- stands there twice is checked twice.
local function read_object(text, at, fields, path, depth)
  at = skip_space(text, at + 1)
  if byte(text, at) == END_OF_OBJECT then return at + 1 end
  local stop, has_escapes
  while at do
    if byte(text, at) ~= QUOTE then error(NOT_JSON) end
    stop, has_escapes = string_end(text, at)
    local name = fields and string_value(text, at, stop, has_escapes)
    at = skip_space(text, stop)
    if byte(text, at) ~= COLON then error(NOT_JSON) end
    local field = fields and fields[name]
    -- Violations name a field as the API does, in camelCase.
    local shown = field and (field.camel_case or name)
    local field_path = field and (path == "" and shown or path .. "." .. shown)
    at, stop = next_part(text, read_value(text, skip_space(text, at + 1), field, field_path, depth + 1), END_OF_OBJECT)
  end
  return stop
end

-- Reads the list at `at`. `item` is the type of its items, or nil where any list may stand.
local function read_list(text, at, item, path, depth)
  at = skip_space(text, at + 1)
  if byte(text, at) == END_OF_LIST then return at + 1 end
  local index, stop = 0, nil
  while at do
    local item_path = item and path .. "[" .. index .. "]"
    at, stop = next_part(text, read_value(text, at, item, item_path, depth + 1), END_OF_LIST)
    index = index + 1
  end
  return stop
end

local function read_string(text, at, field, path)
  local stop, has_escapes = string_end(text, at)
  if field and field.values and not field.values[string_value(text, at, stop, has_escapes)] then
    add_violation(field, path)
  end
  return stop
end

-- Returns the value of a number. LuaJIT does not read an exponent of ten digits: such a number is zero or infinite.
local function number_value(number)
  local value = tonumber(number)
  if value then return value end
  if not find(match(number, "^[^eE]*"), "[1-9]") or find(number, "[eE]%-") then return 0 end
  return math.huge
end

local function is_int(value)
  return value % 1 == 0 and value >= -MAX_INT - 1 and value <= MAX_INT
end

local function read_number(text, at, field, path)
  local number = match(text, "^[-+.%deE]+", at)
  -- Most numbers are short and whole.
  if not find(number, "^-?[1-9]%d*$") and number ~= "0" then
    local rest = match(number, "^-?0()") or match(number, "^-?[1-9]%d*()") or error(NOT_JSON)
    rest = match(number, "^%.%d+()", rest) or rest
    rest = match(number, "^[eE][-+]?%d+()", rest) or rest
    if rest <= #number then error(NOT_JSON) end
  end
  if field then
    local value = number_value(number)
    if math.abs(value) == math.huge or field.kind == "int" and not is_int(value) then add_violation(field, path) end
  end
  return at + #number
end

-- Reads the value at `at` and returns the position after it. A null is as good as a missing field.
function read_value(text, at, field, path, depth)
  if depth > MAX_DEPTH then error(TOO_DEEP) end
  local kind = KINDS[byte(text, at)] or error(NOT_JSON)
  local word = kind == "word" and match(text, "^%l+", at)
  if word then kind = WORDS[word] or error(NOT_JSON) end
  if field and kind ~= EXPECTED_KIND[field.kind] then
    if kind ~= "null" then add_violation(field, path) end
    field = nil
  end
  if kind == "string" then return read_string(text, at, field, path) end
  if kind == "number" then return read_number(text, at, field, path) end
  if kind == "object" then return read_object(text, at, field and messages[field.message], path or "", depth) end
  if kind == "list" then return read_list(text, at, field and field.item, path, depth) end
  return at + #word
end

local function read_text(text, message)
  local stop = read_value(text, skip_space(text, 1), { kind = "object", message = message }, "", 0)
  if find(text, "[^ \t\r\n]", stop) or not encoding.is_utf8(text) then error(NOT_JSON) end
end

-- Returns the violation of a body that is to be this message, or nil: { text } where the text as a whole is wrong, else
-- { field, message } of the first wrong value. Without a message any object will do.
function json_types.check(text, message)
  first_violation = nil
  local ok, fault = pcall(read_text, text, message)
  if ok then return first_violation and first_violation.field == "" and NOT_AN_OBJECT or first_violation end
  if fault ~= NOT_JSON and fault ~= TOO_DEEP then error(fault) end
  return fault
end

return json_types
