-- gRPC-Web: the message of a request, on the listener `api`, and the edge's own errors as a status of gRPC, on `public`.

local encoding = require("encoding")
local error_response = require("error_response")
local errors = require("errors")

local grpc_web = {}

local MAX_MESSAGE_BYTES = 1024 * 1024
-- The bytes before a message: a flag for compression, and the length in four bytes.
local PREFIX_BYTES = 5

local byte, char = string.byte, string.char

-- Checks that the body is one message, in whole and not compressed. The filter before has decoded its text form.
local function check_message(handle)
  local body = handle:body()
  local size = body and body:length() or 0
  if size > MAX_MESSAGE_BYTES + PREFIX_BYTES then return error_response.send(handle, "PAYLOAD_TOO_LARGE") end
  if size >= PREFIX_BYTES then
    local flag, a, b, c, d = byte(body:getBytes(0, PREFIX_BYTES), 1, PREFIX_BYTES)
    if flag == 0 and ((a * 256 + b) * 256 + c) * 256 + d == size - PREFIX_BYTES then return end
  end
  error_response.send(handle, "INVALID_ARGUMENT", "The request body must be one message of gRPC-Web, not compressed")
end

function grpc_web.on_request(handle)
  error_response.run(handle, check_message)
end

local function varint(number)
  local bytes = ""
  while number >= 128 do
    bytes = bytes .. char(number % 128 + 128)
    number = math.floor(number / 128)
  end
  return bytes .. char(number)
end

-- Returns field `number` of a message of Protocol Buffers, with bytes or text as its value.
local function field(number, value)
  return char(number * 8 + 2) .. varint(#value) .. value
end

-- Returns a google.rpc.Status with google.rpc.ErrorInfo, as the services send it.
local function status_details(code, text)
  local info = field(1, code) .. field(2, "marketplace")
  local any = field(1, "type.googleapis.com/google.rpc.ErrorInfo") .. field(2, info)
  return char(8) .. varint(errors.codes[code].grpc) .. field(2, text) .. field(3, any)
end

-- Returns a text as `grpc-message` has it.
local function percent_encoded(text)
  return (text:gsub("[^\32-\36\38-\126]", function(character) return string.format("%%%02X", byte(character)) end))
end

-- Turns an error in JSON into a response of gRPC-Web that has only headers.
local function convert_error(handle)
  local kind = handle:headers():get("content-type")
  if kind ~= "application/json" then return end
  local body = handle:body(true)
  local text, code = body:getBytes(0, body:length()):match('^{"error": "(.-)", "code": "([A-Z_]+)"')
  if not errors.codes[code] then text, code = errors.codes.INTERNAL.text, "INTERNAL" end
  text = encoding.unescape_json(text)
  body:setBytes("")
  local headers = handle:headers()
  headers:replace(":status", "200")
  headers:replace("content-type", handle:requestHeaders():get("content-type"))
  headers:replace("content-length", "0")
  headers:remove("www-authenticate")
  headers:replace("grpc-status", tostring(errors.codes[code].grpc))
  headers:replace("grpc-message", percent_encoded(text))
  headers:replace("grpc-status-details-bin", handle:base64Escape(status_details(code, text)))
end

function grpc_web.on_response(handle)
  local ok, fault = pcall(convert_error, handle)
  if not ok then handle:logErr(tostring(fault)) end
end

return grpc_web
