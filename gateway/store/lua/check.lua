-- Try a code: claim the attempt, compare, and on success consume and disarm. The only script that approves or locks.
-- KEYS: verification, timers, idempotency record (or '')
-- args: id, app, base (of the keys in this slot), digests {key id: digest}, length, letters, context, phone, email,
--       tombstone, idem {f, ttl}
local record = args.idem and redis.call('GET', KEYS[3])
if record then
  record = cmsgpack.unpack(record)
  if record.f ~= args.idem.f then return {'mismatch', now} end
  return {record.verdict, now, record.left, record.retry}
end

local doc = load(KEYS[1])
if not doc or doc.a ~= args.app then return {'missing', now} end

local function answer(verdict, left, retry, ended)
  if args.idem then
    local kept = {f = args.idem.f, verdict = verdict, left = left, retry = retry}
    redis.call('SET', KEYS[3], cmsgpack.pack(kept), 'PX', args.idem.ttl)
  end
  return {verdict, now, left, retry, ended and cmsgpack.pack(doc) or ''}
end

local ENDS = {a = 'spent', l = 'locked', x = 'expired', c = 'canceled'}
if doc.s ~= 'p' then return answer(ENDS[doc.s], 0, 0) end

local function journal(name)
  note(doc, cmsgpack.pack({now - doc.c, name}))
end

if now >= doc.x then
  journal('expired')
  finish(KEYS[1], KEYS[2], args.id, doc, 'x', args.tombstone)
  return answer('expired', 0, 0, true)
end
-- What can't be this verification's code for its form costs nothing.
if args.length ~= doc.l or (args.letters == 1 and doc.w ~= 1) then return {'malformed', now, doc.l, doc.w} end

-- The failed guesses belong to the destination: a new code does not give new guesses.
local guesses = args.base .. 'g:' .. doc.g
local wait = guess_wait(guesses, doc)
if wait > 0 then return {'locked', now, doc.m - doc.n, now + wait} end

doc.n = doc.n + 1
local bound = (doc.q or '') == args.context
  and (args.phone == '' or (doc.P == 1 and args.phone == doc.p))
  and (args.email == '' or (doc.R == 1 and args.email == doc.r))
if bound and args.digests[doc.k] == doc.d then
  redis.call('DEL', guesses)
  journal('approved')
  finish(KEYS[1], KEYS[2], args.id, doc, 'a', args.tombstone)
  return answer('approved', 0, 0, true)
end

count(guesses, doc.o or doc.y, doc.u or doc.z)
journal('wrong')
if doc.n >= doc.m then
  journal('locked')
  finish(KEYS[1], KEYS[2], args.id, doc, 'l', args.tombstone)
  return answer('locked', 0, 0, true)
end
save(KEYS[1], doc)
wait = guess_wait(guesses, doc)
return answer('wrong', doc.m - doc.n, wait > 0 and now + wait or 0)
