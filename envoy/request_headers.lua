-- Checks the headers of a request: their size, the path, the form of the access token. Removes all headers that no
-- service needs. Runs before jwt_authn, which checks the token itself.
--
-- The route's filter context: `status` (HTTP status of a success) is set when a service answers. Envoy answers on all
-- other routes itself (404, 405, OPTIONS), and then no token is checked. `stream`: the route is one of server-sent events.
-- `grpc_web`: the route is an RPC of gRPC-Web; then `milliseconds` is the longest time for a response, 0 for a stream.
-- `download`: the response is the bytes of a file.
-- `anonymous`: the route is for requests without a token, so request_body.lua, whose context it has as well, runs at once.

local encoding = require("encoding")
local error_response = require("error_response")
local request_body = require("request_body")

local request_headers = {}

local MAX_HEADER_BYTES = 16 * 1024
-- The bytes of a header line beside name and value: ": " and the end of the line.
local HEADER_OVERHEAD = 4

-- A longer method is not logged.
local MAX_METHOD_BYTES = 16

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

-- Further ones, where the response is a stream.
local OF_EVENTS = { ["last-event-id"] = true }
local OF_A_FILE = { ["if-range"] = true, ["range"] = true }

-- Removes every header that is neither known nor in `more`. Returns the size of all headers before that, in bytes.
local function remove_unknown_headers(headers, more)
  local size, unknown = 0, nil
  for name, value in pairs(headers) do
    size = size + #name + #value + HEADER_OVERHEAD
    if not KNOWN_HEADERS[name] and not more[name] then
      unknown = unknown or {}
      unknown[#unknown + 1] = name
    end
  end
  for _, name in ipairs(unknown or {}) do headers:remove(name) end
  return size
end

-- Milliseconds of each unit of `grpc-timeout`.
local TIMEOUT_UNITS = { H = 3600000, M = 60000, S = 1000, m = 1, u = 0.001, n = 0.000001 }
-- gRPC takes eight digits.
local MAX_TIMEOUT = 99999999

-- Returns the value of `grpc-timeout` for the worker: the client's, but at most `most` milliseconds, when that is not 0.
-- A client's value that is none counts as none: one that gRPC cannot parse would spoil the worker's connection.
local function bounded_timeout(headers, most)
  local value = headers:getNumValues("grpc-timeout") == 1 and headers:get("grpc-timeout") or ""
  local digits, unit = value:match("^(%d+)([HMSmun])$")
  local wanted = digits and #digits <= 8 and math.max(1, math.ceil(digits * TIMEOUT_UNITS[unit])) or math.huge
  local milliseconds = math.min(wanted, most > 0 and most or math.huge)
  return milliseconds <= MAX_TIMEOUT and string.format("%dm", milliseconds) or nil
end

-- Brings a call of gRPC-Web into the form that the filters behind this one read. Removes all headers but the known ones.
local function normalise_grpc_web(headers, most)
  local timeout, kind = bounded_timeout(headers, most), headers:get("content-type")
  local accept = headers:get("accept")
  local size = remove_unknown_headers(headers, {})
  if timeout then headers:replace("grpc-timeout", timeout) end
  -- The response has the form that the client asks for, else that of the request.
  local is_known = accept and accept:match("^application/grpc%-web[%a+-]*$")
  headers:replace("accept", is_known and accept or kind)
  headers:replace(":path", headers:get(":path"):match("^[^?]*"))
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
  local context = handle:filterContext()
  local is_grpc_web = context:get("grpc_web")
  local plain_path = headers:get(":path"):match("^[^?#]*")
  local method, metadata = headers:get(":method"), handle:streamInfo():dynamicMetadata()
  metadata:set("edge", "path", is_grpc_web and plain_path or loggable(plain_path))
  metadata:set("edge", "method", method:find("^%u+$") and #method <= MAX_METHOD_BYTES and method or "-")
  remove_broken_trace(headers)
  local size
  if is_grpc_web then
    size = normalise_grpc_web(headers, context:get("milliseconds"))
  else
    local more = context:get("stream") and OF_EVENTS or context:get("download") and OF_A_FILE or {}
    size = remove_unknown_headers(headers, more)
  end
  if size > MAX_HEADER_BYTES then return error_response.send(handle, "HEADERS_TOO_LARGE") end
  local path = headers:get(":path"):match("^[^?]*")
  if not encoding.unescape(path) then return error_response.send(handle, "NOT_FOUND") end
  if context:get("anonymous") then return request_body.check(handle) end
  if not context:get("status") then return end
  -- The services know GET only; response.lua removes the body of the response to HEAD.
  if method == "HEAD" then headers:replace(":method", "GET") end
  if not normalise_token(headers) then return error_response.send(handle, "UNAUTHORIZED") end
end

function request_headers.on_request(handle)
  error_response.run(handle, check_headers)
end

return request_headers
