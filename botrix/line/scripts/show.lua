-- Shows the status of one job, on a Cluster.
-- KEYS: 1 its status key
-- ARGV: 1 seconds to live, 2 status, 3 'forced' or ''
-- Answer: 1 where it was written. A final status is overwritten only where forced.
local final = { completed = true, failed = true, cancelled = true }
local present = redis.pcall('GET', KEYS[1])  -- of another type: overwritten
if ARGV[3] ~= 'forced' and type(present) == 'string' and final[present] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[1])
return 1
