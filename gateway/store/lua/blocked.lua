-- Whose block stands against a further message. What is only held stands against new starts alone.
-- KEYS: states
local standing = {}
for _, key in ipairs(KEYS) do
  local st = load(key)
  if st and now < st.u and not st.h then standing[#standing + 1] = st.o end
end
return {now, standing}
