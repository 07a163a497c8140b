-- Sends the requests of a file in turn: each line is a path or, for a POST, path, token and body with tabs between.
-- `wrk ... -- FILE PREFIX no-cache|cached`; PREFIX makes the idempotency keys of this run its own.

local lines, sent, prefix, headers = {}, 0, "", {}

function init(args)
  prefix = args[2]
  if args[3] == "no-cache" then headers["Cache-Control"] = "no-cache" end
  for line in io.lines(args[1]) do
    local path, token, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    lines[#lines + 1] = path and { path = path, token = token, body = body }
      or wrk.format("GET", line, headers)
  end
end

function request()
  sent = sent + 1
  local line = lines[(sent - 1) % #lines + 1]
  if type(line) == "string" then return line end
  return wrk.format("POST", line.path, {
    ["Authorization"] = "Bearer " .. line.token,
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = prefix .. "-" .. sent,
  }, line.body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"seconds": %f, "requests": %d, "bytes": %d, "p50": %f, "p99": %f, "max": %f, "refused": %d, "broken": %d}\n',
    summary.duration / 1e6, summary.requests, summary.bytes, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
