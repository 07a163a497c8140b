-- Checks the `Range` header of a picture before Envoy's file server reads it (RFC 9110, section 14). The file server knows
-- neither a range that is larger than the file nor one that counts from the end.
--
-- One range becomes one within the file, or 416. Several ranges, other units, and what is no range are ignored, as is any
-- range beside HEAD or `If-Range`: pictures have no validators that `If-Range` could name. Then the answer is the file.

local error_response = require("error_response")

local picture_range = {}

-- Returns the size of a file in bytes, or nil when there is none.
local function size_of(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local size = file:seek("end")
  file:close()
  return size
end

-- Returns the first and the last position that a header asks for in a file of this size; nil when it is to be ignored.
-- The first one is behind the file's end when there is nothing to send.
local function positions(range, size)
  local first, last = range:match("^%a+=%s*(%d*)%-(%d*)%s*$")
  if not first or range:match("^%a+"):lower() ~= "bytes" or first == "" and last == "" then return nil end
  if first == "" then
    local length = tonumber(last)
    return length == 0 and size or math.max(0, size - length), size - 1
  end
  first, last = tonumber(first), tonumber(last) or math.huge
  if last < first then return nil end
  return first, math.min(last, size - 1)
end

-- `folder` has the pictures of /media.
local function check_range(handle, folder)
  local headers = handle:headers()
  local range = headers:get("range")
  if not range then return end
  local is_plain = headers:get(":method") == "GET" and headers:getNumValues("range") == 1 and not headers:get("if-range")
  headers:remove("range")
  local size = is_plain and size_of(folder .. headers:get(":path"):match("^/media([^?]*)"))
  if not size then return end
  local first, last = positions(range, size)
  if not first then return end
  if first >= size then
    return error_response.send(handle, "RANGE_NOT_SATISFIABLE", nil, nil, { ["content-range"] = "bytes */" .. size })
  end
  headers:replace("range", string.format("bytes=%d-%d", first, last))
end

function picture_range.on_request(handle, folder)
  error_response.run(handle, function() check_range(handle, folder) end)
end

return picture_range
