-- Write entries into each of the given records at once, or take them out. KEYS: records of one slot.
-- args: channels (the fields), reason, life (0: for ever), lift, word (of a list's entry), most (entries of a record)
local function full(key)
  if not args.most or redis.call('HLEN', key) < args.most then return false end
  if redis.call('HEXISTS', key, args.channels[1]) == 1 then return false end
  local rows, ended = redis.call('HGETALL', key), 0
  for i = 1, #rows, 2 do
    if not holds(rows[i + 1]) then ended = ended + redis.call('HDEL', key, rows[i]) end
  end
  return ended == 0
end

local changed = 0
for _, key in ipairs(KEYS) do
  if args.lift then
    changed = changed + redis.call('HDEL', key, unpack(args.channels))
  elseif full(key) then
    return {now, -1}
  else
    changed = changed + suppress(key, args.channels, args.reason, args.life, args.word)
  end
end
return {now, changed}
