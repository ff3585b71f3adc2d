-- Shows what became of jobs: status, results, and an event for each, to all who listen now, and in
-- the stream for who asks later.
-- KEYS: 1 the stream, then a status key and a results key for each job
-- ARGV: 1 channel of events, 2 seconds to live, 3 about how many events are kept, then for each
--       job: its tenant, its id, status, results or '', event, 'forced' or ''
-- Answer: how many statuses were written. A final status is overwritten only where forced.
local final = { completed = true, failed = true, cancelled = true }
local written = 0

for i = 2, #KEYS, 2 do
  local a = (i - 2) * 3 + 4
  local tenant, job, status, results, event, forced = unpack(ARGV, a, a + 5)
  local present = redis.pcall('GET', KEYS[i])  -- of another type: overwritten, harms no other job
  if forced == 'forced' or type(present) ~= 'string' or not final[present] then
    redis.call('SET', KEYS[i], status, 'EX', ARGV[2])
    if results ~= '' then redis.call('SET', KEYS[i + 1], results, 'EX', ARGV[2]) end
    redis.call('PUBLISH', ARGV[1], event)
    keep(KEYS[1], ARGV[3], tenant, job, event)
    written = written + 1
  end
end
return written
