-- Try a code: claim the attempt, compare, and on success consume and disarm. The only script that approves or locks.
-- KEYS: verification, timers, the idempotency record if there is one, the app's failed checks if they are watched
-- args: digests {key id: digest}, length, letters, and if the caller named them: context, phone, email, idem {f, ttl};
--       held (for how long the app's checks are blocked, where that was asked in another slot); and packed by itself, as
--       `same`, what all checks of an app have in common: app, tombstone, watch {window, amount, minimum, ratio, block}
--       (of the app's failed checks)
-- Answers {verdict, now, checks left, when to try again, what its end is told by if this ended it, {failed, all} of the app's
-- checks if its action begins, 1 if it is the answer of an earlier check}.
local same = cmsgpack.unpack(args.same)
local base = string.sub(KEYS[2], 1, -#'due' - 1)  -- how all keys of this slot begin
local id = string.sub(KEYS[1], #base + #'v:' + 1)

local failed_checks = KEYS[args.idem and 4 or 3]

local record = args.idem and redis.call('GET', KEYS[3])
if record then
  record = cmsgpack.unpack(record)
  if record.f ~= args.idem.f then return {'mismatch', now} end
  return {record.verdict, now, record.left, record.retry, {}, {}, 1}
end

local doc = load(KEYS[1])
if not doc or doc.a ~= same.app then return {'missing', now} end

local begins
local function answer(verdict, left, retry, ended)
  if args.idem then
    local kept = {f = args.idem.f, verdict = verdict, left = left, retry = retry}
    redis.call('SET', KEYS[3], cmsgpack.pack(kept), 'PX', args.idem.ttl)
  end
  return {verdict, now, left, retry, ended or {}, begins or {}, 0}
end

local ENDS = {a = 'spent', l = 'locked', x = 'expired', c = 'canceled'}
if doc.s ~= 'p' then return answer(ENDS[doc.s], 0, 0) end

local function over(status)
  finish(KEYS[1], KEYS[2], id, doc, status, same.tombstone)
  return {doc.c, doc.E, doc.t, doc.W or {}, doc.S or 0}
end

local function journal(name)
  note(doc, cmsgpack.pack({now - doc.c, name}))
end

if now >= doc.x then
  journal('expired')
  return answer('expired', 0, 0, over('x'))
end
-- What can't be this verification's code for its form costs nothing.
if args.length ~= doc.l or (args.letters == 1 and doc.w ~= 1) then return {'malformed', now, doc.l, doc.w} end

-- Not this destination's guesses but the whole app's: few at each of many destinations.
local held = args.held or (same.watch and same.watch.block == 1 and held_until(failed_checks) - now) or 0
if held > 0 then return {'blocked', now, held} end

-- The failed guesses belong to the destination: a new code does not give new guesses.
local guesses = base .. 'g:' .. doc.g
local wait = guess_wait(guesses, doc)
if wait > 0 then return {'locked', now, doc.m - doc.n, now + wait, {}, {}, 0} end

doc.n = doc.n + 1
local bound = doc.q == args.context
  and (not args.phone or (doc.P == 1 and args.phone == doc.p))
  and (not args.email or (doc.R == 1 and args.email == doc.r))
if bound and args.digests[doc.k] == doc.d then
  redis.call('DEL', guesses)
  if same.watch then watch(failed_checks, same.watch, false) end
  journal('approved')
  return answer('approved', 0, 0, over('a'))
end

count(guesses, doc.o or doc.y, doc.u or doc.z)
if same.watch then begins = watch(failed_checks, same.watch, true) end
journal('wrong')
if doc.n >= doc.m then
  journal('locked')
  return answer('locked', 0, 0, over('l'))
end
save(KEYS[1], doc)
wait = guess_wait(guesses, doc)
return answer('wrong', doc.m - doc.n, wait > 0 and now + wait or 0)
