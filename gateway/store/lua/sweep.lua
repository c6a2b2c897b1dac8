-- Arm what is pending and has no timer, which no other step ever leaves behind: the store has lost it.
-- KEYS: for each verification its shard's timers and itself; args: lease. It comes due after a lease, since some process
-- may be at work on it.
local armed = {}
for i = 1, #KEYS, 2 do
  local due, key = KEYS[i], KEYS[i + 1]
  local id = string.sub(key, #due) -- the key is the timers' with v: and the id in place of due
  if not redis.call('ZSCORE', due, id) then
    local readable, doc = pcall(load, key)
    if readable and doc and doc.s == 'p' then
      redis.call('ZADD', due, now + args.lease, id)
      armed[#armed + 1] = id
    end
  end
end
return {now, armed}
