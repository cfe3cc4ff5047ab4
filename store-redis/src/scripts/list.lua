-- KEYS: an index. ARGV: now. Removes what the server has let expire, and answers the keys that may be live.
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', server_now())
return call('ZRANGE', KEYS[1], '(' .. ARGV[1], '+inf', 'BYSCORE')
