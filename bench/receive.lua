-- Consumers of a queue: ReceiveMessage(10), then DeleteMessageBatch of what came. wrk ... -s receive.lua URL -- REQUEST.lua,
-- where the file returns a table with "body" (of ReceiveMessage), "headers", and "url" of the queue. Prints one line of JSON.

dofile((debug.getinfo(1, "S").source:match("@?(.*/)") or "./") .. "load.lua")

local receive, delete_headers, queue
local received = {}  -- bodies of deletes to be sent

function init(arguments)
  local file = dofile(arguments[1])
  queue = file.url
  delete_headers = {}
  for name, value in pairs(file.headers) do delete_headers[name] = value end
  delete_headers["X-Amz-Target"] = "AmazonSQS.DeleteMessageBatch"
  receive = wrk.format("POST", nil, file.headers, file.body)
end

function request()
  local body = table.remove(received)
  if body then return wrk.format("POST", nil, delete_headers, body) end
  return receive
end

function response(status, headers, body)
  local entries = {}
  for handle in body:gmatch('"ReceiptHandle":"([^"]+)"') do
    entries[#entries + 1] = '{"Id":"' .. #entries .. '","ReceiptHandle":"' .. handle .. '"}'
  end
  if #entries > 0 then
    received[#received + 1] = '{"QueueUrl":"' .. queue .. '","Entries":[' .. table.concat(entries, ",") .. "]}"
  end
end
