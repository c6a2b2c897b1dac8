-- A verification and the store's time. KEYS: verification
return {now, redis.call('GET', KEYS[1]) or ''}
