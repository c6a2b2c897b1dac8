-- An app's failed checks, where a check can't count itself among them since the two lie in different slots. Where they
-- have a say in it, it is counted as failed before a code is compared, and what became of it is told afterwards: whatever
-- goes wrong in between was a failed check.
-- KEYS: the record; args: watch (see check), begun (the twelfth of what is now told, or none), verdict (failed,
-- approved, or none)
-- Answers {now, for how long the app's checks are blocked, the twelfth, {failed, all} if the action begins with this one}.
local function keep(record, rows)
  local packed = cmsgpack.pack({held = record.held, rows = rows})
  redis.call('SET', KEYS[1], packed, 'PX', 2 * args.watch.window)
end

local record, twelfth, rows = watched(KEYS[1], args.watch)
if not args.verdict and not args.begun then
  if record.held > now then return {now, record.held - now, 0, {}} end
  local last = rows[#rows]
  last[2], last[4] = last[2] + 1, (last[4] or 0) + 1
  keep(record, rows)
  return {now, 0, twelfth, {}}
end
for _, row in ipairs(rows) do
  if row[1] == args.begun and (row[4] or 0) > 0 then
    row[2], row[4] = row[2] - 1, row[4] - 1
    keep(record, rows)
  end
end
return {now, 0, twelfth, args.verdict and watch(KEYS[1], args.watch, args.verdict == 'failed') or {}}
