-- What wrk sends, and what it reports. Arguments, after `--`:
--   FILE     requests as they go over the wire, each after a line with its length in bytes
--   ORDER    "random": one of them at random each time; "once": each one once, then stop
--   COUNT    "count": count the answers by status; "-": only those above 399, which costs less
--   DELAY    milliseconds before each request, on each connection; 0 for none
--   THREADS  how many threads wrk has
local ffi = require("ffi")
ffi.cdef [[ int getpid(void); int kill(int, int); ]]
local SIGINT = 2

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local requests = {}
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
  assert(#requests > 0, "no requests")

  if args[2] == "once" then
    -- Dealt out to the threads. wrk asks for one more than it sends, before it starts.
    local at, step, stopped = number, tonumber(args[5]), false
    request = function()
      if at > #requests then
        -- wrk sleeps to the end of its time, unless it is interrupted.
        if not stopped then ffi.C.kill(ffi.C.getpid(), SIGINT) end
        stopped = true
        wrk.thread:stop()
        return requests[#requests]
      end
      local this = requests[at]
      at = at + step
      return this
    end
  else
    -- Each thread begins somewhere else, and so does each run.
    math.randomseed(os.time() + number * 7919)
    for _ = 1, 10 do math.random() end
    request = function() return requests[math.random(#requests)] end
  end

  seen = {}
  if args[3] == "count" then
    response = function(status) seen[status] = (seen[status] or 0) + 1 end
  end

  local pause = tonumber(args[4])
  if pause > 0 then
    delay = function() return pause end
  end
end

function done(summary, latency)
  local answers = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("seen")) do
      answers[#answers + 1] = string.format("[%d,%d]", status, count)
    end
  end
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"elapsed_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"refused":%d,"broken":%d,"answers":[%s]}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, table.concat(answers, ",")))
end
