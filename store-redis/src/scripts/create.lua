-- ARGV: now, record, its expiry.
local old = head(KEYS[1])
if old ~= '' then
  if layout(old) ~= 1 then return 4 end
  if expires(old) > tonumber(ARGV[1]) then
    if version(old) == version(ARGV[2]) then return 0 end
    return 1
  end
end
local was, is = owner(old), owner(ARGV[2])
local first = lacking(old, is, ARGV[3])
if first then return first end
call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
if was ~= is then leave(KEYS[1], was) end
enter(KEYS[1], is, ARGV[3], old)
return 0
