-- Settles deliveries. KEYS: the unacked hash, its index. ARGV: the deliveries.
-- Returns a list of 1 for each that was registered and 0 for the others, or the place of a key of another type.
for place, kind in ipairs({'hash', 'zset'}) do
    local found = redis.call('TYPE', KEYS[place]).ok
    if found ~= 'none' and found ~= kind then
        return place
    end
end
local settled = {}
for at, delivery in ipairs(ARGV) do
    settled[at] = redis.call('HDEL', KEYS[1], delivery)
end
redis.call('ZREM', KEYS[2], unpack(ARGV))
return settled
