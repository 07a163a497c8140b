-- The cache of anonymous reads. Each of Envoy's threads keeps answers of its own, for some seconds.
--
-- Its routes (public_routes_cache.yaml.j2) let only plain reads come here: GET of a path that needs no token, without a
-- token, a body, a condition, or a wish for a new answer. Only a whole 200 is kept that the listener `api` says anyone may
-- keep, in the encoding that it came in.
--
-- On these routes it stands in the place of the filter `clients`: a hit is counted only where a client could make many of
-- them wait.
--
-- The filter's context is that of `clients`. The cache's own settings are set once, when it is loaded: a look into the context
-- costs a hit as much as all its headers.

local client_headers = require("client_headers")
local clients = require("clients")
local overload = require("overload")

local cache = {}

-- Larger answers are not kept: a thread would have few of them.
local MAX_BODY_BYTES = 256 * 1024
local MAX_KEY_BYTES = 2048
-- A larger answer counts as a request of its client until the client has read it.
local MAX_UNCOUNTED_BYTES = 64 * 1024
-- What an answer takes beside its key and body: headers, tables.
local OVERHEAD_BYTES = 1024
-- The headers of an answer that are kept. The connection manager sets all others for each request anew.
-- Names and values stand in a table that `respond` can take as it is.
local KEPT_HEADERS = { "content-type", "content-encoding", "cache-control", "vary", "etag", "date" }
-- The encodings of `api`, the preferred one last; and how many values of Accept-Encoding have their encoding kept.
local ENCODINGS = { "gzip", "br" }
local MAX_ENCODING_VALUES, MAX_VALUE_BYTES = 256, 256
-- In the last part of an answer's life, one request at a time asks for a new one, and all others still get the old one:
-- an answer that many want is never asked for by all of them at once. Where that part begins is a random point for each
-- answer: many that came together are asked for one after the other, and hits need not wait for the CPU that they take.
local EARLIEST_REFRESH, LATEST_REFRESH = 0.4, 0.9
local REFRESH_SECONDS = 1

-- The age of an answer in seconds, and the bytes that all answers of a thread may have.
local max_age, max_bytes

-- Answers by their keys. When those in `young` have half of the bytes, they become `old`, and what was old is dropped. An
-- answer that is asked for comes back within seconds, as a young one.
local young, old, young_bytes = {}, {}, 0

-- Returns a path in its first spelling: /api/gigs for /gig and /gig/, and likewise what is below it.
local function canonical(path)
  if path:sub(1, 4) ~= "/gig" then return path end
  local below = path:sub(5)
  if below == "/" or below:sub(1, 2) == "/?" then below = below:sub(2) end
  return "/api/gigs" .. below
end

-- The encoding that each value of Accept-Encoding asks for.
local encodings, encoding_values = {}, 0

-- Returns the encoding that a client likes best, "identity" for none.
local function best_encoding(value)
  local weights = {}
  for item in value:lower():gmatch("[^,]+") do
    local name, parameters = item:match("^%s*([^;%s]+)(.*)$")
    if name then weights[name] = tonumber(parameters:match(";%s*q%s*=%s*([%d.]+)") or 1) or 0 end
  end
  local best, best_weight = "identity", weights.identity or 0
  for _, name in ipairs(ENCODINGS) do
    local weight = weights[name] or weights["*"] or 0
    if weight > 0 and weight >= best_weight then best, best_weight = name, weight end
  end
  return best
end

-- Returns the encoding of the answer. Clients write Accept-Encoding in thousands of ways.
local function encoding_for(headers)
  local value = headers:get("accept-encoding")
  if not value then return "identity" end
  local encoding = encodings[value]
  if encoding then return encoding end
  encoding = best_encoding(value)
  if #value <= MAX_VALUE_BYTES then
    if encoding_values == MAX_ENCODING_VALUES then encodings, encoding_values = {}, 0 end
    encodings[value], encoding_values = encoding, encoding_values + 1
  end
  return encoding
end

-- Returns what an answer may depend on.
local function key_of(headers, encoding)
  return encoding .. " " .. headers:get(":scheme") .. "://" .. headers:get(":authority") .. canonical(headers:get(":path"))
end

local function store(key, answer)
  local kept = young[key] or old[key]
  -- An answer that took long may be older than one that was asked for later.
  if kept and kept.asked_at > answer.asked_at then return end
  local size = #key + #answer.body + OVERHEAD_BYTES
  if young_bytes + size > max_bytes / 2 then
    old, young, young_bytes = young, {}, 0
  end
  if young[key] then young_bytes = young_bytes - young[key].size end
  answer.size = size
  young[key], old[key] = answer, nil
  young_bytes = young_bytes + size
end

-- Returns the kept answer and whether it is time to ask for a new one; nil when nothing young enough is kept.
local function find(key, now)
  local answer = young[key] or old[key]
  local age = answer and now - answer.asked_at
  -- A clock may have been set back.
  if not age or age < 0 or age >= max_age then return nil end
  return answer, now >= answer.refresh_at
end

-- Returns the kept answer, or nil when the request has to ask for a new one; and then the reason.
local function look_up(headers, key, now)
  local answer, is_time = find(key, now)
  if not answer then return nil, "miss" end
  -- A refusal would be worse than what is kept.
  if not is_time or overload.may_refuse(headers) then return answer end
  answer.refresh_at = now + REFRESH_SECONDS
  return nil, "refresh"
end

local function seconds_now(handle)
  return handle:timestamp() / 1000
end

local function respond(handle, answer, now)
  answer.headers.age = tostring(math.floor(now - answer.asked_at))
  handle:respond(answer.headers, answer.body)
end

-- Returns the kept answer and the time, or nil when the request has to ask for a new one.
local function check_request(handle)
  local headers, now = handle:headers(), seconds_now(handle)
  client_headers.normalise(headers)
  local encoding = encoding_for(headers)
  local key = key_of(headers, encoding)
  if #key > MAX_KEY_BYTES then return end
  local answer, reason = look_up(headers, key, now)
  if answer then
    -- For log and counters. A note in the metadata would make a hit a sixteenth dearer.
    headers:replace("x-edge-cache", "hit")
    return answer, now
  end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("cache", "result", reason)
  metadata:set("cache", "key", key)
  metadata:set("cache", "asked_at", now)
  -- `api` would choose the same.
  if encoding ~= "identity" then headers:replace("accept-encoding", encoding) else headers:remove("accept-encoding") end
end

-- Returns whether a client can make many such answers wait: over HTTP/1 it reads one before the next one comes.
local function may_pile_up(handle, answer)
  return #answer.body > MAX_UNCOUNTED_BYTES or handle:streamInfo():protocol() == "HTTP/2"
end

-- Returns whether anyone may keep an answer, and how long its body is; -1 when only its end tells, as for a compressed one.
local function may_keep(headers)
  local length = headers:get("content-encoding") and -1 or tonumber(headers:get("content-length"))
  return headers:get(":status") == "200"
    and headers:get("content-type") == "application/json"
    and (headers:get("cache-control") or ""):find("^public, max%-age=%d+$")
    and length and length <= MAX_BODY_BYTES
    and not (headers:get("set-cookie") or headers:get("age")), length
end

-- Returns the body of a response, or nil when it is too long.
local function read_body(handle)
  local pieces, size = {}, 0
  for piece in handle:bodyChunks() do
    size = size + piece:length()
    if size <= MAX_BODY_BYTES and piece:length() > 0 then pieces[#pieces + 1] = piece:getBytes(0, piece:length()) end
  end
  return size <= MAX_BODY_BYTES and table.concat(pieces) or nil
end

-- Returns when an answer that was asked for then is old enough to ask for a new one.
local function refresh_time(asked_at)
  return asked_at + max_age * (EARLIEST_REFRESH + (LATEST_REFRESH - EARLIEST_REFRESH) * math.random())
end

local function keep(handle, asked, headers, length)
  local kept = { [":status"] = "200" }
  for _, name in ipairs(KEPT_HEADERS) do kept[name] = headers:get(name) end
  local body = read_body(handle)
  -- Nothing of a body that was cut off.
  if not body or (length >= 0 and #body ~= length) then return end
  store(asked.key, { headers = kept, body = body, asked_at = asked.asked_at, refresh_at = refresh_time(asked.asked_at) })
end

-- Sets `max_age` and `max_bytes`, before the first request.
function cache.configure(settings)
  max_age, max_bytes = settings.max_age, settings.max_bytes
end

function cache.on_request(handle)
  local ok, answer, now = pcall(check_request, handle)
  if not ok then
    -- A fault in here costs only the cache: the request goes on.
    handle:logErr(tostring(answer))
    return clients.on_request(handle)
  end
  if not answer then return clients.check(handle) end
  if may_pile_up(handle, answer) then clients.count(handle) end
  respond(handle, answer, now)
end

-- Returns whether a response is a hit that was not counted, as most are. Answers of `api` have no age.
local function is_uncounted_hit(headers)
  return headers:get("age") and (tonumber(headers:get("content-length")) or math.huge) <= MAX_UNCOUNTED_BYTES
end

function cache.on_response(handle)
  local headers = handle:headers()
  if is_uncounted_hit(headers) then return end
  local asked = handle:streamInfo():dynamicMetadata():get("cache")
  if not asked or not asked.key then return clients.on_response(handle) end
  local may, length = may_keep(headers)
  if not may then return clients.on_response(handle) end
  overload.note(handle)
  local ok, fault = pcall(keep, handle, asked, headers, length)
  if not ok then handle:logErr(tostring(fault)) end
  clients.forget(handle)
end

return cache
