-- Write entries into a record, or take them out. KEYS: the record.
-- args: channels (the fields), reason, life (0: for ever), lift, word (of a list's entry), most (entries of a record)
local key = KEYS[1]

local function full()
  if not args.most or redis.call('HLEN', key) < args.most then return false end
  if redis.call('HEXISTS', key, args.channels[1]) == 1 then return false end
  local rows, ended = redis.call('HGETALL', key), 0
  for i = 1, #rows, 2 do
    if not holds(rows[i + 1]) then ended = ended + redis.call('HDEL', key, rows[i]) end
  end
  return ended == 0
end

if args.lift then return {now, redis.call('HDEL', key, unpack(args.channels))} end
if full() then return {now, -1} end
return {now, suppress(key, args.channels, args.reason, args.life, args.word)}
