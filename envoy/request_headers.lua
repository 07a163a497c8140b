-- Checks the headers of a request: their size, the path, the form of the access token. Removes all headers that no
-- service needs. Runs before jwt_authn, which checks the token itself.
--
-- The route's filter context: `status` (HTTP status of a success) is set when a service answers. Envoy answers on all
-- other routes itself (404, 405, OPTIONS), and then no token is checked. `stream`: the route is one of server-sent events.

local encoding = require("encoding")
local error_response = require("error_response")

local request_headers = {}

local MAX_HEADER_BYTES = 16 * 1024
-- The bytes of a header line beside name and value: ": " and the end of the line.
local HEADER_OVERHEAD = 4

-- The headers that the services get. All others are removed: cookies, claims of an identity, and headers with a meaning
-- of their own in gRPC (`grpc-*`, `*-bin`, `te`).
local KNOWN_HEADERS = {
  [":method"] = true, [":path"] = true, [":authority"] = true, [":scheme"] = true,
  ["authorization"] = true,
  ["content-encoding"] = true, ["content-length"] = true, ["content-type"] = true,
  ["idempotency-key"] = true,
  ["if-match"] = true, ["if-none-match"] = true,
  ["stripe-signature"] = true,
  ["traceparent"] = true, ["tracestate"] = true,
  ["x-forwarded-for"] = true, ["x-forwarded-proto"] = true,
  ["x-request-id"] = true,
  -- From the listener `public`, for request_body.lua.
  ["x-edge-body"] = true,
  -- From request_body.lua, for the limit of writes.
  ["x-edge-counted"] = true,
}

-- Removes every unknown header. Returns the size of all headers before that, in bytes.
local function remove_unknown_headers(headers, is_stream)
  local size, unknown = 0, nil
  for name, value in pairs(headers) do
    size = size + #name + #value + HEADER_OVERHEAD
    if not KNOWN_HEADERS[name] and not (is_stream and name == "last-event-id") then
      unknown = unknown or {}
      unknown[#unknown + 1] = name
    end
  end
  for _, name in ipairs(unknown or {}) do headers:remove(name) end
  return size
end

-- Brings `Authorization` into the form that jwt_authn reads ("Bearer", one space, the token). Returns false when the
-- header is not exactly one bearer token: jwt_authn would take a token with other text around it.
local function normalise_token(headers)
  local value = headers:get("authorization")
  if not value then return true end
  if headers:getNumValues("authorization") > 1 then return false end
  local scheme, token = value:match("^(%a+) +([%w_-]+%.[%w_-]+%.[%w_-]+)$")
  if not scheme or scheme:lower() ~= "bearer" then return false end
  if scheme ~= "Bearer" or #value ~= #token + 7 then headers:replace("authorization", "Bearer " .. token) end
  return true
end

-- Returns whether a segment of a path is one that the access log shows: letters, a short number, a UUID. Any other may be
-- a token.
local function is_plain(segment)
  return segment:match("^[%a-]*$") and #segment <= 24
    or segment:match("^%d+$") and #segment <= 6
    or segment:match("^%x+%-%x+%-%x+%-%x+%-%x+$") and #segment == 36
end

-- Returns a path as the access log shows it: "-" stands for a segment that may be a token.
local function loggable(path)
  return (path:gsub("[^/]+", function(segment) return is_plain(segment) and segment or "-" end))
end

-- A trace context that no service can pass on counts as none (W3C Trace Context 3.2.2.1).
local function remove_broken_trace(headers)
  for _, name in ipairs({ "traceparent", "tracestate" }) do
    local value = headers:get(name)
    if value and value:find("[^\32-\126]") then headers:remove(name) end
  end
end

local function check_headers(handle)
  local headers = handle:headers()
  handle:streamInfo():dynamicMetadata():set("edge", "path", loggable(headers:get(":path"):match("^[^?#]*")))
  remove_broken_trace(headers)
  local is_stream = handle:filterContext():get("stream")
  if remove_unknown_headers(headers, is_stream) > MAX_HEADER_BYTES then return error_response.send(handle, "HEADERS_TOO_LARGE") end
  local path = headers:get(":path"):match("^[^?]*")
  if not encoding.unescape(path) then return error_response.send(handle, "NOT_FOUND") end
  if not handle:filterContext():get("status") then return end
  -- The services know GET only; response.lua removes the body of the response to HEAD.
  if headers:get(":method") == "HEAD" then headers:replace(":method", "GET") end
  if not normalise_token(headers) then return error_response.send(handle, "UNAUTHORIZED") end
end

function request_headers.on_request(handle)
  error_response.run(handle, check_headers)
end

return request_headers
