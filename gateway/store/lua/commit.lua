-- Every other change: compare the version, reserve, set the given fields, and re-arm or disarm the timer.
-- KEYS: verification, timers, one counter for each group, then the records of opt-outs that `looks` and `marks` are for,
-- then one purse for each of `caps`
-- args: id, v, set (fields), due (or 0), journal, groups, tombstone, looks (for each record the channels to look for),
--       marks (for each record the channels that its person has opted out of, the reason and the life), spend (or none), caps;
--       and where keys lie in several slots: apart (1), token (by which purses note it there), again (how long the next
--       start waits for what was reserved there), before (when it is too late), look (nothing is to be changed, since
--       another slot has refused)
local doc = load(KEYS[1])
if not doc then
  redis.call('ZREM', KEYS[2], args.id)
  return {'missing', now}
end
if doc.v ~= args.v then return {'conflict', now, cmsgpack.pack(doc)} end

if args.before and now > args.before then return {'late', now} end

local purses = slice(KEYS, 3 + #args.groups + #args.looks + #args.marks)
local empty = overdrawn(args.spend, args.caps, purses)
if empty then
  if args.apart then return {'capped', now, empty - 1, 0} end
  return capped(empty, purses, args.caps[empty])
end

local shadows, again = {}, nil
if #args.groups > 0 then
  local group, limit, longest, noted, waits = reserve(args.groups, slice(KEYS, 3), args.look)
  if group then return {'limited', now, group, limit, longest, noted} end
  shadows, again = noted, waits
end
if args.look then return {'clear', now, shadows} end

local status = args.set.s
args.set.s = nil
for field, value in pairs(args.set) do doc[field] = value end
if again or args.again then
  doc.F = doc.F or doc.A
  doc.A = now + math.max(again or 0, args.again or 0)
end
if args.token then doc.T = (doc.T or '') .. args.token end
note(doc, args.journal)
if status then
  finish(KEYS[1], KEYS[2], args.id, doc, status, args.tombstone)
else
  doc.v = doc.v + 1
  save(KEYS[1], doc)
  if doc.s == 'p' then redis.call('ZADD', KEYS[2], args.due, args.id) end
end

-- Looked at in the step that queues the message, so that no opt-out can come in between and be overlooked.
local records = slice(KEYS, 3 + #args.groups)
local standing = suppressed(args.looks, records)
for i, mark in ipairs(args.marks) do suppress(records[#args.looks + i], mark[1], mark[2], mark[3]) end
return {'committed', now, shadows, standing, doc.A, pay(args.spend, args.caps, purses)}
