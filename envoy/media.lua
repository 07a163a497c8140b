-- What goes out with a picture. Its name is never given to another one, so that whoever has it may keep it for good; and
-- it is a picture to every browser, whatever its bytes look like.

local media = {}

local HEADERS = {
  ["cache-control"] = "public, max-age=31536000, immutable",
  ["content-security-policy"] = "default-src 'none'; sandbox",
  ["x-content-type-options"] = "nosniff",
}

function media.on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  if status ~= "200" and status ~= "206" then return end
  for name, value in pairs(HEADERS) do headers:replace(name, value) end
end

return media
