-- Sends each request with one of the cookies in the file named by the first argument after the URL, and ends with one line of JSON.
local requests = {}
local at = 0

-- Requests are built before the run, because wrk shares the machine with the server that it measures.
function init(arguments)
    for cookie in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("GET", nil, { ["Cookie"] = cookie })
    end
    -- Each thread begins with another request.
    at = math.random(#requests)
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
    io.write(string.format(
        '\n{"requests":%d,"micros":%d,"broken":%d,"refused":%d,"p50":%d,"p99":%d}\n',
        summary.requests, summary.duration, errors, summary.errors.status,
        latency:percentile(50), latency:percentile(99)
    ))
end
