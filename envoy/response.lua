-- Turns the response of a service, or of Envoy itself, into the one that API clients get: status, body and headers.
--
-- The route's filter context: `status` (HTTP status of a success; absent where Envoy answers itself), `is_read` (the
-- route is a GET or HEAD), `is_head`, `unwrap` (name of the one field that is the body), `created` (name of the field
-- behind it that says whether `status` holds, not 200), `stream` (a response with a message is a stream of server-sent
-- events), `download` (a success is the bytes of a file), `grpc_web` (a success, and a service's error, is gRPC-Web
-- already), `max_age`
-- (seconds that an anonymous success may be kept).

local encoding = require("encoding")
local error_response = require("error_response")
local errors = require("errors")

local response = {}

-- Headers that a success may have and an error must not.
local SUCCESS_HEADERS = { "etag", "location" }
-- gRPC's status of a call that a stopping worker cancels: one that it has begun, or one that comes too late.
local CANCELLED = "1"
-- Headers that say how a call has ended.
local END_HEADERS = { "grpc-status", "x-error-status", "x-error-body", "retry-after", "content-range" }
-- The headers of a file beside those that the service sets. Nothing in it runs, whatever a browser takes it for.
local FILE_HEADERS = {
  ["content-security-policy"] = "sandbox; default-src 'none'",
  ["x-content-type-options"] = "nosniff",
}

-- Returns the whole body. When trailers follow the headers at once, the first call returns nil and the second one an
-- empty body.
local function whole_body(handle)
  return handle:body(true) or handle:body(true)
end

local function body_text(handle)
  local body = whole_body(handle)
  return body:getBytes(0, body:length())
end

local function set_body(handle, text)
  local length = whole_body(handle):setBytes(text)
  handle:headers():replace("content-length", tostring(length))
end

-- Replaces the response by an error with this JSON body.
local function replace_by_error(handle, status, body)
  set_body(handle, body)
  local headers = handle:headers()
  headers:replace(":status", tostring(status))
  for _, name in ipairs(SUCCESS_HEADERS) do headers:remove(name) end
  for name, value in pairs(error_response.headers(status)) do
    -- A service may set its own Retry-After.
    if name ~= "retry-after" or not headers:get(name) then headers:replace(name, value) end
  end
end

-- Replaces the response by an error of the catalogue.
local function replace_by_code(handle, code, text, violations)
  replace_by_error(handle, errors.codes[code].status, error_response.body(code, text, violations))
end

-- Returns text and violations for an error of the transcoder. Its own words are not used: they contain names of our
-- messages and parts of the body.
local function explain(transcoder_error)
  if transcoder_error:find("Root element must be a message", 1, true) then
    return "The request body must be a JSON object"
  end
  if transcoder_error:find("Message too deep", 1, true) then return "The request body is nested too deeply" end
  local field = transcoder_error:match("^([%w_.%[%]]+): invalid value")
  if not field then return "The request body is not valid JSON" end
  return nil, { { field = encoding.camel_case(field), message = "has the wrong type" } }
end

-- Returns whether a worker may have begun what the request asks for. `lost` says which try may have lost its connection:
-- the last one, or an earlier one; only a request with an idempotency key is sent again after that.
local function may_have_begun(handle, lost)
  if handle:filterContext():get("is_read") then return false end
  return lost == "last" or handle:requestHeaders():get("idempotency-key") ~= nil
end

-- Brings an error into the form of the contract. Returns false when the response is a success.
local function convert_error(handle, headers)
  local lost = headers:get("x-edge-connection-lost")
  if lost then
    headers:remove("x-edge-connection-lost")
    replace_by_code(handle, may_have_begun(handle, lost) and "OUTCOME_UNKNOWN" or "UNAVAILABLE")
    return true
  end
  local error_status = headers:get("x-error-status")
  if error_status then
    replace_by_error(handle, tonumber(error_status), headers:get("x-error-body"))
    return true
  end
  local grpc_status = headers:get("grpc-status")
  if grpc_status and grpc_status ~= "0" then
    local is_in_doubt = grpc_status == CANCELLED and may_have_begun(handle, "last")
    replace_by_code(handle, is_in_doubt and "OUTCOME_UNKNOWN" or errors.by_grpc_status[grpc_status] or "INTERNAL")
    return true
  end
  if tonumber(headers:get(":status")) < 400 then return false end
  if headers:get("x-edge-transcoder-error") then
    headers:remove("x-edge-transcoder-error")
    replace_by_code(handle, "INVALID_ARGUMENT", explain(body_text(handle)))
  elseif headers:get("content-type") ~= "application/json" then
    replace_by_code(handle, "INTERNAL")
  end
  return true
end

-- Returns whether a list of entity tags, as in If-None-Match, contains `etag`. Weak and strong tags are equal here.
local function list_contains(list, etag)
  if list:match("^%s*%*%s*$") then return true end
  local opaque = etag:gsub("^W/", "")
  for candidate in list:gmatch('"[^"]*"') do
    if candidate == opaque then return true end
  end
  return false
end

-- Answers with a status that has no body: 204 or 304. A content-length would break the connection between the two
-- listeners.
local function answer_without_body(handle, headers, status)
  headers:replace(":status", status)
  headers:remove("content-type")
  whole_body(handle):setBytes("")
  handle:headers():remove("content-length")
end

-- Makes the value of the one field of the message the body: {"gig":{…}} becomes {…}. `created` is the name of another
-- field, the last one, if there is one: returns whether it is true.
local function unwrap(handle, name, created)
  local text = body_text(handle)
  local prefix, suffix, is_created = '{"' .. name .. '":', "}", true
  if created then
    local value
    suffix, value = text:match('(,"' .. created .. '":(%a+)})$')
    is_created = value == "true"
  end
  if not suffix or text:sub(1, #prefix) ~= prefix then return true, replace_by_code(handle, "INTERNAL") end
  set_body(handle, text:sub(#prefix + 1, -#suffix - 1))
  return is_created
end

-- Removes the body, as for HEAD; the headers stay those of the GET, content-length included.
local function remove_body(handle)
  local length = handle:headers():get("content-length")
  if not length then return end
  whole_body(handle):setBytes("")
  handle:headers():replace("content-length", length)
end

-- Copies headers from the trailers, where services send them: after headers, Envoy could not retry when a worker dies.
local function copy_from_trailers(handle)
  whole_body(handle)
  local headers, trailers = handle:headers(), handle:trailers()
  for _, name in ipairs(SUCCESS_HEADERS) do
    local value = trailers and trailers:get(name)
    if value then headers:replace(name, value) end
  end
  return headers
end

-- Returns whether the first message of a stream has come. The transcoder holds the headers back until then, and without a
-- message their content type is that of JSON.
local function has_begun(headers)
  return headers:get(":status") == "200" and headers:get("content-type") ~= "application/json"
end

-- Gives a stream its headers. Its messages pass as they come.
local function begin_stream(headers)
  headers:replace("content-type", "text/event-stream")
  headers:replace("cache-control", "private, no-store")
  -- Otherwise nginx, as a proxy before the edge, would buffer it.
  headers:replace("x-accel-buffering", "no")
end

-- Gives a file its status and headers. Its bytes pass as they come. A redirect has none.
local function begin_file(handle, headers)
  headers:replace(":status", headers:get("x-edge-status"))
  headers:remove("x-edge-status")
  for name, value in pairs(FILE_HEADERS) do headers:replace(name, value) end
  local length = headers:get("x-edge-length")
  if not length then return headers:remove("content-type") end
  headers:remove("x-edge-length")
  headers:replace("content-length", length)
end

-- Copies the end of a stream without a message to its headers, where the end of other responses is.
local function copy_end_of_stream(handle)
  whole_body(handle)
  local headers, trailers = handle:headers(), handle:trailers()
  for _, name in ipairs(END_HEADERS) do
    local value = trailers and trailers:get(name)
    if value then headers:replace(name, value) end
  end
  return headers
end

-- Says who may keep a success: anyone the answer to an anonymous request, for `max_age` seconds where the route has them.
-- Compression comes after this script, so the answer depends on `Accept-Encoding`, too.
local function set_cache_control(request, headers, max_age)
  if request:get("authorization") then return headers:replace("cache-control", "private, no-store") end
  if not max_age or headers:get("set-cookie") then return headers:replace("cache-control", "no-cache") end
  headers:replace("cache-control", "public, max-age=" .. max_age)
  headers:replace("vary", "Accept-Encoding, Authorization")
end

-- Gives a success the status, headers and body of its route.
local function convert_success(handle)
  local headers = copy_from_trailers(handle)
  local request, context = handle:requestHeaders(), handle:filterContext()
  set_cache_control(request, headers, context:get("max_age"))
  local status = context:get("status")
  -- A stream that ends without a message has nothing to send any more: with a 204 an EventSource does not come back.
  if status == 204 or context:get("stream") then return answer_without_body(handle, headers, "204") end
  local known_tags, etag = request:get("if-none-match"), headers:get("etag")
  if known_tags and etag and context:get("is_read") and list_contains(known_tags, etag) then
    return answer_without_body(handle, headers, "304")
  end
  headers:replace(":status", tostring(status))
  local field = context:get("unwrap")
  if field and not unwrap(handle, field, context:get("created")) then headers:replace(":status", "200") end
end

-- Brings the response to a call of gRPC-Web into the form of the contract. A service's own response has it already; a
-- status without details is not a service's own. Envoy answers in gRPC's form behind the filter that makes gRPC of
-- gRPC-Web: then our JSON is in `grpc-message`.
local function convert_grpc_web(handle, headers)
  local status = headers:get("grpc-status")
  local is_grpc = (headers:get("content-type") or ""):find("^application/grpc") ~= nil
  if is_grpc and (not status or status == "0" or headers:get("grpc-status-details-bin")) then
    return headers:replace("cache-control", "no-store")
  end
  local body = not headers:get("x-edge-connection-lost") and encoding.unescape(headers:get("grpc-message") or "")
  local code = body and body:match('^{"error": ".*", "code": "([A-Z_]+)"}$')
  if code then return replace_by_error(handle, errors.codes[code].status, body) end
  convert_error(handle, headers)
end

local function convert(handle)
  local headers = handle:headers()
  if handle:filterContext():get("grpc_web") then return convert_grpc_web(handle, headers) end
  if handle:filterContext():get("stream") then
    if has_begun(headers) then return begin_stream(headers) end
    headers = copy_end_of_stream(handle)
  elseif handle:filterContext():get("download") then
    if headers:get("x-edge-status") then return begin_file(handle, headers) end
    headers = copy_end_of_stream(handle)
  end
  if convert_error(handle, headers) then return end
  if handle:filterContext():get("status") then convert_success(handle) end
end

function response.on_response(handle)
  -- request_body.lua has asked `api` itself.
  local is_complete = handle:headers():get("x-edge-complete") ~= nil
  if is_complete then handle:headers():remove("x-edge-complete") end
  local ok, fault = pcall(is_complete and type or convert, handle)
  if not ok then
    handle:logErr(tostring(fault))
    replace_by_code(handle, "INTERNAL")
  end
  if handle:filterContext():get("is_head") then remove_body(handle) end
end

return response
