-- An app says that a person typed the code where the gateway could not see it. Told once: the watches to credit are
-- given back, and with a verification that was approved here they have been credited already.
-- KEYS: verification; args: app
local doc = load(KEYS[1])
if not doc or doc.a ~= args.app then return {now, ''} end
local watched = doc.s ~= 'a' and doc.W or {}
if #watched > 0 then
  doc.W = nil
  save(KEYS[1], doc)
end
return {now, cmsgpack.pack({doc.c, watched})}
