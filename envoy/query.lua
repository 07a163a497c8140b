-- Checks the query of a request against the parameters of its route. The transcoder alone would take `min_price` for
-- `minPrice`, the last of two values and numbers for enums, and would refuse an empty value.

local encoding = require("encoding")

local query = {}

local MAX_INT = 2147483647

local checks = {
  string = function() return nil end,
  int = function(value)
    local number = value:match("^-?%d+$") and tonumber(value)
    if not number or number < -MAX_INT - 1 or number > MAX_INT then return "must be a whole number" end
  end,
  number = function(value)
    local number = (value:match("^-?%d+%.?%d*$") or value:match("^-?%d+%.?%d*[eE][-+]?%d+$")) and tonumber(value)
    if not number or math.abs(number) == math.huge then return "must be a number" end
  end,
  bool = function(value)
    if value ~= "true" and value ~= "false" then return "must be true or false" end
  end,
  enum = function(value, parameter)
    if not parameter.values[value] then return "must be one of " .. parameter.expected end
  end,
}

-- Returns the message for a wrong parameter, or nil. `seen` says whether its name stood before.
local function check_parameter(parameter, value, seen)
  if not parameter then return "is not a parameter of this request" end
  if seen and not parameter.repeated then return "must not be given more than once" end
  if not value then return "cannot be decoded" end
  return checks[parameter.kind](value, parameter)
end

-- Returns the query without empty parameters, and a list of violations. `parameters` is `query` of the filter context.
function query.check(text, parameters)
  local kept, violations, seen = {}, {}, {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    if value ~= "" then
      local decoded = encoding.unescape((name:gsub("%+", " ")))
      local message = check_parameter(parameters[decoded], encoding.unescape((value:gsub("%+", " "))), seen[decoded])
      if not decoded then
        violations[#violations + 1] = { field = name:gsub("[\128-\255]", "?"), message = "cannot be decoded" }
      elseif message then
        violations[#violations + 1] = { field = decoded, message = message }
      else
        seen[decoded] = true
        kept[#kept + 1] = decoded .. "=" .. value
      end
    end
  end
  return table.concat(kept, "&"), violations
end

return query
