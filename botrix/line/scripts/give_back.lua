-- Returns the taken list of a session that is gone to the heads of its lanes, in order.
-- KEYS: 1 high, 2 normal, 3 low, 4 taken
-- Answer: how many entries went back.
local lanes = { h = 1, n = 2, l = 3 }
local taken = redis.call('LRANGE', KEYS[4], 0, -1)
for i = #taken, 1, -1 do
  redis.call('LPUSH', KEYS[lanes[string.sub(taken[i], 1, 1)]], string.sub(taken[i], 2))
end
redis.call('DEL', KEYS[4])
return #taken
