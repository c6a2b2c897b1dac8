-- A person wrote STOP or START to a provider: write the channel into each of the records, or take it out. Vendors deliver
-- late and again: nothing is done for a message that was heard before, nor against what was written after it.
-- KEYS: what was heard from that person, by that provider on that channel; then the records, all in one slot.
-- args: channel, reason, lives (one for each record, 0: for ever), lift, said (when it was written; none: now), id (or
--       none), most (ids that are kept), kept (how long what was heard is). Gives back {now, how many records changed}
local heard = load(KEYS[1]) or {said = 0, ids = {}}
for _, id in ipairs(heard.ids) do
  if id == args.id then return {now, 0} end
end
local said = math.min(args.said or now, now)
if said < heard.said or (args.lift and args.said and said == heard.said) then return {now, 0} end

heard.said, heard.ids[#heard.ids + 1] = said, args.id
if #heard.ids > args.most then table.remove(heard.ids, 1) end
redis.call('SET', KEYS[1], cmsgpack.pack(heard), 'PX', args.kept)

local changed = 0
for i, life in ipairs(args.lives) do
  local entry = holds(redis.call('HGET', KEYS[i + 1], args.channel))
  local since = entry and entry[1] or 0
  if not args.lift then
    suppress(KEYS[i + 1], {args.channel}, args.reason, life, nil, math.max(said, since))
    changed = changed + 1
  elseif entry and since <= said then
    changed = changed + redis.call('HDEL', KEYS[i + 1], args.channel)
  end
end
return {now, changed}
