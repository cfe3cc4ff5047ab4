-- On a cluster. ARGV: now, a principal. Removes the record if it is live and belongs to the principal.
local old = head(KEYS[1])
if old == '' then return 3 end
-- Only the index entry, by which the caller found this record, tells the principal of a record of another layout.
if layout(old) ~= 1 then
  call('UNLINK', KEYS[1])
  return 0
end
if owner(old) ~= ARGV[2] then return 2 end
if expires(old) <= tonumber(ARGV[1]) then return 3 end
call('UNLINK', KEYS[1])
return 0
