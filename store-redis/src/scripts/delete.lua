-- ARGV: now, the expected version or an empty string.
local old = head(KEYS[1])
if old == '' then return 3 end
if layout(old) ~= 1 then
  -- The principal cannot be read. The next listing of the principal removes the entry.
  if ARGV[2] ~= '' then return 4 end
  call('UNLINK', KEYS[1])
  return 0
end
if expires(old) <= tonumber(ARGV[1]) then return 3 end
if ARGV[2] ~= '' and version(old) ~= ARGV[2] then return 2 end
call('UNLINK', KEYS[1])
leave(KEYS[1], owner(old))
return 0
