-- Take what is due: each timer moves to the end of a new lease and its document gets a new version, so that whoever
-- held it before can no longer commit. Nothing is popped: a process that dies here loses nothing.
-- KEYS: timers of the shards to look at; args: lease, batch, since (what fell due before that is left)
local claimed, orphans, next_due, depth = {}, 0, 0, 0
for _, due in ipairs(KEYS) do
  local base = string.sub(due, 1, -4)
  local room = args.batch - #claimed / 3
  local found = room > 0 and redis.call('ZRANGEBYSCORE', due, args.since, now, 'WITHSCORES', 'LIMIT', 0, room) or {}
  for i = 1, #found, 2 do
    local id, key = found[i], base .. 'v:' .. found[i]
    local readable, doc = pcall(load, key)
    if not readable or doc and doc.s == 'p' then
      redis.call('ZADD', due, now + args.lease, id)
      if readable then
        doc.v = doc.v + 1
        save(key, doc)
      end
      claimed[#claimed + 1] = id
      claimed[#claimed + 1] = found[i + 1]
      claimed[#claimed + 1] = readable and cmsgpack.pack(doc) or ''
    else
      redis.call('ZREM', due, id)
      orphans = orphans + 1
    end
  end
  local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  if first[2] then
    local score = tonumber(first[2])
    if next_due == 0 or score < next_due then next_due = score end
    if score <= now then depth = depth + redis.call('ZCOUNT', due, '-inf', now) end
  end
end
return {now, next_due, depth, orphans, claimed}
