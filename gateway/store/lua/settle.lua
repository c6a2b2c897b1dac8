-- The verification has what was reserved here for it: note it no longer, and settle what is to be given back. Or one of
-- the purses has refused the step, and is told so.
-- KEYS: purses; args: field (in which they noted it), spend (see the prelude; with a change alone), caps; refused (the cap of the purse
-- that has refused, or none)
-- Answers {now, what each purse holds, those that have come to 80%}, or what capped does.
if args.refused then return capped(1, KEYS, args.refused) end
for _, purse in ipairs(KEYS) do redis.call('HDEL', purse, args.field) end
return {'settled', now, pay(args.spend, args.caps, KEYS)}
