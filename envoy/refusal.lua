-- Errors in the form that every error has: {"error": "…", "code": "…"}, with `details` where fields are to blame.

local encoding = require("encoding")
local errors = require("errors")

local refusal = {}

-- No answer names more violations than this, and none in more than so many bytes.
local MOST_DETAILS = 50
local LONGEST_FIELD = 200

local function detail(violation)
  local field = encoding.shorten(violation.field, LONGEST_FIELD)
  return '{"field": ' .. encoding.json_string(field) .. ', "message": ' .. encoding.json_string(violation.message) .. "}"
end

-- The JSON body of a code. `text` stands instead of the catalogue's; `violations` is a list of { field, message }, the
-- first of which is told in words, too, as the services do.
function refusal.body(code, text, violations)
  local first = violations and violations[1]
  if first then text = encoding.shorten(first.field, LONGEST_FIELD) .. ": " .. first.message end
  text = text or errors.codes[code].text
  local body = '{"error": ' .. encoding.json_string(text) .. ', "code": "' .. code .. '"'
  if violations and #violations > 0 then
    local details = {}
    for index = 1, math.min(#violations, MOST_DETAILS) do details[index] = detail(violations[index]) end
    body = body .. ', "details": [' .. table.concat(details, ", ") .. "]"
  end
  return body .. "}"
end

-- The headers that belong to every error of a status.
function refusal.headers(status)
  local headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
  if status == 401 then headers["www-authenticate"] = "Bearer" end
  if status == 429 or status == 503 then headers["retry-after"] = "1" end
  return headers
end

-- Ends a request with an error. `more` are further headers. Nothing of the caller runs after it.
function refusal.send(handle, code, text, violations, more)
  local status = errors.codes[code].status
  local headers = refusal.headers(status)
  headers[":status"] = tostring(status)
  for name, value in pairs(more or {}) do headers[name] = value end
  handle:respond(headers, refusal.body(code, text, violations))
end

-- Runs `look(handle)`. A fault of its own ends the request, too: Envoy would let it pass unchecked.
function refusal.unless(handle, look)
  local ok, fault = pcall(look, handle)
  if ok then return end
  handle:logErr(tostring(fault))
  refusal.send(handle, "INTERNAL")
end

return refusal
