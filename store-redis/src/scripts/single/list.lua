-- KEYS: an index. ARGV: now. Removes the entries of records that the server has expired, and returns the keys that may be live.
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', server_now())
return call('ZRANGE', KEYS[1], '(' .. ARGV[1], '+inf', 'BYSCORE')
