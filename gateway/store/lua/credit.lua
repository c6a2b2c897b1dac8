-- A code was typed, or no message was taken by anybody: say so to the watches that its verification was counted under.
-- What is gone needs to hear nothing.
-- KEYS: states; args: at (when the verification began), items (for each state the item, '' for a conversion), unsent
local function credit(st, item)
  if item == '' then
    for i = #st.b - 2, 1, -3 do
      if st.b[i] <= args.at then
        if args.unsent then
          st.b[i + 1] = math.max(st.b[i + 1] - 1, st.b[i + 2])
        else
          st.b[i + 2] = math.min(st.b[i + 2] + 1, st.b[i + 1])
        end
        return
      end
    end
  else
    st.e = without(st.e, function(other) return other == item end)
  end
end

for i, key in ipairs(KEYS) do
  local st = load(key)
  if st then
    credit(st, args.items[i])
    save(key, st)
  end
end
return {now}
