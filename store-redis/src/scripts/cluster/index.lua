-- Precedes the write scripts on a cluster, where a record's index entry may be on another node and is written before the record.
-- The last three of ARGV describe an entry: its expiry as eight bytes, its principal, and its node's time when it was written; or they are empty.
local standing, entered = ARGV[#ARGV - 2], tonumber(ARGV[#ARGV])
local function until_of(head) return string.sub(head, 26, 33) end
local function number(bytes) return (struct.unpack('>I8', bytes)) end
local function leave() end
-- Returns `who` if an entry must be written before a record of `who` that expires at `at`, otherwise nil.
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
-- Stores in the record until when its entry is kept. Writes nothing if the record has already expired by this node's clock.
local function enter(key, who, _, old)
  if who ~= '' and call('EXISTS', key) == 1 then
    call('SETRANGE', key, 25, entered and standing or until_of(old))
  end
end
