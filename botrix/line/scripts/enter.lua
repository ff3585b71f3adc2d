-- Shows new jobs as pending, and pushes them to the tails of their lanes: shown first, for whoever
-- takes one tells what comes of it.
-- KEYS: 1 high, 2 normal, 3 low, 4 the stream, then a status key for each job
-- ARGV: 1 channel of events, 2 seconds to live, 3 about how many events are kept, then for each
--       job: its tenant, its id, event, its lane (1-3), entry or '' where it is not to be pushed yet
-- Answer: how many were pushed.
local entries = { {}, {}, {} }
local pushed = 0

for i = 5, #KEYS do
  local a = (i - 5) * 5 + 4
  local tenant, job, event, lane, entry = unpack(ARGV, a, a + 4)
  if redis.call('SET', KEYS[i], 'pending', 'EX', ARGV[2], 'NX') then
    redis.call('PUBLISH', ARGV[1], event)
    keep(KEYS[4], ARGV[3], tenant, job, event)
  end
  if entry ~= '' then
    local of = entries[tonumber(lane)]
    of[#of + 1] = entry
    pushed = pushed + 1
  end
end
for lane = 1, 3 do
  for first = 1, #entries[lane], 1000 do
    local last = math.min(first + 999, #entries[lane])
    redis.call('RPUSH', KEYS[lane], unpack(entries[lane], first, last))
  end
end
return pushed
