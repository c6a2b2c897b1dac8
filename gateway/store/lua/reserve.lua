-- Reserve what a start, or a later message, needs in another slot than its verification's: all of it that lies here or
-- none. The verification is written afterwards, in its own slot, so that what goes wrong between the two counts too much
-- and never too little.
-- KEYS and args: see starting.lua, with the timers of this slot for whatever lies in the verification's
-- args: known (what the lists of what is known take in), keep, hold (how long nobody else looks after what is noted)
-- Answers {what purses note that should long have been settled, now, a refusal or what was reserved}.
local MOST_LEFT = 100

-- Each is {the purse's place, the field, whether the verification can still be looked up}. Looked for once in a while.
local function left_behind(place, purse, found)
  if now < tonumber(redis.call('HGET', purse, 'o') or 0) or redis.call('EXISTS', purse) == 0 then return end
  redis.call('HSET', purse, 'o', now + args.hold)
  local rows = redis.call('HGETALL', purse)
  for i = 1, #rows, 2 do
    if #rows[i] > 1 and #found < MOST_LEFT then
      local noted = cmsgpack.unpack(rows[i + 1])
      if now >= noted[2] + args.hold then found[#found + 1] = {place - 1, rows[i], now < noted[3] and 1 or 0} end
    end
  end
end

local found = {}
for i = 1, args.spend and #args.caps or 0 do
  left_behind(i, KEYS[COUNTERS + #args.groups + #args.looks + i - 1], found)
end

local refused, held, looked, shadows, again, purses = take()
if refused then return {found, now, refused} end
for i = 6, 7 do
  if KEYS[i] ~= KEYS[2] then enlist(KEYS[i], args.known, args.keep) end
end
local spent, near = pay(args.spend, args.caps, purses)
local priors = {}
for i = 1, #args.watches do priors[i] = looked.priors[i] or -2 end
return {found, now, {'reserved', now, shadows, again or 0, held, looked.standing, looked.news, spent, near, priors}}
