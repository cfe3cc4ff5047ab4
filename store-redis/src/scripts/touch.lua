-- ARGV: now, the expiry as eight bytes, the same as a number
local old = head(KEYS[1])
if old == '' then return 3 end
if layout(old) ~= 1 then return 4 end
local at = expires(old)
if at <= tonumber(ARGV[1]) then return 3 end
if at >= tonumber(ARGV[3]) then return 0 end
local is = owner(old)
local first = lacking(old, is, ARGV[3])
if first then return first end
call('SETRANGE', KEYS[1], 17, ARGV[2] .. ARGV[2])
call('PEXPIREAT', KEYS[1], ARGV[3])
enter(KEYS[1], is, ARGV[3], old)
return 0
