-- Give back what was reserved here for a step that did not come about. Nothing is given back but that very reservation,
-- so that no window ever holds more than it may.
-- KEYS: counters, purses, states of watches; args: counters, purses, watches (how many of each), at (when it was
-- reserved), field (in which the purses note it), near (the purses that came to 80% by it, which was told nobody), items, priors (of the watches: what was counted, and when the same was
-- before: -1 for never, -2 where it was not counted at all)
for i = 1, args.counters do take_back(KEYS[i], args.at) end

for i = args.counters + 1, args.counters + args.purses do
  local noted = redis.call('HGET', KEYS[i], args.field)
  if noted then
    redis.call('HDEL', KEYS[i], args.field)
    redis.call('HINCRBY', KEYS[i], 's', -cmsgpack.unpack(noted)[1])
  end
end

for _, purse in ipairs(args.near) do redis.call('HDEL', KEYS[args.counters + purse + 1], 'n') end

local function restore(st, item, prior)
  for i = 1, #st.e, 2 do
    if st.e[i] == item and st.e[i + 1] == args.at then
      if prior >= 0 then
        st.e[i + 1] = prior
      else
        table.remove(st.e, i)
        table.remove(st.e, i)
      end
      return
    end
  end
end

for i, item in ipairs(args.items) do
  local key = KEYS[args.counters + args.purses + i]
  local st = args.priors[i] > -2 and load(key)
  if st then
    if item == '' then recount(st, args.at, -1, 0) else restore(st, item, args.priors[i]) end
    save(key, st)
  end
end
return {now}
