-- Stands around Envoy's bridge, which turns a message of the Model Context Protocol into a request of the API, and the
-- response into a result. These scripts keep from the bridge what it cannot take, and do what it leaves open:
--
-- - A message nested deeply would end Envoy, and a request without a body would never be answered.
-- - A null would be the text "null" in a query or a header. Here it is as good as a missing argument.
-- - A name that stands twice in a message has no certain meaning.
-- - The bridge knows no `ping`, and no notification but `notifications/initialized`.
-- - It answers a call with 401 or 403, which clients take for the end of the connection: the agent would not see why.
--
-- `check_message` and `on_response` stand before the bridge, `check_call` behind it.

local encoding = require("encoding")
local error_response = require("error_response")
local json_members = require("json_members")
local json_types = require("json_types")
local media_type = require("media_type")
local tools = require("mcp_tools")

local mcp = {}

-- Bytes of the path and query that a call's arguments become, and of the idempotency key.
local MAX_PATH_BYTES = 12 * 1024
local MAX_KEY_BYTES = 1024
-- Bytes of a name that an error quotes, and of a message's id, which stands in the response.
local MAX_NAME_BYTES = 100
local MAX_ID_BYTES = 256
-- Errors of JSON-RPC 2.0.
local PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS = -32700, -32600, -32602
-- Headers that a call does not have: a 304 is no result, and the body's length is the bridge's.
local NOT_PASSED = { "if-none-match", "transfer-encoding", "x-edge-body" }
-- Headers of the API's response that say nothing about a message.
local NOT_RETURNED = { "allow", "etag", "location", "www-authenticate" }

-- Answers with an error of JSON-RPC. `id` is JSON, or nil where there is none. The calling script ends here.
local function refuse(handle, code, message, id)
  local body = '{"jsonrpc": "2.0", "id": ' .. (id or "null") .. ', "error": {"code": ' .. code
    .. ', "message": ' .. encoding.json_string(message) .. "}}"
  local status = code == INVALID_PARAMS and "200" or "400"
  handle:respond({ [":status"] = status, ["content-type"] = "application/json" }, body)
end

-- Returns an object's members by name, and the text of the error, or nil. See json_members.of.
local function read_object(text, what)
  local _, by_name, twice = json_members.of(text)
  return by_name, twice and what .. " has " .. encoding.shorten(twice, MAX_NAME_BYTES) .. " twice"
end

local function replace_member(text, member, value)
  return text:sub(1, member.from - 1) .. value .. text:sub(member.to + 1)
end

-- Returns the text of an object without the members that are null.
local function without_nulls(text)
  local kept, members = {}, json_members.of(text)
  for _, member in ipairs(members) do
    if member.value ~= "null" then kept[#kept + 1] = member.text end
  end
  return #kept < #members and "{" .. table.concat(kept, ",") .. "}" or text
end

-- Returns the text of the first error in the arguments of a tool, or nil. `path` are the arguments that it must have.
local function argument_error(arguments, path)
  for _, name in ipairs(path) do
    local argument = arguments[name]
    if not argument or argument.value == "null" then return name .. ": is required" end
  end
  local key = arguments.idempotencyKey
  if key and key.value ~= "null" and key.value:sub(1, 1) ~= '"' then return "idempotencyKey: must be a string" end
end

-- Returns a message that calls a tool with its arguments in the form that the bridge takes; or nil, and the text of an
-- error. The bridge would write the name of an unknown tool into the log.
local function with_plain_arguments(text, params)
  local values, fault = read_object(params and params.value or "", "params")
  if fault then return nil, fault end
  local name = values.name and values.name.value:match('^"(.*)"$')
  local path = name and tools[name]
  if not path then return nil, name and "Unknown tool" or "params.name: must be the name of a tool" end
  local arguments = values.arguments or { value = "null" }
  local named, other_fault = read_object(arguments.value, "arguments")
  local wrong = other_fault or argument_error(named, path)
  if wrong then return nil, wrong end
  if not values.arguments then return text end
  local plain = arguments.value == "null" and "{}" or without_nulls(arguments.value)
  if plain == arguments.value then return text end
  return replace_member(text, params, replace_member(params.value, arguments, plain))
end

-- Returns the body, or nil when it has been answered.
local function body_of(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ""
  local violation = json_types.check(text)
  if not violation then return text end
  if text:find("^[ \t\r\n]*%[") then
    refuse(handle, INVALID_REQUEST, "A batch is not supported: send one message a request")
  end
  refuse(handle, violation == json_types.NOT_AN_OBJECT and INVALID_REQUEST or PARSE_ERROR, violation.text)
end

local function is_id(value)
  return #value <= MAX_ID_BYTES and (value:find('^"') or value:find("^-?%d+$")) ~= nil
end

-- Answers what the bridge does not know. The script goes on when there is no such answer.
local function answer_without_bridge(handle, message, method, id)
  local is_answer = not method and (message.result or message.error)
  local is_notification = not id and method and method:find("^notifications/")
  -- Nothing is waited for. An answer belongs to a question that nobody has asked.
  if is_answer or is_notification and method ~= "notifications/initialized" then
    return handle:respond({ [":status"] = "202" }, "")
  end
  if method == "ping" and id then
    local pong = '{"jsonrpc": "2.0", "id": ' .. id .. ', "result": {}}'
    return handle:respond({ [":status"] = "200", ["content-type"] = "application/json" }, pong)
  end
end

local function check_message(handle)
  local headers = handle:headers()
  if not media_type.is_json(headers) then return error_response.send(handle, "UNSUPPORTED_MEDIA_TYPE") end
  for _, name in ipairs(NOT_PASSED) do headers:remove(name) end
  -- The bridge takes its own name from here.
  headers:replace(":authority", "marketplace")

  local text = body_of(handle)
  local message, fault = read_object(text, "The message")
  if fault then return refuse(handle, INVALID_REQUEST, fault) end
  if not message.jsonrpc or message.jsonrpc.value ~= '"2.0"' then
    return refuse(handle, INVALID_REQUEST, 'jsonrpc: must be "2.0"')
  end
  local id = message.id and message.id.value
  if id and not is_id(id) then
    return refuse(handle, INVALID_REQUEST, "id: must be a string or a whole number of at most " .. MAX_ID_BYTES .. " bytes")
  end
  local method = message.method and encoding.unescape_json(message.method.value):match('^"(.*)"$')
  answer_without_bridge(handle, message, method, id)

  if method ~= "tools/call" then return end
  local plain, wrong = with_plain_arguments(text, message.params)
  if wrong then return refuse(handle, INVALID_PARAMS, wrong, id) end
  if plain ~= text then handle:body():setBytes(plain) end
end

function mcp.check_message(handle)
  error_response.run(handle, check_message)
end

-- The listener `api` could not even refuse a path of a mebibyte: it would end the connection.
local function check_call(handle)
  local headers = handle:headers()
  local key = headers:get("idempotency-key") or ""
  if #headers:get(":path") > MAX_PATH_BYTES or #key > MAX_KEY_BYTES then
    return error_response.send(handle, "HEADERS_TOO_LARGE")
  end
end

function mcp.check_call(handle)
  error_response.run(handle, check_call)
end

local function finish_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  if status == "401" or status == "403" then headers:replace(":status", "200") end
  for _, name in ipairs(NOT_RETURNED) do headers:remove(name) end
  headers:replace("cache-control", "no-store")
end

function mcp.on_response(handle)
  local ok, fault = pcall(finish_response, handle)
  if not ok then handle:logErr(tostring(fault)) end
end

return mcp
