-- Loaded before create and reserve: what a start asks of a slot, whether that has all of its keys or some of them.
-- KEYS: verification, timers, failed guesses, idempotency record, the app's failed checks, the lists of what is known of
-- one destination and of the other (where there is none of the last four, the timers stand in its place: a cluster and an
-- ACL judge every key that is named), one counter for each group, then the records of
-- opt-outs and of lists that `looks` are for, then one purse for each cap if there is anything to `spend`; last,
-- if there are watches, the index of blocks and one state for each watch.
-- args: doc (fields of a document; none in another slot than the verification's), looks (for each record of
--       opt-outs the channels that may not stand in it, for each record of a list {entries = the most special first,
--       none where the record is taken not to be there, word = what it is taken to say}), spend (or none: the first message is free), items and
--       shown (of each watch), apart (the keys lie in several slots), look (nothing is to be reserved), and `same`, packed
--       once for many starts: groups, caps, watches, fields (of a document), block (1: not while the app's checks are
--       blocked)
local COUNTERS = 8

for name, value in pairs(cmsgpack.unpack(args.same)) do args[name] = value end
for i, w in ipairs(args.watches) do w.i, w.o[3] = args.items[i], args.shown[i] end

-- A refusal says when a start passes: so none says less than the limits would.
local function no_less(wait)
  local _, _, longest = reserve(args.groups, slice(KEYS, COUNTERS), true)
  return math.max(wait, longest)
end

-- Look at everything before anything is reserved, and then reserve all or none. Gives back the refusal, or nil and what
-- was found: a start that is refused was no message.
local function take()
  local held = KEYS[5] ~= KEYS[2] and held_until(KEYS[5]) or 0
  local wait = args.doc and guess_wait(KEYS[3], args.doc) or 0
  if args.block == 1 and held > now then return {'blocked', now, no_less(math.max(held - now, wait))} end
  if wait > 0 then return {'guessed', now, no_less(wait)} end

  local records = slice(KEYS, COUNTERS + #args.groups)
  if overlooked(args.looks, records) then return {'overlooked', now} end
  local words = surprises(args.looks, records)
  if words then return {'listed', now, words} end

  local standing = suppressed(args.looks, records)
  if #standing > 0 then return {'suppressed', now, standing} end

  local states = slice(KEYS, #KEYS - #args.watches)
  local looked = look(args.watches, states)
  if looked.by then
    block_fired(looked, args.watches, states)
    return {'suspected', now, looked.by, looked.news}
  end

  local purses = slice(KEYS, COUNTERS + #args.groups + #args.looks)
  local empty = overdrawn(args.spend, args.caps, purses)
  if empty then
    if args.apart then return {'capped', now, empty - 1, 0} end -- told once it is known that nothing else refuses first
    return capped(empty, purses, args.caps[empty])
  end

  local group, limit, longest, shadows, again = reserve(args.groups, slice(KEYS, COUNTERS), args.look)
  if group then return {'limited', now, group, limit, longest, shadows} end
  if args.look then return {'clear', now, shadows} end
  count_all(looked, args.watches, states)
  return nil, held, looked, shadows, again, purses
end
