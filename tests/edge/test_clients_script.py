"""The counts of requests by address, by the script itself: what it keeps of requests whose end it does not see."""

from __future__ import annotations

import pytest

from tests.support.scripts import Scripts

# Asks so many times over a protocol, each time from another address. Returns the KiB that the script keeps of it.
ASK = """
local clients = require("clients")

local function of(values)
  return {
    get = function(_, name) return values[name] end,
    replace = function(_, name, value) values[name] = value end,
  }
end

local function ask(number, protocol)
  local metadata, handle = {}, {}
  local address = string.format("[2001:db8:%x:%x::1]:1", number / 65536, number % 65536)
  local headers = of({ [":method"] = "GET", [":path"] = "/api/categories" })
  function handle.headers() return headers end
  function handle.timestamp() return number end
  function handle.filterContext() return of({ kind = "requests", per_address = 100 }) end
  function handle.streamInfo()
    return {
      protocol = function() return protocol end,
      downstreamRemoteAddress = function() return address end,
      dynamicMetadata = function()
        return {
          set = function(_, filter, name, value)
            metadata[filter] = metadata[filter] or {}
            metadata[filter][name] = value
          end,
          get = function(_, filter) return metadata[filter] end,
        }
      end,
    }
  end
  function handle.bodyChunks() return function() end end
  function handle.logErr(_, text) error(text) end
  clients.on_request(handle)
  assert(metadata.clients.request, "refused")
  function headers.get() return "200" end
  clients.on_response(handle)
end

return function(times, protocol)
  collectgarbage() collectgarbage()
  local before = collectgarbage("count")
  for number = 1, times do ask(number, protocol) end
  collectgarbage() collectgarbage()
  return collectgarbage("count") - before
end
"""


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_requests_of_ever_new_addresses_leave_little_behind(protocol: str) -> None:
    ask = Scripts().run(ASK)

    kept = ask(100_000, protocol.encode())

    assert kept < 6 * 1024, "KiB; an entry takes more than 100 bytes"
