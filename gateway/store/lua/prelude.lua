-- Loaded before every script: time, documents and limits. The fields of a document are listed in store/document.py.
-- All times are milliseconds. The argument of every script is one MessagePack map; its `t` replaces the store's clock
-- in tests that run under virtual time, and is 0 otherwise.
local args = cmsgpack.unpack(ARGV[1])
local JOURNAL_LIMIT = 8192

local function clock()
  if args.t > 0 then return args.t end
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
-- is gone.
local function finish(key, due, id, doc, status, tombstone)
  doc.s, doc.e, doc.h, doc.v = status, now, nil, doc.v + 1
  redis.call('SET', key, cmsgpack.pack(doc), 'PX', tombstone)
  redis.call('ZREM', due, id)
end

-- A counter is a list of times, newest first. The event that would be number `amount` + 1 in a window is refused
-- until the `amount`-th newest has left it: exact in any window, and the wait that is told is honest.
local function wait_for(key, amount, window)
  if amount == 0 then return window end
  local oldest = redis.call('LINDEX', key, amount - 1)
  local wait = oldest and (oldest + window - now) or 0
  return wait > 0 and wait or 0
end

local function count(key, most, window)
  redis.call('LPUSH', key, now)
  redis.call('LTRIM', key, 0, most - 1)
  redis.call('PEXPIRE', key, window)
end

-- All counters or none. Each group is {key, most, longest window, {amount, window, shadow, amount, window, ...}}.
-- Gives back the group and limit that refuse longest with the wait, or nil; and those that only would have.
local function reserve(groups, keys)
  local group, limit, longest, shadows = nil, nil, 0, {}
  for g, counter in ipairs(groups) do
    local rules = counter[3]
    for r = 1, #rules, 3 do
      local wait = wait_for(keys[g], rules[r], rules[r + 1])
      if wait > 0 and rules[r + 2] == 1 then
        shadows[#shadows + 1] = g - 1
        shadows[#shadows + 1] = (r - 1) / 3
      elseif wait > longest then
        group, limit, longest = g - 1, (r - 1) / 3, wait
      end
    end
  end
  if group then return group, limit, longest, shadows end
  for g, counter in ipairs(groups) do count(keys[g], counter[1], counter[2]) end
  return nil, nil, 0, shadows
end

-- A record of opt-outs is a hash: channel -> {since, until (0: for ever), reason}. Which of these channels stand in it.
local function suppressed(channel_lists, keys)
  local standing = {}
  for i, channels in ipairs(channel_lists) do
    local found = redis.call('HMGET', keys[i], unpack(channels))
    for c, channel in ipairs(channels) do
      local entry = found[c] and cmsgpack.unpack(found[c])
      if entry and (entry[2] == 0 or now < entry[2]) then standing[#standing + 1] = channel end
    end
  end
  return standing
end

-- The record lives as long as the longest of its entries. Gives back how many are new.
local function suppress(key, channels, reason, life)
  local left, added = redis.call('PTTL', key), 0
  local entry = cmsgpack.pack({now, life > 0 and now + life or 0, reason})
  for _, channel in ipairs(channels) do added = added + redis.call('HSET', key, channel, entry) end
  if life == 0 then
    redis.call('PERSIST', key)
  elseif left == -2 or (left >= 0 and left < life) then
    redis.call('PEXPIRE', key, life)
  end
  return added
end

local function slice(list, first)
  local rest = {}
  for i = first, #list do rest[#rest + 1] = list[i] end
  return rest
end
