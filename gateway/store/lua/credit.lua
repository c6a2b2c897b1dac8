-- A code was typed, or a further message went out, or no message was taken by anybody: say so to the watches that the
-- verification was counted under.
-- What is gone needs to hear nothing.
-- KEYS: states; args: told (for each state what it is told: {when the verification began, the item or '' for a
-- conversion, messages that went out and are not yet counted (negative: that were and did not), messages whose code was
-- typed}, ...)
local function credit(st, at, item, sent, typed)
  if item == '' then
    recount(st, at, sent, typed)
  elseif sent <= 0 then
    st.e = without(st.e, function(other) return other == item end)
  end
end

for i, key in ipairs(KEYS) do
  local st = load(key)
  if st then
    for _, told in ipairs(args.told[i]) do credit(st, told[1], told[2], told[3], told[4]) end
    save(key, st)
  end
end
return {now}
