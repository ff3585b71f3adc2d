-- Shows what became of jobs: status, results and an event for each.
-- KEYS: a status key and a results key for each job
-- ARGV: 1 channel of events, 2 seconds to live, then for each job: status, results or '', event,
--       'forced' or ''
-- Answer: how many statuses were written. A final status is overwritten only where forced.
local final = { completed = true, failed = true, cancelled = true }
local written = 0
for i = 1, #KEYS, 2 do
  local a = i * 2 + 1
  local status, results, event, forced = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  local present = redis.pcall('GET', KEYS[i])  -- of another type: overwritten, harms no other job
  if forced == 'forced' or type(present) ~= 'string' or not final[present] then
    redis.call('SET', KEYS[i], status, 'EX', ARGV[2])
    if results ~= '' then redis.call('SET', KEYS[i + 1], results, 'EX', ARGV[2]) end
    redis.call('PUBLISH', ARGV[1], event)
    written = written + 1
  end
end
return written
