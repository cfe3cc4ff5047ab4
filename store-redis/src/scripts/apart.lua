-- Put before the writes on a cluster, where a record's entry lies on another node: it is written before the record is.
-- ARGV ends with: until when an entry stands, as eight bytes, whose it is, and its node's time when it was written; or with nothing thrice.
local standing, entered = ARGV[#ARGV - 2], tonumber(ARGV[#ARGV])
local function until_of(head) return string.sub(head, 26, 33) end
local function number(bytes) return (struct.unpack('>I8', bytes)) end
local function leave() end
-- Whose entry has to be written before a record of `who` that expires at `at`, if one has.
local function lacking(old, who, at)
  if who == '' then return nil end
  if entered and ARGV[#ARGV - 1] == who then
    if math.abs(server_now() - entered) <= LEASE then return nil end
  elseif owner(old) == who and number(until_of(old)) >= at + MARGIN then
    entered = nil
    return nil
  end
  return who
end
-- A record that expires at once by this node's clock is gone already, and nothing must be written in its place.
local function enter(key, who, _, old)
  if who ~= '' and call('EXISTS', key) == 1 then
    call('SETRANGE', key, 25, entered and standing or until_of(old))
  end
end
