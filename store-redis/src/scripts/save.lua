local function save(key, now, record, at, expected)
  local old = head(key)
  if old == '' then return 3 end
  if layout(old) ~= 1 then return 4 end
  if expires(old) <= tonumber(now) then return 3 end
  local found = version(old)
  if found == version(record) then return 0 end
  if found ~= expected then return 2 end
  local was, is = owner(old), owner(record)
  local first = lacking(old, is, at)
  if first then return first end
  call('SET', key, record, 'PXAT', at)
  if was ~= is then leave(key, was) end
  enter(key, is, at, old)
  return 0
end
