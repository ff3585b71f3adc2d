-- Keeps an event in the stream, for who asks later. Stands before each script that calls it.
local function keep(stream, most, tenant, job, event)
  local entry = { 'XADD', stream, 'MAXLEN', '~', most, '*', 't', tenant, 'j', job, 'e', event }
  local kept = redis.pcall(unpack(entry))
  if type(kept) == 'table' and kept.err and string.find(kept.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', stream)  -- another program's, where ours belongs
    redis.call(unpack(entry))
  end  -- where a user may not XADD (an ACL of an earlier release), the rest goes on
end

