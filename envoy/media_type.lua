-- What the headers of a request say about its body.

local media_type = {}

-- Returns the media type without its parameters, in lower case.
function media_type.of(headers)
  return (headers:get("content-type") or ""):match("^[^;]*"):gsub("%s", ""):lower()
end

function media_type.is_compressed(headers)
  local coding = headers:get("content-encoding")
  return coding ~= nil and coding:lower() ~= "identity"
end

-- Returns whether a body, if there is one, is JSON by its headers. A body without a type counts as JSON.
function media_type.is_json(headers)
  if media_type.is_compressed(headers) then return false end
  if not headers:get("content-type") then return true end
  local kind = media_type.of(headers)
  return kind == "application/json" or kind:match("^application/[%w.-]+%+json$") ~= nil
end

return media_type
