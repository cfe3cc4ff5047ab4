-- Precedes every script. Times are compared as numbers, which are exact up to 2^53; versions are compared as eight bytes.
local call, byte, sub = redis.call, string.byte, string.sub
local function layout(head) return byte(head) end
local function version(head) return sub(head, 2, 9) end
local function expires(head) return (struct.unpack('>I8', head, 18)) end
local function owner(head) return sub(head, 35, 34 + (byte(head, 34) or 0)) end
-- Returns the header and the principal, without most of the data. A value of another type or too short gets layout 0, which no record has.
local function head(key)
  local got = redis.pcall('GETRANGE', key, 0, 288)
  if type(got) == 'string' then
    if #got > 0 and #got < 34 then return '\0' end
    return got
  end
  if string.find(got.err, 'WRONGTYPE', 1, true) then return '\0' end
  error(got.err)
end
local function server_now()
  local t = call('TIME')
  return string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
end
