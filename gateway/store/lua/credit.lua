-- A code was typed, or no message was taken by anybody: say so to the watches that its verification was counted under.
-- What is gone needs to hear nothing.
-- KEYS: states; args: told (for each state what it is told: {when the verification began, the item or '' for a
-- conversion, 1 if it was unsent}, ...)
local function credit(st, at, item, unsent)
  if item ~= '' then
    st.e = without(st.e, function(other) return other == item end)
  elseif unsent == 1 then
    uncount(st, at)
  else
    for i = #st.b - 2, 1, -3 do
      if st.b[i] <= at then
        st.b[i + 2] = math.min(st.b[i + 2] + 1, st.b[i + 1])
        return
      end
    end
  end
end

for i, key in ipairs(KEYS) do
  local st = load(key)
  if st then
    for _, told in ipairs(args.told[i]) do credit(st, told[1], told[2], told[3]) end
    save(key, st)
  end
end
return {now}
