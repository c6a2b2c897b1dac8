-- Record opt-outs, or lift them, in each of the given records at once. KEYS: records of one destination, by app.
-- args: channels, reason, life (0: for ever), lift
local changed = 0
for _, key in ipairs(KEYS) do
  if args.lift then
    changed = changed + redis.call('HDEL', key, unpack(args.channels))
  else
    changed = changed + suppress(key, args.channels, args.reason, args.life)
  end
end
return {now, changed}
