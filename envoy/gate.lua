-- The first look at a request: how large its headers are, which of them go further, whether path and method are known,
-- and whether the token has the form of one. Whether it is good is for jwt_authn, the next filter.

local encoding = require("encoding")
local refusal = require("refusal")
local routes = require("routes")

local gate = {}

local LARGEST_HEADERS = 16 * 1024
-- What a header line has beside name and value: ": " and the end of the line.
local HEADER_OVERHEAD = 4

-- All that goes on to the services. Everything else ends here: cookies, what claims an identity, and what would be
-- something else to gRPC (`grpc-*`, `*-bin`, `te`).
local PASSED = {
  [":method"] = true, [":path"] = true, [":authority"] = true, [":scheme"] = true,
  ["authorization"] = true,
  ["content-encoding"] = true, ["content-length"] = true, ["content-type"] = true,
  ["idempotency-key"] = true,
  ["if-match"] = true, ["if-none-match"] = true,
  ["stripe-signature"] = true,
  ["traceparent"] = true, ["tracestate"] = true,
  ["x-forwarded-for"] = true, ["x-forwarded-proto"] = true,
  ["x-request-id"] = true,
}

-- Takes out what is not passed. False when the headers are too large.
local function sift(headers)
  local size, others = 0, {}
  for name, value in pairs(headers) do
    size = size + #name + #value + HEADER_OVERHEAD
    if not PASSED[name] then others[#others + 1] = name end
  end
  for _, name in ipairs(others) do headers:remove(name) end
  return size <= LARGEST_HEADERS
end

-- jwt_authn wants "Bearer " to the letter and is content with a token anywhere behind it; here it is the other way round.
-- False when there is an Authorization that cannot be a token.
local function normalise_token(headers)
  local value = headers:get("authorization")
  if not value then return true end
  if headers:getNumValues("authorization") > 1 then return false end
  local scheme, token = value:match("^(%a+) +([%w_-]+%.[%w_-]+%.[%w_-]+)$")
  if not scheme or scheme:lower() ~= "bearer" then return false end
  headers:replace("authorization", "Bearer " .. token)
  return true
end

local function look(handle)
  local headers = handle:headers()
  if not sift(headers) then return refusal.send(handle, "HEADERS_TOO_LARGE") end
  local route = routes[handle:streamInfo():routeName()]
  local path = headers:get(":path"):match("^[^?]*")
  if not route or not encoding.unescape(path) then return refusal.send(handle, "NOT_FOUND") end
  local method = headers:get(":method")
  if route.allow then
    if method ~= "OPTIONS" then return refusal.send(handle, "METHOD_NOT_ALLOWED", nil, nil, { allow = route.allow }) end
    return handle:respond({ [":status"] = "204", allow = route.allow })
  end
  if method == "HEAD" then
    -- The services know GET alone; answer.lua takes the body out again.
    headers:replace(":method", "GET")
    handle:streamInfo():dynamicMetadata():set("marketplace.edge", "head", true)
  end
  if not normalise_token(headers) then return refusal.send(handle, "UNAUTHORIZED") end
  -- Lost on the way, a call with a key can be made again as safely as one that reads; what a worker says is passed on.
  if route.takes_key and headers:get("idempotency-key") then headers:replace("x-envoy-retry-on", "reset") end
end

function gate.on_request(handle)
  refusal.unless(handle, look)
end

return gate
