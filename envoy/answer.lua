-- What goes back to the client: status codes, bodies and headers as the contract has them.

local encoding = require("encoding")
local errors = require("errors")
local refusal = require("refusal")
local routes = require("routes")

local answer = {}

-- What a success may carry, and no error.
local OF_SUCCESS = { "etag", "location" }

-- The whole body. Waiting for one that never comes, because trailers follow the headers at once, gives nothing the first
-- time; asked again, Envoy makes an empty one.
local function body_of(handle)
  return handle:body(true) or handle:body(true)
end

local function set_body(handle, text)
  local length = body_of(handle):setBytes(text)
  handle:headers():replace("content-length", tostring(length))
end

-- Replaces the answer by an error. `body` is its JSON.
local function become_error(handle, status, body)
  set_body(handle, body)
  local headers = handle:headers()
  headers:replace(":status", tostring(status))
  for _, name in ipairs(OF_SUCCESS) do headers:remove(name) end
  for name, value in pairs(refusal.headers(status)) do
    -- A service may know better when to come back.
    if name ~= "retry-after" or not headers:get(name) then headers:replace(name, value) end
  end
end

local function become_code(handle, code, text, violations)
  become_error(handle, errors.codes[code].status, refusal.body(code, text, violations))
end

-- What the transcoder found wrong with a body, without its words: those name our types and quote the body.
local function explain(complaint)
  if complaint:find("Root element must be a message", 1, true) then return "The request body must be a JSON object" end
  if complaint:find("Message too deep", 1, true) then return "The request body is nested too deeply" end
  local field = complaint:match("^([%w_.%[%]]+): invalid value")
  if not field then return "The request body is not valid JSON" end
  return nil, { { field = encoding.camel_case(field), message = "has the wrong type" } }
end

local function is_json(headers)
  return headers:get("content-type") == "application/json"
end

-- Turns into an error what is none yet of the contract's. False when there is nothing to do.
local function repair(handle, headers, status)
  local told = headers:get("x-error-status")
  if told then
    become_error(handle, tonumber(told), headers:get("x-error-body"))
    return true
  end
  local grpc_status = headers:get("grpc-status")
  if grpc_status and grpc_status ~= "0" then
    become_code(handle, errors.by_grpc_status[grpc_status] or "INTERNAL")
    return true
  end
  if headers:get("x-edge-complaint") then
    headers:remove("x-edge-complaint")
    local body = body_of(handle)
    become_code(handle, "INVALID_ARGUMENT", explain(body:getBytes(0, body:length())))
    return true
  end
  if status >= 400 and not is_json(headers) then
    become_code(handle, "INTERNAL")
    return true
  end
  return status >= 400
end

-- Whether a list of entity tags, as in If-None-Match, names this one. Weak and strong ones are the same here.
local function names(list, etag)
  if list:match("^%s*%*%s*$") then return true end
  local opaque = etag:gsub("^W/", "")
  for candidate in list:gmatch('"[^"]*"') do
    if candidate == opaque then return true end
  end
  return false
end

-- Answers without a body: 204 and 304. A length would break the connection between the two listeners.
local function drop_content(handle, headers, status)
  headers:replace(":status", tostring(status))
  headers:remove("content-type")
  body_of(handle):setBytes("")
  handle:headers():remove("content-length")
end

-- The one field of the response that is the body: {"gig":{…}} becomes {…}.
local function unwrap(handle, name)
  local body = body_of(handle)
  local text = body:getBytes(0, body:length())
  local opening = '{"' .. name .. '":'
  if text:sub(1, #opening) ~= opening then return become_code(handle, "INTERNAL") end
  set_body(handle, text:sub(#opening + 1, -2))
end

-- A HEAD's answer has the headers of the GET's, its length as well.
local function drop_body(handle)
  local length = handle:headers():get("content-length")
  if not length then return end
  body_of(handle):setBytes("")
  handle:headers():replace("content-length", length)
end

local function is_head(handle)
  local noted = handle:streamInfo():dynamicMetadata():get("marketplace.edge")
  return noted ~= nil and noted["head"] == true
end

-- A service sends these after its message: headers sent before it would leave Envoy no second try when the worker dies
-- in between.
local function take_from_trailers(handle)
  body_of(handle)
  local headers, trailers = handle:headers(), handle:trailers()
  for _, name in ipairs(OF_SUCCESS) do
    local value = trailers and trailers:get(name)
    if value then headers:replace(name, value) end
  end
  return headers
end

-- A success in the form that the route gives it.
local function succeed(handle, route)
  local headers, request = take_from_trailers(handle), handle:requestHeaders()
  local seen, etag = request:get("if-none-match"), headers:get("etag")
  headers:replace("cache-control", request:get("authorization") and "private, no-store" or "no-cache")
  if route.status == 204 then return drop_content(handle, headers, 204) end
  if seen and etag and route.reads and names(seen, etag) then return drop_content(handle, headers, 304) end
  headers:replace(":status", tostring(route.status))
  if route.unwrap then unwrap(handle, route.unwrap) end
end

local function shape(handle)
  local headers = handle:headers()
  local status = tonumber(headers:get(":status"))
  if repair(handle, headers, status) then return end
  -- An answer to OPTIONS has a route without a status.
  local route = routes[handle:streamInfo():routeName()]
  if route and route.status then succeed(handle, route) end
end

function answer.on_response(handle)
  local ok, fault = pcall(shape, handle)
  if not ok then
    handle:logErr(tostring(fault))
    become_code(handle, "INTERNAL")
  end
  if is_head(handle) then drop_body(handle) end
end

return answer
