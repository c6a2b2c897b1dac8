-- Keep the answer of a start that waited, for whoever repeats it. KEYS: idempotency record; args: answer
local record = load(KEYS[1])
if record and not record.answer then
  record.answer = args.answer
  save(KEYS[1], record)
end
return {now}
