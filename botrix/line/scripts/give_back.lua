-- Returns the taken lists of sessions that are gone to the heads of their lanes, in order.
-- KEYS: 1 high, 2 normal, 3 low, then any number of taken lists
-- Answer: how many entries went back.
local lanes = { h = 1, n = 2, l = 3 }
for lane = 1, 3 do redis.call('LLEN', KEYS[lane]) end  -- a wrong type fails before the first push
local back = 0
for list = 4, #KEYS do
  local taken = redis.pcall('LRANGE', KEYS[list], 0, -1)
  if taken.err then taken = {} end  -- what another program wrote there is no list of ours
  for i = #taken, 1, -1 do
    local lane = lanes[string.sub(taken[i], 1, 1)] or 2  -- a foreign one goes where it is rejected
    redis.call('LPUSH', KEYS[lane], string.sub(taken[i], 2))
  end
  if #taken > 0 then redis.call('DEL', KEYS[list]) end
  back = back + #taken
end
return back
