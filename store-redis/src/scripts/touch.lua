-- ARGV: now, the expected version, the expiry as eight bytes, the expiry as a number.
local old = head(KEYS[1])
if old == '' then return 3 end
if layout(old) ~= 1 then return 4 end
local at = expires(old)
if at <= tonumber(ARGV[1]) then return 3 end
if version(old) ~= ARGV[2] then return 2 end
if at >= tonumber(ARGV[4]) then return 0 end
local is = owner(old)
local first = lacking(old, is, ARGV[4])
if first then return first end
call('SETRANGE', KEYS[1], 17, ARGV[3] .. ARGV[3])
call('PEXPIREAT', KEYS[1], ARGV[4])
enter(KEYS[1], is, ARGV[4], old)
return 0
