-- The blocks of an app that stand, if they are asked for, and those that have ended since somebody last looked, which
-- are told once. KEYS: index; args: base (of the states' keys), list, batch
local function told(names)
  local found = {}
  for i = 1, #names, 2 do
    local st = load(args.base .. names[i])
    if st and st.o then found[#found + 1] = {names[i], st.s, names[i + 1], st.v, cmsgpack.pack(st.o)} end
  end
  return found
end

local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, args.batch)
for i = 1, #ended, 2 do redis.call('ZREM', KEYS[1], ended[i]) end
local standing = args.list and redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES') or {}
return {now, told(ended), told(standing), redis.call('ZCARD', KEYS[1])}
