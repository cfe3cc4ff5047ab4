-- KEYS: an index on a cluster. ARGV: now.
-- Returns the keys that may be live, and the keys that have been doubtful for long enough, each with its mark.
local now = server_now()
call('ZREMRANGEBYSCORE', KEYS[1], 1, now)
local old = {}
local doubts = call('ZRANGE', KEYS[1], '-inf', '(0', 'BYSCORE', 'WITHSCORES')
for i = 1, #doubts, 2 do
  local member = string.sub(doubts[i], 2)
  if not call('ZSCORE', KEYS[1], member) then
    call('ZREM', KEYS[1], doubts[i])
  elseif -tonumber(doubts[i + 1]) <= tonumber(now) then
    old[#old + 1] = member
    old[#old + 1] = doubts[i + 1]
  end
end
return {call('ZRANGE', KEYS[1], '(' .. ARGV[1], '+inf', 'BYSCORE'), old}
