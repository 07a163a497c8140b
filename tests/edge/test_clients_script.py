"""The counts of requests by address, by the script itself: what it keeps of requests whose end it does not see."""

from __future__ import annotations

import pytest

from tests.support.scripts import Scripts

# Asks so many times over a protocol, each time from another address. Returns the KiB that the script keeps of it.
ASK = """
local clients, fake_handle = require("clients"), require("fake_handle")

local function ask(number, protocol)
  local handle = fake_handle.new({
    headers = { [":method"] = "GET", [":path"] = "/api/categories" },
    context = { kind = "requests", per_address = 100 },
    now = number,
    protocol = protocol,
    address = string.format("[2001:db8:%x:%x::1]:1", number / 65536, number % 65536),
  })
  clients.on_request(handle)
  assert(handle.metadata.clients, "refused")
  handle:headers():replace(":status", "200")
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
