-- KEYS: an index. ARGV: the prefix of the records' keys, the principal, keys that had no record of the principal when the caller looked.
-- Removes the entries of those keys that still have no such record.
for i = 3, #ARGV do
  if owner(head(ARGV[1] .. ARGV[i])) ~= ARGV[2] then call('ZREM', KEYS[1], ARGV[i]) end
end
return 0
