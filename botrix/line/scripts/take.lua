-- Takes entries for one pump. Safe to repeat: what was taken and not settled is returned again.
-- KEYS: 1 high, 2 normal, 3 low, 4 taken, 5 turn, 6 rejected
-- ARGV: 1 how many at most, 2 longest entry in bytes, 3 seconds since 1970
-- Answer: list of entries, each after one letter for its lane: h, n or l.
local taken = redis.call('LRANGE', KEYS[4], 0, -1)
if #taken > 0 then return taken end

-- A key of the wrong type fails here, before anything is popped: a script is not rolled back.
for _, list in ipairs({ 1, 2, 3, 6 }) do redis.call('LLEN', KEYS[list]) end
local letters = { 'h', 'n', 'l' }
local order = { 1, 2, 3 }
local turn = (tonumber(redis.call('GET', KEYS[5]) or '0') or 0) + 1
if turn % 16 == 0 then order = { 3, 1, 2 } end
if turn % 16 == 8 then order = { 2, 1, 3 } end

local wanted, longest = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer, popped = {}, 0
for _, lane in ipairs(order) do
  if popped < wanted then
    for _, entry in ipairs(redis.call('LPOP', KEYS[lane], wanted - popped) or {}) do
      popped = popped + 1
      if #entry > longest then
        redis.call('RPUSH', KEYS[6], cjson.encode({
          reason = 'longer than ' .. longest .. ' bytes', at = tonumber(ARGV[3]), bytes = #entry }))
        redis.call('LTRIM', KEYS[6], -1000, -1)
      else
        answer[#answer + 1] = letters[lane] .. entry
      end
    end
  end
end
if popped > 0 then redis.call('SET', KEYS[5], turn % 4096) end
for first = 1, #answer, 1000 do
  redis.call('RPUSH', KEYS[4], unpack(answer, first, math.min(first + 999, #answer)))
end
return answer
