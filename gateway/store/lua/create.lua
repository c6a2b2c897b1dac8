-- Start a verification: replay, or check every limit, reserve them all, write it and arm its first timer.
-- KEYS and further args: see starting.lua
-- args: id, doc (fields of a document, but for those in `same`), terms {name, content}, life (of the code), keep (of the
--       key), lease, idem {f, ttl, busy}; and where other slots were asked before: known (what the lists of what is known
--       take in), again (how long the next start waits for what was reserved there), token (by which purses note it
--       there), before (when it is too late)
local record = args.idem and redis.call('GET', KEYS[4])
if record then
  record = cmsgpack.unpack(record)
  if record.f ~= args.idem.f then return {'mismatch', now} end
  if record.busy and now < record.busy and not record.answer then return {'running', now} end
  return {'replayed', now, record.id, record.answer or ''}
end
if args.before and now > args.before then return {'late', now} end

for field, value in pairs(args.fields) do args.doc[field] = value end
local refused, held, looked, shadows, again, purses = take()
if refused then return refused end

local doc = args.doc
doc.v, doc.s, doc.n, doc.c, doc.x = 1, 'p', 0, now, now + args.life
doc.A = now + math.max(again or 0, args.again or 0)
doc.T = args.token
redis.call('SET', KEYS[1], cmsgpack.pack(doc), 'PX', args.keep)
redis.call('ZADD', KEYS[2], now + args.lease, args.id)
-- One copy in each shard, written by the step that needs it, so that no failover can keep a verification without it. It
-- outlives the verification by far, which is gone after `keep`, and is written anew once in that time.
local terms = string.sub(KEYS[2], 1, -4) .. 't:' .. args.terms[1]
if redis.call('PTTL', terms) < 2 * args.keep then redis.call('SET', terms, args.terms[2], 'PX', 3 * args.keep) end
if args.idem then
  local busy = args.idem.busy > 0 and now + args.idem.busy or nil
  redis.call('SET', KEYS[4], cmsgpack.pack({f = args.idem.f, id = args.id, busy = busy}), 'PX', args.idem.ttl)
end
for i = 6, 7 do
  if KEYS[i] ~= KEYS[2] then enlist(KEYS[i], args.known or {KEYS[1], args.idem and KEYS[4] or nil}, args.keep) end
end
return {'created', now, shadows, doc.A, held, looked.standing, looked.news, pay(args.spend, args.caps, purses)}
