-- Loaded before every script: time, documents and limits. The fields of a document are listed in store/document.py.
-- All times are milliseconds. The argument of every script is one MessagePack map; its `t` replaces the store's clock
-- in tests that run under virtual time, and is not there otherwise.
local args = cmsgpack.unpack(ARGV[1])
local JOURNAL_LIMIT = 8192

local function clock()
  if args.t then return args.t end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local now = clock()

local function load(key)
  local data = redis.call('GET', key)
  return data and cmsgpack.unpack(data)
end

local function note(doc, entries)
  if entries and #doc.j + #entries <= JOURNAL_LIMIT then doc.j = doc.j .. entries end
end

local function save(key, doc)
  redis.call('SET', key, cmsgpack.pack(doc), 'KEEPTTL')
end

-- The end of a verification: its secrets are erased, its timer disarmed, and what is left answers until the tombstone
-- is gone. That is never later than was promised at the start: what it is read with, and the lists by which it is erased,
-- are kept for so long, and a configuration may have made tombstones longer since.
local function finish(key, due, id, doc, status, tombstone)
  local left = math.max(1, math.min(tombstone, redis.call('PTTL', key)))
  doc.s, doc.e, doc.h, doc.v = status, now, nil, doc.v + 1
  redis.call('SET', key, cmsgpack.pack(doc), 'PX', left)
  redis.call('ZREM', due, id)
end

-- A counter is a string of times, oldest first, each in six bytes: a list of one time takes half as much memory again.
local TIME, WIDTH = '>I6', 6

-- The time of the event that is so many back, 1 for the newest; nil when there were not so many.
local function event(key, back)
  local packed = redis.call('GETRANGE', key, -WIDTH * back, -WIDTH * back + WIDTH - 1)
  return #packed == WIDTH and struct.unpack(TIME, packed) or nil
end

-- The event that would be number `amount` + 1 in a window is refused until the `amount`-th newest has left it: exact in
-- any window, and the wait that is told is honest.
local function wait_for(key, amount, window)
  if amount == 0 then return window end
  local oldest = event(key, amount)
  local wait = oldest and (oldest + window - now) or 0
  return wait > 0 and wait or 0
end

-- Waits that grow: `waits` are those after the first, second, ... event in the window, the last one for all after. An
-- event that leaves the window shortens the wait, so this looks for the earliest moment at which as many are in the
-- window as allow the next one: what is told is what passes. policies/waits.py says the same in Python.
local function grown(key, waits, window)
  local packed, times = redis.call('GETRANGE', key, -WIDTH * #waits, -1), {}
  for at = #packed - WIDTH + 1, 1, -WIDTH do times[#times + 1] = struct.unpack(TIME, packed, at) end
  if #times == 0 then return 0 end
  local earliest = times[1] + window
  for i = 1, #times do
    local alone = times[i + 1] and times[i + 1] + window or 0
    earliest = math.min(earliest, math.max(alone, times[1] + waits[i]))
  end
  return math.max(0, earliest - now)
end

-- The delays after wrong codes, as `growing` in policies/waits.py makes them: none after the free ones, then the first,
-- each time doubled up to the most.
local function doubled(free, first, most)
  local waits = {}
  for i = 1, free do waits[i] = 0 end
  waits[free + 1] = first
  while waits[#waits] < most do waits[#waits + 1] = math.min(2 * waits[#waits], most) end
  return waits
end

-- How long the next check of a destination's codes waits: until a guess has left the budget, or a delay is over.
local function guess_wait(key, doc)
  return math.max(wait_for(key, doc.y, doc.z), doc.D and grown(key, doubled(unpack(doc.D)), doc.z) or 0)
end

-- One event more. What is too old by its number is cut off only when there is as much of it again.
local function add(key, kept, most, window)
  local length = redis.call('APPEND', key, struct.pack(TIME, now))
  if length > (kept + most) * WIDTH then redis.call('SET', key, redis.call('GETRANGE', key, -kept * WIDTH, -1)) end
  redis.call('PEXPIRE', key, window)
end

local function count(key, most, window) add(key, most, most, window) end

-- The same where what was counted may be taken back: it must not have pushed out what still counts then. So what is in
-- the window stays, as far as a thousand that are under way at once may have pushed it.
local UNDER_WAY = 1000

local function count_for_now(key, most, window)
  local beyond = event(key, most)
  add(key, (beyond and beyond + window > now) and most + UNDER_WAY or most, most, window)
end

-- Take back one event of this time, the newest if there are several.
local function take_back(key, at)
  local packed, wanted = redis.call('GET', key) or '', struct.pack(TIME, at)
  for i = #packed - WIDTH + 1, 1, -WIDTH do
    if string.sub(packed, i, i + WIDTH - 1) == wanted then
      local left = string.sub(packed, 1, i - 1) .. string.sub(packed, i + WIDTH)
      if left == '' then redis.call('DEL', key) else redis.call('SET', key, left, 'KEEPTTL') end
      return
    end
  end
end

local function refusal(key, rule)
  if #rule[4] > 0 then return grown(key, rule[4], rule[2]) end
  return wait_for(key, rule[1], rule[2])
end

-- All counters or none. Each group is {most, longest window, {{amount, window, shadow, waits that grow}, ...}}.
-- Gives back the group and limit that refuse longest with the wait, or nil; those that only would have; and the longest
-- that the next event now waits for by waits that grow, or nil when there are none of them. `only_look` counts nothing.
local function reserve(groups, keys, only_look)
  local group, limit, longest, shadows = nil, nil, 0, {}
  for g, counter in ipairs(groups) do
    for r, rule in ipairs(counter[3]) do
      local wait = refusal(keys[g], rule)
      if wait > 0 and rule[3] == 1 then
        shadows[#shadows + 1] = g - 1
        shadows[#shadows + 1] = r - 1
      elseif wait > longest then
        group, limit, longest = g - 1, r - 1, wait
      end
    end
  end
  if group or only_look then return group, limit, longest, shadows end
  local again, tally = nil, args.apart and count_for_now or count
  for g, counter in ipairs(groups) do
    tally(keys[g], counter[1], counter[2])
    for _, rule in ipairs(counter[3]) do
      if #rule[4] > 0 then again = math.max(again or 0, refusal(keys[g], rule)) end
    end
  end
  return nil, nil, 0, shadows, again
end

-- A purse is a hash: s, the millionths spent in its period; n and f, set once it was told that it is nearly used up
-- and that it refused. `spend` is {amount to reserve, change to what was reserved before}, and each purse's cap is
-- {amount, when the purse ends}. Where the purse lies in another slot than the verification, `spend` has {amount to take
-- now, the field to note it in until the verification has it, for how long it can be looked up there} as well. The first
-- purse that can't take it, or nil.
local function overdrawn(spend, caps, keys)
  if not spend or spend[1] == 0 then return nil end
  for i, cap in ipairs(caps) do
    local spent = tonumber(redis.call('HGET', keys[i], 's') or 0)
    if spent + spend[1] + spend[2] > cap[1] then return i end
  end
end

local function keep_purse(key, cap) redis.call('PEXPIRE', key, math.max(1, cap[2] - now)) end

-- The answer when one can't: which, and whether it is the first time.
local function capped(i, keys, cap)
  local first = redis.call('HSETNX', keys[i], 'f', 1)
  keep_purse(keys[i], cap)
  return {'capped', now, i - 1, first}
end

-- Take it from all purses; there is nothing to give back to one that is gone. Gives back what each
-- now holds, and those that have come to 80% of their cap for the first time.
local function pay(spend, caps, keys)
  local spent, near = {}, {}
  for i, cap in ipairs(spend and caps or {}) do
    spent[i] = 0
    if spend[1] > 0 or spend[2] > 0 or redis.call('EXISTS', keys[i]) == 1 then
      local noted = spend[3]
      spent[i] = redis.call('HINCRBY', keys[i], 's', noted and noted[1] or spend[1] + spend[2])
      if noted then redis.call('HSET', keys[i], noted[2], cmsgpack.pack({noted[1], now, now + noted[3]})) end
      keep_purse(keys[i], cap)
      local told = spent[i] * 100 < cap[1] * 80 or redis.call('HSETNX', keys[i], 'n', 1) == 0
      if not told then near[#near + 1] = i - 1 end
    end
  end
  return spent, near
end

-- A record is a hash: field -> {since, until (0: for ever), reason, word}. The fields of a record of opt-outs are
-- channels, and its entries have no word; those of a list are hashes of entries, and the word is deny or allow.
local function holds(packed)
  local entry = packed and cmsgpack.unpack(packed)
  return entry and (entry[2] == 0 or now < entry[2]) and entry
end

-- Which channels stand in their record.
local function suppressed(looks, keys)
  local standing = {}
  for i, channels in ipairs(looks) do
    local found = channels.entries and {} or redis.call('HMGET', keys[i], unpack(channels))
    for c, channel in ipairs(channels) do
      if holds(found[c]) then standing[#standing + 1] = channel end
    end
  end
  return standing
end

-- Whether there is a list that nobody was looked for in, since it was taken to be empty.
local function overlooked(looks, keys)
  for i, look in ipairs(looks) do
    if look.entries and #look.entries == 0 and redis.call('EXISTS', keys[i]) == 1 then return true end
  end
end

-- What each list says, by the first of its entries that stands; nil when all say what they are taken to say.
local function surprises(looks, keys)
  local words, other = {}, false
  for i, look in ipairs(looks) do
    if look.entries then
      local word, found = '', #look.entries > 0 and redis.call('HMGET', keys[i], unpack(look.entries)) or {}
      for _, packed in ipairs(found) do
        local entry = holds(packed)
        if entry then word = entry[4] break end
      end
      words[#words + 1] = word
      other = other or word ~= look.word
    end
  end
  return other and words
end

-- The record lives as long as the longest of its entries, which hold since now unless told otherwise. Gives back how
-- many are new.
local function suppress(key, channels, reason, life, word, since)
  local left, added = redis.call('PTTL', key), 0
  local entry = cmsgpack.pack({since or now, life > 0 and now + life or 0, reason, word})
  for _, channel in ipairs(channels) do added = added + redis.call('HSET', key, channel, entry) end
  if life == 0 then
    redis.call('PERSIST', key)
  elseif left == -2 or (left >= 0 and left < life) then
    redis.call('PEXPIRE', key, life)
  end
  return added
end

-- An app's failed checks: until when the action holds that was taken last, and for each twelfth of the window that
-- there is anything of {its number, failed, approved, under way}, oldest first. What is under way, as only checks in
-- another slot are, is among the failed; it begins to matter when it should long have come to its end.
local TWELFTHS = 12

local function held_until(key)
  local record = load(key)
  return record and record.held or 0
end

-- The record, this twelfth's number, and the rows that are in the window, the last of which is this twelfth's.
local function watched(key, budget)
  local record, twelfth, rows = load(key) or {held = 0, rows = {}}, math.floor(now / math.ceil(budget.window / TWELFTHS)), {}
  for _, row in ipairs(record.rows) do
    if row[1] > twelfth - TWELFTHS then rows[#rows + 1] = row end
  end
  if #rows == 0 or rows[#rows][1] < twelfth then rows[#rows + 1] = {twelfth, 0, 0} end
  return record, twelfth, rows
end

-- Count one check that was compared. Gives back {failed, all} of the window when the action begins with this one.
local function watch(key, budget, failed)
  local record, twelfth, rows = watched(key, budget)
  local last, which, failures, all = rows[#rows], failed and 2 or 3, 0, 0
  last[which] = last[which] + 1
  for _, row in ipairs(rows) do
    local lost = row[2] - (row[1] >= twelfth - 1 and row[4] or 0)
    failures, all = failures + lost, all + lost + row[3]
  end
  local much = failures >= budget.amount or (all >= budget.minimum and failures >= budget.ratio * all)
  local begins = failed and much and now >= record.held
  if begins then record.held = now + budget.window end
  redis.call('SET', key, cmsgpack.pack({held = record.held, rows = rows}), 'PX', 2 * budget.window)
  return begins and {failures, all} or nil
end

-- The keys that hold anything of one destination, newest first, so that it can be erased.
local LISTED = 1000

local function enlist(list, keys, life)
  redis.call('LPUSH', list, unpack(keys))
  redis.call('LTRIM', list, 0, LISTED - 1)
  if redis.call('PTTL', list) < life then redis.call('PEXPIRE', list, life) end
end

local function slice(list, first)
  local rest = {}
  for i = first, #list do rest[#rest + 1] = list[i] end
  return rest
end
