-- Maintains the index of a principal: a sorted set of keys by expiry, which expires with the last of them.
local function index(key, who) return sub(key, 1, -35) .. 'p:' .. who end
local function lacking() return nil end
local function leave(key, who)
  if who ~= '' then call('ZREM', index(key, who), sub(key, -32)) end
end
local function enter(key, who, at)
  if who == '' then return end
  local set = index(key, who)
  local added = call('ZADD', set, at, sub(key, -32))
  if call('PEXPIRETIME', set) < tonumber(at) then call('PEXPIREAT', set, at) end
  if added == 1 then call('ZREMRANGEBYSCORE', set, '-inf', server_now()) end
end
