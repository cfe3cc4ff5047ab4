-- Sends each request with one of the cookies in the file named by the first argument after the URL, and ends with one line of JSON.
local cookies = {}
local at = 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        cookies[#cookies + 1] = line
    end
    -- Each thread begins elsewhere.
    at = math.random(#cookies)
end

function request()
    at = at % #cookies + 1
    return wrk.format("GET", nil, { ["Cookie"] = cookies[at] })
end

function done(summary, latency)
    local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
    io.write(string.format(
        '\n{"requests":%d,"micros":%d,"broken":%d,"refused":%d,"p50":%d,"p99":%d}\n',
        summary.requests, summary.duration, errors, summary.errors.status,
        latency:percentile(50), latency:percentile(99)
    ))
end
