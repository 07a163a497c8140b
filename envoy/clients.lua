-- Bounds the requests under way of each client address; watches, which last for an hour, are counted apart. Has
-- client_headers.lua and overload.lua look at the request, too: a filter of its own would cost each request as much as this
-- one.
--
-- Each of Envoy's threads has tables of its own, so a client with many connections may have the bound in each thread. A
-- request is under way from its headers until its client has the last byte of the response.
--
-- Over HTTP/1 a script sees that end. Over HTTP/2 it does not, and it never sees that a client resets a request. The
-- handle of a request that has ended is garbage: when an address reaches the bound, the garbage is collected, and the
-- requests whose handles are gone are forgotten. So they are when there are many, for addresses that never reach the bound.
--
-- On the routes of the cache, cache.lua calls this script.
--
-- The route's filter context, or the filter's: `kind` of the requests that are counted together, `per_address`, and that of
-- overload.lua.

local client_headers = require("client_headers")
local error_response = require("error_response")
local overload = require("overload")

local clients = {}

-- Seconds until the next search for requests that have ended, when the last one has found few.
local SEARCH_SECONDS = 0.1
-- The fewest requests that are noted when such a search comes. The next one comes with twice as many as this one has left.
local MIN_NOTED = 20000

-- The kind and address of each request under way, by its number; how many each of these has; and each handle's number.
local addresses, counts = {}, {}
local numbers = setmetatable({}, { __mode = "k" })
local last_number, next_search = 0, 0
-- How many requests are noted, and with how many a search comes.
local noted, most_noted = 0, MIN_NOTED

local function forget(number)
  local address = addresses[number]
  if not address then return end
  addresses[number], noted = nil, noted - 1
  counts[address] = counts[address] > 1 and counts[address] - 1 or nil
end

-- Forgets the requests whose handles have been collected. Returns how many there were.
local function forget_collected()
  local alive = {}
  for _, number in pairs(numbers) do alive[number] = true end
  local gone = {}
  for number in pairs(addresses) do
    if not alive[number] then gone[#gone + 1] = number end
  end
  for _, number in ipairs(gone) do forget(number) end
  most_noted = math.max(MIN_NOTED, 2 * noted)
  return #gone
end

-- Forgets the requests that have ended. A handle is gone after the second collection: the first one finalizes it.
local function search_for_ended(now, limit)
  if now < next_search and now > next_search - SEARCH_SECONDS then return end
  collectgarbage()
  collectgarbage()
  -- A search that finds as many as half a bound has paid for itself.
  next_search = forget_collected() >= limit / 2 and 0 or now + SEARCH_SECONDS
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

-- Counts a request. Returns the name of its client's address; nil when it was refused.
local function count(handle)
  local context = handle:filterContext()
  local limit = context:get("per_address")
  local client = client_address(handle)
  handle:headers():replace("x-forwarded-for", client)
  local counted = counted_as(client)
  local address = context:get("kind") .. " " .. counted
  if (counts[address] or 0) >= limit then
    search_for_ended(handle:timestamp() / 1000, limit)
    if (counts[address] or 0) >= limit then return error_response.send(handle, "RATE_LIMITED") end
  end
  if noted >= most_noted then forget_collected() end
  last_number, noted = last_number + 1, noted + 1
  addresses[last_number], numbers[handle] = address, last_number
  counts[address] = (counts[address] or 0) + 1
  handle:streamInfo():dynamicMetadata():set("clients", "request", last_number)
  return counted
end

local function check_counts(handle)
  local client = count(handle)
  if client then overload.check(handle, client) end
end

local function check_request(handle)
  client_headers.normalise(handle:headers())
  check_counts(handle)
end

-- Returns the number of the request; nil when it is not counted, or when its end is not seen.
local function number_of(handle)
  local metadata = handle:streamInfo():dynamicMetadata():get("clients")
  return metadata and handle:streamInfo():protocol() ~= "HTTP/2" and metadata["request"] or nil
end

local function end_request(handle)
  local number = number_of(handle)
  if not number then return end
  for _ in handle:bodyChunks() do end
  forget(number)
end

-- Forgets a request of HTTP/1 whose response has been read to its end by the caller.
function clients.forget(handle)
  local number = number_of(handle)
  if number then forget(number) end
end

-- Counts a request that no service has to answer.
function clients.count(handle)
  error_response.run(handle, count)
end

-- Checks a request whose headers have their right form.
function clients.check(handle)
  error_response.run(handle, check_counts)
end

function clients.on_request(handle)
  error_response.run(handle, check_request)
end

function clients.on_response(handle)
  overload.note(handle)
  local ok, fault = pcall(end_request, handle)
  if not ok then handle:logErr(tostring(fault)) end
end

return clients
