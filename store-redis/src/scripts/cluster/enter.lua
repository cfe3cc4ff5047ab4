-- KEYS: an index on a cluster. ARGV: a record's key, the expiry of its entry. Returns this node's time.
-- The expiry of an entry never becomes earlier, because another writer may rely on it. Writing an entry removes its doubt mark.
local now = server_now()
local added = call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
call('ZREM', KEYS[1], '?' .. ARGV[1])
if call('PEXPIRETIME', KEYS[1]) < tonumber(ARGV[2]) then call('PEXPIREAT', KEYS[1], ARGV[2]) end
if added == 1 then call('ZREMRANGEBYSCORE', KEYS[1], 1, now) end
return now
