-- The cache of anonymous reads. Each of Envoy's threads keeps answers of its own, for some seconds.
--
-- Its routes (public_routes_cache.yaml.j2) let only plain reads come here: GET or HEAD of a path that needs no token,
-- without a token, a body, a condition, or a wish for a new answer. Only a whole 200 is kept that the listener `api` says
-- anyone may keep.
--
-- Two filters run it. The first one of all answers hits at once: before the client's requests are counted, so only such
-- hits that no client can pile up. The second one, behind all that changes a response, answers the others and keeps answers.
--
-- The filter's context: `max_age` of an answer in seconds; `max_bytes` that all answers of a thread may have.

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
local KEPT_HEADERS = { "content-type", "cache-control", "vary", "etag", "date" }
-- In the last part of an answer's life, one request at a time asks for a new one, and all others still get the old one:
-- an answer that many want is never asked for by all of them at once.
local REFRESH_AFTER = 0.7
local REFRESH_SECONDS = 1

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

-- Returns what an answer may depend on.
local function key_of(headers)
  return headers:get(":scheme") .. "://" .. headers:get(":authority") .. canonical(headers:get(":path"))
end

local function store(key, answer, max_bytes)
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
local function find(key, now, max_age)
  local answer = young[key] or old[key]
  local age = answer and now - answer.asked_at
  -- A clock may have been set back.
  if not age or age < 0 or age >= max_age then return nil end
  return answer, age >= max_age * REFRESH_AFTER and now >= answer.refresh_at
end

-- Returns the kept answer, or nil when the request has to ask for a new one; and the result for log and counters.
local function look_up(key, now, max_age, can_refresh)
  local answer, is_time = find(key, now, max_age)
  if not answer then return nil, "miss" end
  if not can_refresh or not is_time then return answer, "hit" end
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

local function check_first(handle)
  -- A client of HTTP/1 reads an answer before the next one comes.
  if handle:streamInfo():protocol() == "HTTP/2" then return end
  local now = seconds_now(handle)
  local answer, is_time = find(key_of(handle:headers()), now, handle:filterContext():get("max_age"))
  if not answer or is_time or #answer.body > MAX_UNCOUNTED_BYTES then return end
  handle:streamInfo():dynamicMetadata():set("cache", "result", "hit")
  return answer, now
end

local function check_request(handle)
  local headers, now = handle:headers(), seconds_now(handle)
  local key = key_of(headers)
  if #key > MAX_KEY_BYTES then return end
  -- What HEAD asks for cannot be kept.
  local is_get = headers:get(":method") == "GET"
  local answer, result = look_up(key, now, handle:filterContext():get("max_age"), is_get)
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("cache", "result", result)
  if answer then return answer, now end
  if not is_get then return end
  metadata:set("cache", "key", key)
  metadata:set("cache", "asked_at", now)
end

-- Returns whether anyone may keep an answer, and has all that it takes to check it.
local function may_keep(headers)
  local length = tonumber(headers:get("content-length"))
  return headers:get(":status") == "200"
    and headers:get("content-type") == "application/json"
    and (headers:get("cache-control") or ""):find("^public, max%-age=%d+$")
    and length and length <= MAX_BODY_BYTES
    and not (headers:get("set-cookie") or headers:get("content-encoding") or headers:get("age"))
end

local function keep_response(handle)
  local asked = handle:streamInfo():dynamicMetadata():get("cache")
  local headers = handle:headers()
  if not asked or not asked.key or not may_keep(headers) then return end
  local kept = { [":status"] = "200" }
  for _, name in ipairs(KEPT_HEADERS) do kept[name] = headers:get(name) end
  local length = tonumber(headers:get("content-length"))
  local pieces = {}
  for piece in handle:bodyChunks() do
    if piece:length() > 0 then pieces[#pieces + 1] = piece:getBytes(0, piece:length()) end
  end
  local body = table.concat(pieces)
  -- Nothing of a body that was cut off.
  if #body ~= length then return end
  local answer = { headers = kept, body = body, asked_at = asked.asked_at, refresh_at = 0 }
  store(asked.key, answer, handle:filterContext():get("max_bytes"))
end

-- A fault in here costs only the cache: the request goes on.
local function answer_from(check, handle)
  local ok, answer, now = pcall(check, handle)
  if not ok then return handle:logErr(tostring(answer)) end
  if answer then respond(handle, answer, now) end
end

function cache.on_first_request(handle)
  answer_from(check_first, handle)
end

function cache.on_request(handle)
  answer_from(check_request, handle)
end

function cache.on_response(handle)
  local ok, fault = pcall(keep_response, handle)
  if not ok then handle:logErr(tostring(fault)) end
end

return cache
