-- KEYS: an index. ARGV: what its records' keys begin with, its principal, keys that had no such record when somebody looked.
for i = 3, #ARGV do
  if owner(head(ARGV[1] .. ARGV[i])) ~= ARGV[2] then call('ZREM', KEYS[1], ARGV[i]) end
end
return 0
