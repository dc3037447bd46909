-- Puts a delivery back into its list, unless somebody else has settled or restored it.
-- refused.lua stands in front of it.
-- KEYS: the unacked hash, its index, the list. ARGV: the delivery, the payload, LPUSH or RPUSH.
-- A script does not undo what it did before an error: the types are asked first, and the record goes last.
-- Returns 1 if it is back, 0 if it is not registered, and {place} if the key at that place of KEYS is of another type
-- than it should be.
for place, kind in ipairs({'hash', 'zset', 'list'}) do
    local found = redis.call('TYPE', KEYS[place]).ok
    if found ~= 'none' and found ~= kind then
        return {place}
    end
end
local refusal = refused(ARGV[3], KEYS[3], '') or refused('HDEL', KEYS[1], '') or refused('ZREM', KEYS[2], '')
if refusal then
    return refusal
end
local held = redis.call('HEXISTS', KEYS[1], ARGV[1])
if held == 1 then
    redis.call(ARGV[3], KEYS[3], ARGV[2])
    redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('ZREM', KEYS[2], ARGV[1])
return held
