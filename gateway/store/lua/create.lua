-- Start a verification: replay, or check every limit, reserve them all, write it and arm its first timer.
-- KEYS: verification, timers, failed guesses, idempotency record, the app's failed checks, the lists of what is known of
-- one destination and of the other (where there is none of the last four, the timers stand in its place: a cluster and an
-- ACL judge every key that is named), one counter for each group, then the records of
-- opt-outs and of lists that `looks` are for, then one purse for each cap of `spend`; last,
-- if there are watches, the index of blocks and one state for each watch.
-- args: id, doc (fields of a document), life (of the code), keep (of the key), lease, groups, looks (for each record of
--       opt-outs the channels that may not stand in it, for each record of a list {entries = the most special first,
--       word = what it is taken to say}), spend (or none: the first message is free), watches,
--       names (of the watches' states), idem {f, ttl, busy}, block (1: while the app's checks are blocked)
local COUNTERS = 8
local record = args.idem and redis.call('GET', KEYS[4])
if record then
  record = cmsgpack.unpack(record)
  if record.f ~= args.idem.f then return {'mismatch', now} end
  if record.busy and now < record.busy and not record.answer then return {'running', now} end
  return {'replayed', now, record.id, record.answer or ''}
end

local held = KEYS[5] ~= KEYS[2] and held_until(KEYS[5]) or 0
if args.block == 1 and held > now then return {'blocked', now, held - now} end

local doc = args.doc
local wait = guess_wait(KEYS[3], doc)
if wait > 0 then return {'guessed', now, wait} end

local words = surprises(args.looks, slice(KEYS, COUNTERS + #args.groups))
if words then return {'listed', now, words} end

local standing = suppressed(args.looks, slice(KEYS, COUNTERS + #args.groups))
if #standing > 0 then return {'suppressed', now, standing} end

-- Looked at before anything is reserved and counted after: a start that is refused was no message.
local states = slice(KEYS, #KEYS - #args.watches)
local looked = look(args.watches, states)
if looked.by then
  block_fired(looked, args.watches, args.names, states)
  return {'suspected', now, looked.by, looked.news}
end

local purses = slice(KEYS, COUNTERS + #args.groups + #args.looks)
local empty = overdrawn(args.spend, purses)
if empty then return capped(empty, purses, args.spend[3][empty]) end

local group, limit, longest, shadows, again = reserve(args.groups, slice(KEYS, COUNTERS))
if group then return {'limited', now, group, limit, longest, shadows} end
count_all(looked, args.watches, args.names, states)

doc.v, doc.s, doc.n, doc.c, doc.x = 1, 'p', 0, now, now + args.life
doc.A = now + (again or 0)
doc.F = doc.A
redis.call('SET', KEYS[1], cmsgpack.pack(doc), 'PX', args.keep)
redis.call('ZADD', KEYS[2], now + args.lease, args.id)
if args.idem then
  local busy = args.idem.busy > 0 and now + args.idem.busy or nil
  redis.call('SET', KEYS[4], cmsgpack.pack({f = args.idem.f, id = args.id, busy = busy}), 'PX', args.idem.ttl)
end
for i = 6, 7 do
  if KEYS[i] ~= KEYS[2] then enlist(KEYS[i], {KEYS[1], args.idem and KEYS[4] or nil}, args.keep) end
end
return {'created', now, shadows, doc.A, held, looked.standing, looked.news, pay(args.spend, purses)}
