-- Bounds the requests under way of each client address.
--
-- Each of Envoy's threads has tables of its own, so a client with many connections may have the bound in each thread. A
-- request is under way from its headers to the last byte of its response. Envoy calls no script when a client resets a
-- request; the handle of such a request becomes garbage, and is found when its address reaches the bound.
--
-- The filter's context: `requests_per_address`.

local error_response = require("error_response")

local clients = {}

-- Seconds between two searches for requests that clients have reset.
local SEARCH_SECONDS = 0.1

-- The address of each request under way, by its number; how many each address has; and the number of each handle.
local addresses, counts = {}, {}
local numbers = setmetatable({}, { __mode = "k" })
local last_number, last_search = 0, 0

local function forget(number)
  local address = addresses[number]
  if not address then return end
  addresses[number] = nil
  counts[address] = counts[address] > 1 and counts[address] - 1 or nil
end

-- Forgets the requests that clients have reset. A handle is gone after the second collection: the first one finalizes it.
local function search_for_resets(now)
  if now < last_search + SEARCH_SECONDS and now >= last_search then return end
  last_search = now
  collectgarbage()
  collectgarbage()
  local alive = {}
  for _, number in pairs(numbers) do alive[number] = true end
  local gone = {}
  for number in pairs(addresses) do
    if not alive[number] then gone[#gone + 1] = number end
  end
  for _, number in ipairs(gone) do forget(number) end
end

-- Returns the name that an address is counted by: a network of 64 bits for IPv6. Envoy writes IPv6 in its short form.
local function counted_as(address)
  local ipv4 = address:match("%d+%.%d+%.%d+%.%d+$")
  if ipv4 then return ipv4 end
  local groups = {}
  for group in (address:match("^(.-)::") or address):gmatch("%x+") do
    if #groups < 4 then groups[#groups + 1] = group end
  end
  while groups[#groups] == "0" do groups[#groups] = nil end
  return table.concat(groups, ":") .. "::"
end

-- Returns the client's address without its port.
local function client_address(handle)
  return (handle:streamInfo():downstreamRemoteAddress():gsub(":%d+$", ""):gsub("[%[%]]", ""))
end

local function check_request(handle)
  local limit = handle:filterContext():get("requests_per_address")
  local client = client_address(handle)
  handle:headers():replace("x-forwarded-for", client)
  local address = counted_as(client)
  if (counts[address] or 0) >= limit then
    search_for_resets(handle:timestamp() / 1000)
    if (counts[address] or 0) >= limit then return error_response.send(handle, "RATE_LIMITED") end
  end
  last_number = last_number + 1
  addresses[last_number], numbers[handle] = address, last_number
  counts[address] = (counts[address] or 0) + 1
  handle:streamInfo():dynamicMetadata():set("clients", "request", last_number)
end

local function end_request(handle)
  local metadata = handle:streamInfo():dynamicMetadata():get("clients")
  if not metadata then return end
  local number = metadata["request"]
  for _ in handle:bodyChunks() do end
  forget(number)
end

function clients.on_request(handle)
  error_response.run(handle, check_request)
end

function clients.on_response(handle)
  local ok, fault = pcall(end_request, handle)
  if not ok then handle:logErr(tostring(fault)) end
end

return clients
