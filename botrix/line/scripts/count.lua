-- Counts one more request.
-- KEYS: 1 the counter
-- ARGV: 1 seconds that a new counter lives
-- Answer: how many there are with this one.
local present = redis.pcall('GET', KEYS[1])
if type(present) ~= 'string' or not tonumber(present) then  -- none yet, or of another type
  redis.call('SET', KEYS[1], 1, 'EX', ARGV[1])
  return 1
end
return redis.call('INCRBY', KEYS[1], 1)
