-- Returns the taken list of a session that is gone to the heads of its lanes, in order.
-- KEYS: 1 high, 2 normal, 3 low, 4 taken
-- Answer: how many entries went back.
local lanes = { h = 1, n = 2, l = 3 }
local taken = redis.call('LRANGE', KEYS[4], 0, -1)
for lane = 1, 3 do redis.call('LLEN', KEYS[lane]) end  -- a wrong type fails before the first push
for i = #taken, 1, -1 do
  local lane = lanes[string.sub(taken[i], 1, 1)] or 2  -- a foreign one goes where it is rejected
  redis.call('LPUSH', KEYS[lane], string.sub(taken[i], 2))
end
redis.call('DEL', KEYS[4])
return #taken
