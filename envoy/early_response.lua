-- Holds back a response that is complete before its request is. Envoy closes a connection of HTTP/1.1 after such a
-- response and reads no more of it, so a client that writes all before it reads gets a reset instead of the response.
-- While the response is held, Envoy reads the rest of the request and drops it. A client of HTTP/2 reads while it writes,
-- and gets its response at once.
--
-- A script cannot see the request end. So the filter chain has several pairs of filters: one writes into the header
-- `x-edge-request` what has arrived by then, this script waits when that is not all. The waits get longer, and have an end.

local early_response = {}

local MAX_BYTES = 64 * 1024 * 1024
-- A call that nobody answers.
local CLOCK = { [":method"] = "GET", [":path"] = "/", [":authority"] = "clock" }

-- Returns whether the request goes on. `progress` has the time that it took, nothing while it goes on, then the bytes of
-- its body so far, and Envoy's details of the response. A request from which nothing has come during the last wait does
-- not go on: its client waits, too. Nor does one that is no good HTTP/1.1: Envoy reads no more of that connection.
local function goes_on(handle, progress)
  local took, bytes, details = progress:match("^(%d*) (%d+) (.*)$")
  if took ~= "" or tonumber(bytes) > MAX_BYTES then return false end
  if details:find("^http") or details == "low_version" then return false end
  local metadata = handle:streamInfo():dynamicMetadata()
  local before = metadata:get("early_response")
  metadata:set("early_response", "bytes", bytes)
  return not before or before["bytes"] ~= bytes
end

-- Waits so many milliseconds when the request has not arrived in full.
function early_response.hold(handle, milliseconds)
  if handle:streamInfo():protocol() == "HTTP/2" then return end
  if not goes_on(handle, handle:headers():get("x-edge-request")) then return end
  -- The end of a wait is a timeout, which is no error for a trace to show.
  handle:httpCall("clock", CLOCK, "", { timeout_ms = milliseconds, trace_sampled = false })
end

return early_response
