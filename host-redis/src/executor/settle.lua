-- Settles deliveries. refused.lua stands in front of it. KEYS: the unacked hash, its index. ARGV: the deliveries.
-- A record and its time are always written and removed together. So if all times are there, so are the records, and one
-- command removes them; if not, each is asked for. If somebody removed records alone by hand, this says of none of these
-- deliveries that it was registered, since nobody can tell which were.
-- A record that stays behind without its time, since the user may not remove it, would never be restored: where that cannot
-- be found out before, the records go first.
-- Returns a list of 1 for each that was registered and 0 for the others, an empty one if all were, or the place of a key
-- of another type.
for place, kind in ipairs({'hash', 'zset'}) do
    local found = redis.call('TYPE', KEYS[place]).ok
    if found ~= 'none' and found ~= kind then
        return place
    end
end
local refusal = refused('HDEL', KEYS[1], '') or refused('ZREM', KEYS[2], '')
if refusal then
    return refusal
end
local settled, asked = {}, redis.acl_check_cmd ~= nil
if asked and redis.call('ZREM', KEYS[2], unpack(ARGV)) == #ARGV and redis.call('HDEL', KEYS[1], unpack(ARGV)) == #ARGV then
    return settled
end
for at, delivery in ipairs(ARGV) do
    settled[at] = redis.call('HDEL', KEYS[1], delivery)
end
if not asked then
    redis.call('ZREM', KEYS[2], unpack(ARGV))
end
return settled
