-- Take an Idempotency-Key for a start whose verification will lie in another slot, or let it go again. What is recorded
-- holds for its whole time only if the verification is there when the hold is over: whoever asks again then looks.
-- KEYS: record; args: id, idem {f, ttl, busy}, hold, instead (the verification that never came to be, of the record that
-- this one takes the place of), free (the start was refused)
local record = load(KEYS[1])
if args.free then
  if record and record.id == args.id then redis.call('DEL', KEYS[1]) end
  return {'free', now}
end
if record and record.id ~= args.instead then
  local over = now >= record.over and 1 or 0
  if record.f ~= args.idem.f then return {'mismatch', now, record.id, over, ''} end
  if record.busy and now < record.busy and not record.answer then return {'running', now, record.id, over, ''} end
  return {'replayed', now, record.id, over, record.answer or ''}
end
local busy = args.idem.busy > 0 and now + args.idem.busy or nil
local fresh = {f = args.idem.f, id = args.id, busy = busy, over = now + args.hold}
redis.call('SET', KEYS[1], cmsgpack.pack(fresh), 'PX', args.idem.ttl)
return {'taken', now}
