-- Tells events, on a Cluster: to all who listen now, and in the stream for who asks later.
-- KEYS: 1 the stream
-- ARGV: 1 channel of events, 2 about how many events are kept, then for each: the job's tenant, its
--       id, event
-- Answer: how many.
for i = 3, #ARGV, 3 do
  redis.call('PUBLISH', ARGV[1], ARGV[i + 2])
  keep(KEYS[1], ARGV[2], ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
return (#ARGV - 2) / 3
