-- Put before every script. A time is compared as a number, which is exact up to 2^53; a version as its eight bytes.
local call, byte, sub = redis.call, string.byte, string.sub
local function layout(head) return byte(head) end
local function version(head) return sub(head, 2, 9) end
local function expires(head) return (struct.unpack('>I8', head, 18)) end
local function owner(head) return sub(head, 35, 34 + (byte(head, 34) or 0)) end
-- Header and principal, and not the data behind them.
local function head(key) return call('GETRANGE', key, 0, 288) end
local function server_now()
  local t = call('TIME')
  return string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
end
