-- ARGV: now, record, its expiry, the version expected
local old = head(KEYS[1])
if old == '' then return 3 end
if layout(old) ~= 1 then return 4 end
if expires(old) <= tonumber(ARGV[1]) then return 3 end
local found = version(old)
if found == version(ARGV[2]) then return 0 end
if found ~= ARGV[4] then return 2 end
local was, is = owner(old), owner(ARGV[2])
local first = lacking(old, is, ARGV[3])
if first then return first end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
if was ~= is then leave(was) end
enter(is, ARGV[3], old)
return 0
