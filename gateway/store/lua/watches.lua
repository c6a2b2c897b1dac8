-- Loaded after the prelude where abuse is watched: policies/watches.py says the same in Python, and why.
-- A watch is {o: about (rule, per, subject as shown), m: mode (0 monitor .. 3 enforce), i: item, n: minimum, w: window,
-- r: ripe (0: items are counted), p: patience, f: floor, d: drop, near, e: each, b: first, g: growth, l: longest,
-- k: kept}.
-- The state of a subject is {b: buckets {start, sends, approved, ...}, hs and ha: what is usual, e: items {item, at, ...},
-- u: end of the last block, h: whether that is only a hold, s: its start, v: level, o: about}. The key of the index of blocks comes first.
local PARTS, REMEMBERED, FEWEST, MOST_LEVEL, MOST_ITEMS, MOST_BLOCKS = 12, 1000, 5, 20, 200, 10000

local function fine(w) return math.max(1, math.floor(w.r / PARTS)) end
local function older(w, start, age) return start + fine(w) + age <= now end

local function level_of(w, st) return now >= st.u + w.l and 0 or st.v end

local function tidy(w, st)
  local coarse, kept, sends, approved = math.max(1, math.floor(w.w / PARTS)), {}, st.hs, st.ha
  for i = 1, #st.b, 3 do
    local start, last = st.b[i], #kept - 2
    if start + w.w <= now then
      sends, approved = sends + st.b[i + 1], approved + st.b[i + 2]
    elseif last > 0 and math.floor(kept[last] / coarse) == math.floor(start / coarse) and older(w, start, w.r) then
      kept[last + 1], kept[last + 2] = kept[last + 1] + st.b[i + 1], kept[last + 2] + st.b[i + 2]
    else
      kept[#kept + 1], kept[#kept + 2], kept[#kept + 3] = start, st.b[i + 1], st.b[i + 2]
    end
  end
  while sends > REMEMBERED do sends, approved = math.floor(sends / 2), math.floor(approved / 2) end
  st.b, st.hs, st.ha = kept, sends, approved
end

-- A verdict is FINE, HELD (until its messages are ripe) or GUILTY.
local FINE, HELD, GUILTY = 0, 1, 2

local function converts_too_little(w, st, needed)
  local sends, approved, ripe, young = 0, 0, 0, 0
  for i = 1, #st.b, 3 do
    sends, approved = sends + st.b[i + 1], approved + st.b[i + 2]
    ripe = ripe + (older(w, st.b[i], w.r) and st.b[i + 1] or st.b[i + 2])
    young = young + (older(w, st.b[i], w.p) and st.b[i + 1] or st.b[i + 2])
  end
  local earned = st.hs >= w.n and st.ha >= w.f * st.hs
  local bar = earned and w.d * st.ha / st.hs or w.f
  if ripe >= needed and approved < bar * ripe then return GUILTY end
  local silent = approved == 0 and st.ha == 0 and sends >= needed and now - st.b[1] >= w.p
  return (silent or (young >= needed and approved < bar * young)) and HELD or FINE
end

local function crowd(entries, near)
  local places, number = {}, #entries / 2
  if near == 0 then return number end
  for i = 1, #entries, 2 do places[#places + 1] = entries[i] end
  table.sort(places)
  local function close(i)
    local gap = (places[i % number + 1] - places[i]) % 10000
    return gap > 0 and gap <= near
  end
  local score = number
  for i = 1, number do
    if close(i) or close((i - 2) % number + 1) then score = score + 1 end
  end
  return score
end

local function without(entries, drops)
  local kept = {}
  for i = 1, #entries, 2 do
    if not drops(entries[i], entries[i + 1]) then kept[#kept + 1], kept[#kept + 2] = entries[i], entries[i + 1] end
  end
  return kept
end

local function suspicious(w, st)
  local needed = math.max(math.min(w.n, FEWEST), math.floor(w.n / 2 ^ level_of(w, st)))
  if w.r > 0 then
    tidy(w, st)
    return converts_too_little(w, st, needed)
  end
  st.e = without(st.e, function(_, at) return at <= now - w.w end)
  local old = w.p > 0 and without(st.e, function(_, at) return at + w.p > now end) or st.e
  return crowd(old, w.near) >= needed and GUILTY or FINE
end

local function keep(key, w, st)
  local life = w.k
  if st.u > 0 then life = math.max(life, st.u + w.l - now) end
  redis.call('SET', key, cmsgpack.pack(st), 'PX', life)
end

-- What led to a block is forgotten, so that its end is a new beginning; nothing is of what is only held. Too many blocks: the one that ends first is no
-- longer listed, and holds all the same. Gives back the index of the watch, the level and the end.
local function block(index, key, w, st, verdict)
  local level = level_of(w, st)
  st.s, st.o, st.h = now, w.o, verdict == HELD
  if verdict == HELD then
    st.u, st.v = st.b[#st.b - 2] + fine(w) + math.max(w.r, w.p), level
  else
    st.u, st.v = now + math.min(w.l, w.b * w.g ^ level), math.min(level + 1, MOST_LEVEL)
    st.b, st.e = {}, {}
  end
  keep(key, w, st)
  redis.call('ZADD', index, st.u, string.match(key, '[^:]+$')) -- its name ends the key
  if redis.call('ZCARD', index) > MOST_BLOCKS then redis.call('ZPOPMIN', index) end
  if redis.call('PTTL', index) < st.u + w.l - now then redis.call('PEXPIRE', index, st.u + w.l - now) end
end

-- Gives back when the same item was counted before, if it was; -2 when this is not counted.
local function count(w, st)
  local newest = #st.b - 2
  local prior
  if w.r == 0 then
    if not w.e then
      st.e = without(st.e, function(item, at)
        if item == w.i then prior = at end
        return item == w.i
      end)
    end
    if #st.e < 2 * MOST_ITEMS then st.e[#st.e + 1], st.e[#st.e + 2] = w.i, now else prior = -2 end
  elseif newest > 0 and now - st.b[newest] < fine(w) then
    st.b[newest + 1] = st.b[newest + 1] + 1
  else
    st.b[#st.b + 1], st.b[#st.b + 2], st.b[#st.b + 3] = now, 1, 0
  end
  return prior
end

-- Of what was counted at that time: so many more messages went out (negative: fewer), and so many had their code typed.
local function recount(st, at, sent, typed)
  for i = #st.b - 2, 1, -3 do
    if st.b[i] <= at then
      st.b[i + 1] = math.max(st.b[i + 1] + sent, st.b[i + 2])
      st.b[i + 2] = math.min(st.b[i + 2] + typed, st.b[i + 1])
      if st.b[i + 1] == 0 then -- what was counted and taken back leaves no trace: holds are reckoned from the newest
        for _ = 1, 3 do table.remove(st.b, i) end
      end
      return
    end
  end
end

local function fresh() return {b = {}, hs = 0, ha = 0, e = {}, u = 0, v = 0} end

-- Look before anything is reserved. `by` is the watch that treats the start most harshly, nil when it may go on as it
-- is; then what has fired is blocked at once. `count_all` goes on from here once nothing else has refused.
local function look(watches, keys)
  local looked, harshest = {states = {}, fired = {}, standing = {}, news = {}, priors = {}}, 0
  for i, w in ipairs(watches) do
    local st = load(keys[i + 1]) or fresh()
    looked.states[i] = st
    local stands = now < st.u
    if stands then looked.standing[#looked.standing + 1] = i - 1 end
    looked.fired[i] = stands and FINE or suspicious(w, st)
    if (stands or looked.fired[i] > FINE) and w.m > harshest then looked.by, harshest = i - 1, w.m end
  end
  return looked
end

local function block_fired(looked, watches, keys)
  for i, w in ipairs(watches) do
    local st = looked.states[i]
    if looked.fired[i] > FINE then
      block(keys[1], keys[i + 1], w, st, looked.fired[i])
      for _, fact in ipairs({i - 1, looked.fired[i] == HELD and 0 or st.v, st.u}) do looked.news[#looked.news + 1] = fact end
    end
  end
end

local function count_all(looked, watches, keys)
  block_fired(looked, watches, keys)
  for i, w in ipairs(watches) do
    local st = looked.states[i]
    if now >= st.u then
      looked.priors[i] = count(w, st) or -1
      keep(keys[i + 1], w, st)
    end
  end
end
