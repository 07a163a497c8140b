-- Refuses requests early, with 503, while a service answers its reads later than it should.
--
-- Answers tell: a service is overloaded when all its reads have been late for a moment. From then on a request takes a
-- credit, and an answer gives one, or less when it is late: so the requests under way become fewer until reads are in time.
-- Nothing is kept of a request, so one that its client gives up is not counted for long.
--
-- Each of Envoy's threads has a memory of its own, so a service may be overloaded in one thread only.
--
-- clients.lua runs it. The filter's context: `late_milliseconds`, after which a read is late; without it nothing is refused.

local error_response = require("error_response")
local services = require("services")

local overload = {}

-- Seconds for which all reads must have been late; late answers that are further apart begin anew.
local LATE_SECONDS = 0.05
local APART_SECONDS = 1
-- Credits that a service may have, and those that it begins with.
local MAX_CREDITS, FIRST_CREDITS = 50, 10
-- Credits that come by time: so many a second, twice as many with each quarter of a second without late reads.
local CREDITS_PER_SECOND, DOUBLINGS_PER_SECOND = 10, 4
-- Seconds without late reads after which a service is normal.
local NORMAL_SECONDS = 3
-- The least that a late read gives: a thread of Envoy that has too much to do makes reads late as well, and fewer requests
-- to the service do not help it.
local LEAST_CREDIT = 0.6
-- As many requests of a service need no credit, so that its workers always have something to do.
local FREE_REQUESTS = 32
-- Credits that are left to the addresses which have had less than their share, and the seconds that shares count for.
local RESERVE, SHARE_SECONDS = 10, 1

-- The services by method and path: a node has its children by their segments ("*" for a variable), its service, and the
-- template of its path.
local root = { children = {} }
for route, service in pairs(services) do
  local node = root
  for segment in route:gmatch("[^ /]+") do
    local name = segment:find("{", 1, true) and "*" or segment
    node.children[name] = node.children[name] or { children = {} }
    node = node.children[name]
  end
  node.service, node.path = service, route:match(" (.*)")
end

-- When the reads of each service began to be late, and when the last one was.
local late_since, late_at = {}, {}
-- The state of each overloaded service.
local overloaded = {}
-- The number of each service's last request, and of the last one that succeeded: answers come about in the order of
-- requests, so what lies between is under way. Refusals count for nothing, since many come before any queue.
local last_number, answered_number = {}, {}

-- Returns the service of a request and the template of its path; nil when it is none whose answers come at once.
local function service_of(method, path)
  local node = root.children[method == "HEAD" and "GET" or method]
  for segment in path:match("^[^?#]*"):gmatch("[^/]+") do
    if not node then return nil end
    node = node.children[segment] or node.children["*"]
  end
  if node then return node.service, node.path end
end

-- Notes whether a read was late. Returns whether all have been for long enough.
local function is_late(service, now, seconds, limit)
  if seconds <= limit then
    late_since[service] = nil
    return false
  end
  if not late_since[service] or now - late_at[service] > APART_SECONDS then late_since[service] = now end
  late_at[service] = now
  return now - late_since[service] >= LATE_SECONDS
end

local function begin(service, now)
  if overloaded[service] then return end
  local state = { credits = FIRST_CREDITS, credit = 1, filled_at = now, shares_at = now, taken = {}, total = 0, addresses = 0 }
  overloaded[service] = state
end

-- Notes a request that goes on to its service, and returns its number.
function overload.passed(service)
  last_number[service] = (last_number[service] or 0) + 1
  return last_number[service]
end

-- Notes the answer to a request with its number and the time at which it began, in seconds. `limit`: the seconds after which
-- a read is late.
function overload.answered(service, number, began, now, is_success, is_read, limit)
  local seconds = now - began
  if is_success then answered_number[service] = math.max(number, answered_number[service] or 0) end
  is_read = is_read and is_success
  local late = is_read and is_late(service, now, seconds, limit)
  if late then begin(service, now) end
  local state = overloaded[service]
  if not state then return end
  if is_read then state.credit = math.min(1, math.max(LEAST_CREDIT, limit / seconds)) end
  if late then state.late_at = now end
  state.credits = math.min(MAX_CREDITS, state.credits + state.credit)
end

-- Gives the credits that come by time, and begins shares anew when it is time.
local function fill(state, now)
  local quiet, seconds = now - state.late_at, now - state.filled_at
  local credits = seconds * CREDITS_PER_SECOND * 2 ^ (DOUBLINGS_PER_SECOND * quiet)
  state.credits, state.filled_at = math.min(MAX_CREDITS, state.credits + credits), now
  if now - state.shares_at >= SHARE_SECONDS then
    state.shares_at, state.taken, state.total, state.addresses = now, {}, 0, 0
  end
end

-- Takes a credit for a request of an address. Returns false when there is none for it.
local function take(state, address)
  local taken = state.taken[address]
  if not taken then
    state.addresses, taken = state.addresses + 1, 0
  end
  local is_above = taken * state.addresses > state.total
  state.taken[address] = taken
  if state.credits < (is_above and RESERVE or 1) then return false end
  state.credits = state.credits - 1
  state.taken[address], state.total = taken + 1, state.total + 1
  return true
end

-- Returns whether a request may go on to its service.
function overload.may_pass(service, address, now)
  local state = overloaded[service]
  if not state then return true end
  local under_way = (last_number[service] or 0) - (answered_number[service] or 0)
  -- A clock may have been set back.
  if under_way == 0 or now - state.late_at > NORMAL_SECONDS or now < state.filled_at then
    overloaded[service] = nil
    return true
  end
  fill(state, now)
  return take(state, address) or under_way < FREE_REQUESTS
end

-- Returns whether a request's service is overloaded, so that the request might be refused.
function overload.may_refuse(headers)
  return overloaded[service_of(headers:get(":method"), headers:get(":path"))] ~= nil
end

local function check_request(handle, address, limit)
  local headers, metadata = handle:headers(), handle:streamInfo():dynamicMetadata()
  local method = headers:get(":method")
  local service, path = service_of(method, headers:get(":path"))
  if not service then return end
  local now = handle:timestamp() / 1000
  if overloaded[service] and not overload.may_pass(service, address, now) then
    metadata:set("overload", "refused", path)
    return error_response.send(handle, "UNAVAILABLE")
  end
  metadata:set("overload", "service", service)
  metadata:set("overload", "number", overload.passed(service))
  metadata:set("overload", "began", now)
  metadata:set("overload", "limit", limit / 1000)
  metadata:set("overload", "is_read", method == "GET" or method == "HEAD")
end

local function note_answer(handle)
  local request = handle:streamInfo():dynamicMetadata():get("overload")
  if not request or request.refused then return end
  local is_success = tonumber(handle:headers():get(":status")) < 400
  local now = handle:timestamp() / 1000
  overload.answered(request.service, request.number, request.began, now, is_success, request.is_read, request.limit)
end

-- A fault in here costs only the early refusal: the request, or the answer, goes on.
local function run(step, handle, ...)
  local ok, fault = pcall(step, handle, ...)
  if not ok then handle:logErr(tostring(fault)) end
end

-- Refuses the request when its service is overloaded; the calling script ends then. `address` is the client's, as it is
-- counted.
function overload.check(handle, address)
  local limit = handle:filterContext():get("late_milliseconds")
  if limit then run(check_request, handle, address, limit) end
end

-- Notes the answer to a request.
function overload.note(handle)
  run(note_answer, handle)
end

return overload
