-- KEYS: an index on a cluster. ARGV: keys without a record of the principal, each with the mark found before the record was read, or empty.
-- Removes an entry whose mark is unchanged. Marks any other entry, because its writer may be about to write the record.
local now = server_now()
for i = 1, #ARGV, 2 do
  local doubt = '?' .. ARGV[i]
  local since = call('ZSCORE', KEYS[1], doubt)
  if ARGV[i + 1] ~= '' then
    if since == ARGV[i + 1] then call('ZREM', KEYS[1], ARGV[i], doubt) end
  elseif not since and call('ZSCORE', KEYS[1], ARGV[i]) then
    call('ZADD', KEYS[1], string.format('-%.0f', now + GRACE), doubt)
  end
end
return 0
