-- KEYS: an index. ARGV: the prefix of the records' keys, the principal, now, the key to keep or an empty string, the maximum number of entries.
-- Returns the number of records removed and the number of entries read.
local now, removed = tonumber(ARGV[3]), 0
local entries = call('ZRANGE', KEYS[1], '(' .. ARGV[3], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[5])
for _, member in ipairs(entries) do
  local key = ARGV[1] .. member
  local old = head(key)
  if old ~= '' and layout(old) ~= 1 then
    -- Only the entry tells the principal of a record of another layout.
    if member ~= ARGV[4] then
      call('UNLINK', key)
      call('ZREM', KEYS[1], member)
      removed = removed + 1
    end
  elseif owner(old) ~= ARGV[2] then
    call('ZREM', KEYS[1], member)
  elseif member ~= ARGV[4] then
    call('UNLINK', key)
    call('ZREM', KEYS[1], member)
    if expires(old) > now then removed = removed + 1 end
  end
end
return {removed, #entries}
