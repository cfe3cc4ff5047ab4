-- The index of a principal: a sorted set of keys by expiry, that goes with the last of them.
local member = string.sub(KEYS[1], -32)
local function index(who) return string.sub(KEYS[1], 1, -35) .. 'p:' .. who end
local function lacking() return nil end
local function leave(who)
  if who ~= '' then redis.call('ZREM', index(who), member) end
end
local function enter(who, at)
  if who == '' then return end
  local set = index(who)
  local added = redis.call('ZADD', set, at, member)
  if redis.call('PEXPIRETIME', set) < tonumber(at) then redis.call('PEXPIREAT', set, at) end
  if added == 1 then redis.call('ZREMRANGEBYSCORE', set, '-inf', server_now()) end
end
