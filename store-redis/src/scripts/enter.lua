-- KEYS: an index on a cluster. ARGV: a record's key, until when its entry is to stand. Answers this node's time.
-- An entry is never moved nearer: somebody else may count on it. One that is written is not in doubt any more.
local now = server_now()
local added = call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
call('ZREM', KEYS[1], '?' .. ARGV[1])
if call('PEXPIRETIME', KEYS[1]) < tonumber(ARGV[2]) then call('PEXPIREAT', KEYS[1], ARGV[2]) end
if added == 1 then call('ZREMRANGEBYSCORE', KEYS[1], 1, now) end
return now
