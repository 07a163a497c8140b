-- Errors in the form that every error has: {"error": "…", "code": "…"}, with `details` where fields are wrong.

local encoding = require("encoding")
local errors = require("errors")

local error_response = {}

-- No response names more violations than this, and none with a longer name (in bytes).
local MAX_DETAILS = 50
local MAX_FIELD_BYTES = 200

local function detail(violation)
  local field = encoding.json_string(encoding.shorten(violation.field, MAX_FIELD_BYTES))
  return '{"field": ' .. field .. ', "message": ' .. encoding.json_string(violation.message) .. "}"
end

-- Returns the JSON body of a code of the catalogue. `text` replaces the catalogue's. `violations` is a list of
-- { field, message }; the first one is in the text as well, as in the services' errors.
function error_response.body(code, text, violations)
  local first = violations and violations[1]
  if first then text = encoding.shorten(first.field, MAX_FIELD_BYTES) .. ": " .. first.message end
  text = text or errors.codes[code].text
  local body = '{"error": ' .. encoding.json_string(text) .. ', "code": "' .. code .. '"'
  if violations and #violations > 0 then
    local details = {}
    for index = 1, math.min(#violations, MAX_DETAILS) do details[index] = detail(violations[index]) end
    body = body .. ', "details": [' .. table.concat(details, ", ") .. "]"
  end
  return body .. "}"
end

-- Returns the headers that every error of a status has.
function error_response.headers(status)
  local headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" }
  if status == 401 then headers["www-authenticate"] = "Bearer" end
  if status == 429 or status == 503 then headers["retry-after"] = "1" end
  return headers
end

-- Answers a request with an error; `more_headers` may be nil. The calling script ends here.
function error_response.send(handle, code, text, violations, more_headers)
  local status = errors.codes[code].status
  local headers = error_response.headers(status)
  headers[":status"] = tostring(status)
  for name, value in pairs(more_headers or {}) do headers[name] = value end
  handle:respond(headers, error_response.body(code, text, violations))
end

-- Runs `check(handle)`. A fault in it is answered with 500: Envoy alone would let the request pass unchecked.
function error_response.run(handle, check)
  local ok, fault = pcall(check, handle)
  if ok then return end
  handle:logErr(tostring(fault))
  error_response.send(handle, "INTERNAL")
end

return error_response
