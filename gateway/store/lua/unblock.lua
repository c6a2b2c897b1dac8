-- Lift a block: its subject begins anew, and only what is usual of it is remembered. What does not stand in the index is
-- another app's, whose watches may lie in the same slot. KEYS: index, state; args: name
if redis.call('ZREM', KEYS[1], args.name) == 0 then return {now, ''} end
local st = load(KEYS[2])
if not st or now >= st.u then return {now, ''} end
local about = {st.s, st.u, st.v, st.o}
st.u, st.v, st.s, st.b, st.e = 0, 0, nil, {}, {}
save(KEYS[2], st)
return {now, cmsgpack.pack(about)}
