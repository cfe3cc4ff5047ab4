-- ARGV: now, the version expected or nothing
local old = head(KEYS[1])
if old == '' then return 3 end
if layout(old) ~= 1 then
  -- Whose it is cannot be read. An entry of it goes when it is next listed.
  if ARGV[2] ~= '' then return 4 end
  call('UNLINK', KEYS[1])
  return 0
end
if expires(old) <= tonumber(ARGV[1]) then return 3 end
if ARGV[2] ~= '' and version(old) ~= ARGV[2] then return 2 end
call('UNLINK', KEYS[1])
leave(KEYS[1], owner(old))
return 0
