-- One request, sent again and again: wrk ... -s load.lua URL -- REQUEST.lua, where the file returns a table with "body" and
-- "headers", written by bench/run. Prints one line of JSON at the end.

function init(arguments)
  local request = dofile(arguments[1])
  wrk.method = "POST"
  wrk.body = request.body
  for name, value in pairs(request.headers) do wrk.headers[name] = value end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('result {"requests":%d,"us":%d,"p50_us":%g,"p99_us":%g,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
