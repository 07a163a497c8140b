-- The second look at a request, when the caller is known: what they send.

local query = require("query")
local refusal = require("refusal")
local routes = require("routes")
local shape = require("shape")

local input = {}

local LARGEST_BODY = 1024 * 1024
-- Bytes of an uploaded file; the bootstrap sets it.
input.largest_file = 0
local NO_OBJECT = "The request body must be a JSON object"

-- A user's id, as the `sub` of a token must be.
local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local function is_json(content_type)
  local essence = content_type:match("^[^;]*"):gsub("%s", ""):lower()
  return essence == "application/json" or essence:match("^application/[%w.-]+%+json$") ~= nil
end

-- Whether the body, should there be one, is of a kind that is read here.
local function is_readable(headers)
  local kind, coding = headers:get("content-type"), headers:get("content-encoding")
  return (not kind or is_json(kind)) and (not coding or coding:lower() == "identity")
end

-- Notes whose request it is, for the access log. False when the token, which is good by now, is no user's.
local function know_user(handle, headers)
  if not headers:get("authorization") then return true end
  local user = headers:get("x-edge-user")
  headers:remove("x-edge-user")
  if not user or not user:match(UUID) then return false end
  handle:streamInfo():dynamicMetadata():set("marketplace.edge", "user", user)
  return true
end

-- Brings the query into the form that the transcoder takes. Returns what is wrong with it.
local function check_query(headers, route)
  local target = headers:get(":path")
  local path, text = target:match("^([^?]*)%?(.*)$")
  if not path then return {} end
  local kept, violations = query.check(text, route.query)
  if kept ~= text then headers:replace(":path", kept == "" and path or path .. "?" .. kept) end
  return violations
end

-- A file, or a form of files. It goes on piece by piece, never waited for here; the service counts what comes.
local function look_at_upload(handle, headers, route)
  local length = tonumber(headers:get("content-length") or "")
  local kind = (headers:get("content-type") or ""):match("^[^;]*"):gsub("%s", ""):lower()
  local is_file = kind:match("^image/[%w.+-]+$") ~= nil
  local coding = headers:get("content-encoding")
  if is_file and length and length > input.largest_file then return refusal.send(handle, "PAYLOAD_TOO_LARGE") end
  if coding and coding:lower() ~= "identity" or not is_file and kind ~= "multipart/form-data" then
    return refusal.send(handle, "UNSUPPORTED_MEDIA_TYPE")
  end
  local violations = check_query(headers, route)
  if #violations > 0 then return refusal.send(handle, "INVALID_ARGUMENT", nil, violations) end
  headers:remove("content-encoding")
end

local function look(handle)
  local headers = handle:headers()
  local route = routes[handle:streamInfo():routeName()]
  if not know_user(handle, headers) then return refusal.send(handle, "UNAUTHORIZED") end
  if route.upload then return look_at_upload(handle, headers, route) end
  local length = tonumber(headers:get("content-length") or "")
  if length and length > LARGEST_BODY then return refusal.send(handle, "PAYLOAD_TOO_LARGE") end
  local readable = route.raw or not route.body or is_readable(headers)
  if not readable and length and length > 0 then return refusal.send(handle, "UNSUPPORTED_MEDIA_TYPE") end
  local violations = check_query(headers, route)
  -- gRPC's own content type would make the transcoder step aside.
  headers:remove("content-encoding")
  if route.body or route.raw then headers:replace("content-type", "application/json") else headers:remove("content-type") end
  if #violations > 0 and length then return refusal.send(handle, "INVALID_ARGUMENT", nil, violations) end

  -- From here on `headers` is gone: waiting for the body gives it back.
  local body = handle:body()
  local size = body and body:length() or 0
  if size > LARGEST_BODY then return refusal.send(handle, "PAYLOAD_TOO_LARGE") end
  if size > 0 and not readable then return refusal.send(handle, "UNSUPPORTED_MEDIA_TYPE") end
  if #violations > 0 then return refusal.send(handle, "INVALID_ARGUMENT", nil, violations) end
  if route.body and size > 0 then
    local violation = shape.check(body:getBytes(0, size), route.body)
    if violation and violation.field == "" then return refusal.send(handle, "INVALID_ARGUMENT", NO_OBJECT) end
    if violation then return refusal.send(handle, "INVALID_ARGUMENT", nil, { violation }) end
  elseif size > 0 and not route.raw then
    handle:headers():replace("content-length", tostring(body:setBytes("")))
  end
end

function input.on_request(handle)
  refusal.unless(handle, look)
end

return input
