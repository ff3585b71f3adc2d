-- Tells events, on a Cluster: to all who listen now, and in the stream for who asks later.
-- KEYS: 1 the stream
-- ARGV: 1 channel of events, 2 about how many events are kept, then for each: the job's tenant, its
--       id, event
-- Answer: how many.
for i = 3, #ARGV, 3 do
  local entry = { 'XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*',
    't', ARGV[i], 'j', ARGV[i + 1], 'e', ARGV[i + 2] }
  redis.call('PUBLISH', ARGV[1], ARGV[i + 2])
  local kept = redis.pcall(unpack(entry))
  if type(kept) == 'table' and kept.err and string.find(kept.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', KEYS[1])  -- another program's, where ours belongs
    redis.call(unpack(entry))
  end  -- where a user may not XADD (an ACL of an earlier release), the rest goes on
end
return (#ARGV - 2) / 3
