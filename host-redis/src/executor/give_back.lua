-- Puts a delivery back into its list, unless somebody else has settled or restored it.
-- KEYS: the unacked hash, its index, the list. ARGV: the delivery, the payload, LPUSH or RPUSH.
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call(ARGV[3], KEYS[3], ARGV[2])
return 1
