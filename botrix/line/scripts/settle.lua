-- Ends a take: pushes back the jobs with work left, then drops the taken list. Safe to repeat.
-- KEYS: 1 high, 2 normal, 3 low, 4 taken, 5 rejected
-- ARGV: 1 SHA-1 of the taken entries joined by newlines, or '' for whatever is there; then triples
--       of where, to which lane (1-3), entry; where is 'tail', 'head' or 'rejected'
-- Answer: 'settled', or 'already' where the taken list is gone or is that of a later take.
local taken = redis.call('LRANGE', KEYS[4], 0, -1)
if #taken == 0 then return 'already' end
if ARGV[1] ~= '' and redis.sha1hex(table.concat(taken, '\n')) ~= ARGV[1] then return 'already' end

-- A key of the wrong type fails here, before anything is pushed: a script is not rolled back.
for _, list in ipairs({ 1, 2, 3, 5 }) do redis.call('LLEN', KEYS[list]) end
for i = 2, #ARGV, 3 do
  local where, lane, entry = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  if where == 'tail' then
    redis.call('RPUSH', KEYS[lane], entry)
  elseif where == 'rejected' then
    redis.call('RPUSH', KEYS[5], entry)
    redis.call('LTRIM', KEYS[5], -1000, -1)
  end
end
for i = #ARGV - 2, 2, -3 do  -- from behind, so that the heads keep their order
  if ARGV[i] == 'head' then redis.call('LPUSH', KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2]) end
end
redis.call('DEL', KEYS[4])
return 'settled'
