-- Checks what a caller sends beside the headers: size and type of the body, the query, the types of a JSON body. Runs
-- after jwt_authn, since a bad token is answered first; for a read without a token request_headers.lua calls it.
--
-- The route's filter context: `body` (message name of a JSON body), `raw` (the body goes to the service byte by byte),
-- `max_file_bytes` (the body is an upload, of pictures), `max_form_bytes` and `any_type` (the upload is one file of any
-- type), `query` (parameters by name), `call_milliseconds` (the time for a response,
-- where no body is taken), `stream` (the response is a stream; no body is taken), `grpc_web` (the
-- body is a message of gRPC-Web, which grpc_web.lua checks once it is decoded).

local error_response = require("error_response")
local json_types = require("json_types")
local media_type = require("media_type")
local query = require("query")

local request_body = {}

local MAX_BODY_BYTES = 1024 * 1024
local MAX_EVENT_ID_BYTES = 100

local function content_length(headers)
  return tonumber(headers:get("content-length") or "")
end

-- Brings the query into the form that the transcoder reads. Returns a list of violations.
local function check_query(headers, context)
  local path_and_query = headers:get(":path")
  local path, text = path_and_query:match("^([^?]*)%?(.*)$")
  if not path then return {} end
  local kept, violations = query.check(text, context:get("query") or {})
  if kept ~= text then headers:replace(":path", kept == "" and path or path .. "?" .. kept) end
  return violations
end

-- Checks an upload by its headers. The body passes in pieces and is not waited for; the service counts its bytes. A
-- picture may have any type of picture, or none: its bytes tell.
local function check_upload(handle, headers, context)
  local length, kind = content_length(headers), media_type.of(headers)
  local is_form, is_any = kind == "multipart/form-data", context:get("any_type")
  local is_file = not is_form and is_any
    or kind == "" or kind == "application/octet-stream" or kind:match("^image/[%w.*+-]+$") ~= nil
  local most = is_file and context:get("max_file_bytes") or is_form and context:get("max_form_bytes")
  if most and length and length > most then return error_response.send(handle, "PAYLOAD_TOO_LARGE") end
  if media_type.is_compressed(headers) or not (is_file or is_form) then
    return error_response.send(handle, "UNSUPPORTED_MEDIA_TYPE")
  end
  -- With gRPC's own content type the transcoder would not transcode.
  if is_any and kind:find("^application/grpc") then headers:replace("content-type", "application/octet-stream") end
  local violations = check_query(headers, context)
  if #violations > 0 then return error_response.send(handle, "INVALID_ARGUMENT", nil, violations) end
  headers:remove("content-encoding")
end

-- Headers of a request with a body, and of Envoy's own responses, that do not pass a call of `api` to itself.
local NOT_PASSED = { ["content-length"] = true, ["content-type"] = true, ["transfer-encoding"] = true }

-- Answers a request from a second one without the body, which has the same headers and goes through all filters again.
-- A filter cannot end a request whose body is still to come, and nobody waits for a body that is not taken.
local function answer_without_body(handle, headers, milliseconds)
  local request = {}
  for name, value in pairs(headers) do
    if not NOT_PASSED[name] then request[name] = request[name] and request[name] .. "," .. value or value end
  end
  request["x-edge-counted"] = "1"
  local response, body = handle:httpCall("api", request, nil, { timeout_ms = milliseconds, send_xff = false })
  for name in pairs(NOT_PASSED) do response[name] = nil end
  response["x-edge-complete"] = "1"
  handle:respond(response, body)
end

-- Returns the message for a wrong `Last-Event-ID`, or nil. An empty one is as if it were not there.
local function check_last_event_id(headers)
  local id = headers:get("last-event-id")
  if not id then return nil end
  if headers:getNumValues("last-event-id") > 1 then return "must not be given more than once" end
  if #id > MAX_EVENT_ID_BYTES then return "must have at most " .. MAX_EVENT_ID_BYTES .. " characters" end
  if id:find("[^\32-\126]") then return "must be printable ASCII" end
  if id == "" then headers:remove("last-event-id") end
end

-- Checks a request that has no body in the API. A body is not read: pieces are dropped as they come. A stream begins
-- when they have all come: a call of `api` to itself would wait for the stream's end.
local function check_request_without_body(handle, headers, context)
  local has_body = (content_length(headers) or 0) > 0 or headers:get("x-edge-body") ~= nil
  local milliseconds = context:get("call_milliseconds")
  local violations = check_query(headers, context)
  local wrong_id = context:get("stream") and check_last_event_id(headers)
  if wrong_id then violations[#violations + 1] = { field = "Last-Event-ID", message = wrong_id } end
  if #violations > 0 then return error_response.send(handle, "INVALID_ARGUMENT", nil, violations) end
  for _, name in ipairs({ "x-edge-body", "x-edge-counted", "content-encoding", "content-type" }) do headers:remove(name) end
  if has_body and milliseconds then return answer_without_body(handle, headers, milliseconds) end
  headers:remove("content-length")
  for piece in handle:bodyChunks() do piece:setBytes("") end
end

-- Refuses a message of gRPC-Web that is too large by its headers; in its text form, base64, it is a third longer.
local function check_grpc_web(handle, headers)
  for _, name in ipairs({ "x-edge-body", "content-encoding" }) do headers:remove(name) end
  local is_text = headers:get("content-type"):find("-text", 1, true)
  local most = is_text and MAX_BODY_BYTES / 3 * 4 or MAX_BODY_BYTES
  if (content_length(headers) or 0) > most + 16 then return error_response.send(handle, "PAYLOAD_TOO_LARGE") end
end

function request_body.check(handle)
  local headers, context = handle:headers(), handle:filterContext()
  if context:get("grpc_web") then return check_grpc_web(handle, headers) end
  if context:get("call_milliseconds") or context:get("stream") then return check_request_without_body(handle, headers, context) end
  headers:remove("x-edge-body")
  if context:get("max_file_bytes") then return check_upload(handle, headers, context) end
  local message, is_raw = context:get("body"), context:get("raw")
  local length = content_length(headers)
  if length and length > MAX_BODY_BYTES then return error_response.send(handle, "PAYLOAD_TOO_LARGE") end
  local is_wrong_type = message and not media_type.is_json(headers)
  if is_wrong_type and length and length > 0 then return error_response.send(handle, "UNSUPPORTED_MEDIA_TYPE") end
  local violations = check_query(headers, context)
  headers:remove("content-encoding")
  -- With gRPC's own content type the transcoder would not transcode.
  headers:replace("content-type", "application/json")
  if #violations > 0 and length then return error_response.send(handle, "INVALID_ARGUMENT", nil, violations) end

  -- Waiting for the body invalidates `headers` and `context`; `handle` gives new ones.
  local body = handle:body()
  local size = body and body:length() or 0
  if size > MAX_BODY_BYTES then return error_response.send(handle, "PAYLOAD_TOO_LARGE") end
  if size > 0 and is_wrong_type then return error_response.send(handle, "UNSUPPORTED_MEDIA_TYPE") end
  if #violations > 0 then return error_response.send(handle, "INVALID_ARGUMENT", nil, violations) end
  if size == 0 then return end
  if is_raw then return end
  local violation = json_types.check(body:getBytes(0, size), message)
  if not violation then return end
  if violation.text then return error_response.send(handle, "INVALID_ARGUMENT", violation.text) end
  error_response.send(handle, "INVALID_ARGUMENT", nil, { violation })
end

function request_body.on_request(handle)
  error_response.run(handle, request_body.check)
end

return request_body
