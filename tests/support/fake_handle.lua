-- A handle as Envoy gives it to a script, for scripts that run without Envoy.

local fake_handle = {}

-- Returns headers with these values by name.
function fake_handle.headers(values)
  return {
    get = function(_, name) return values[name] end,
    replace = function(_, name, value) values[name] = value end,
    remove = function(_, name) values[name] = nil end,
  }
end

-- Returns the handle of a request: its `headers`, the `context` of its filter, the time `now` in seconds, its `protocol`, and
-- the `address` of its client. `metadata` of the handle is what the script notes, by filter.
function fake_handle.new(request)
  local metadata, headers = {}, fake_handle.headers(request.headers)
  local handle = { metadata = metadata }
  local stream_info = {
    protocol = function() return request.protocol end,
    downstreamRemoteAddress = function() return request.address end,
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
  function handle.headers() return headers end
  function handle.timestamp() return request.now * 1000 end
  function handle.filterContext() return fake_handle.headers(request.context) end
  function handle.streamInfo() return stream_info end
  function handle.bodyChunks() return function() end end
  function handle.logErr(_, text) error(text) end
  return handle
end

return fake_handle
