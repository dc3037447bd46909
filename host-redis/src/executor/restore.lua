-- Moves deliveries from the register to lists, each only if it is registered as it was read.
-- refused.lua stands in front of it.
-- KEYS: the unacked hash, its index, the lock, then the lists.
-- ARGV: the token of the lock, or '' if none is needed; for how many milliseconds it is held on; then for each delivery
-- its name, its time or '' for any, the payload, the number of its lists and their places in KEYS.
-- The record goes last, and stays if there is no list: it came after the reading.
-- Returns a list with 1 for what is in its lists, 0 for what somebody else has moved, and minus the place in KEYS of a
-- list of another type; or 0 if the lock is somebody else's.
local refusal = KEYS[4] and refused('RPUSH', KEYS[4], '') or refused('ZREM', KEYS[2], '') or refused('HDEL', KEYS[1], '')
if refusal then
    return refusal
end
if ARGV[1] ~= '' then
    if redis.call('GET', KEYS[3]) ~= ARGV[1] then
        return 0
    end
    redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
local out, at = {}, 3
while at <= #ARGV do
    local delivery, since, payload, lists = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
    local result = 1
    if redis.call('HEXISTS', KEYS[1], delivery) == 0 then
        -- A time without a record would be looked at for ever.
        redis.call('ZREM', KEYS[2], delivery)
        result = 0
    elseif lists == 0 or since ~= '' and redis.call('ZSCORE', KEYS[2], delivery) ~= since then
        result = 0
    end
    for list = at + 4, at + 3 + lists do
        local place = tonumber(ARGV[list])
        local found = redis.call('TYPE', KEYS[place]).ok
        if result == 1 and found ~= 'none' and found ~= 'list' then
            result = -place
        end
    end
    if result == 1 then
        for list = at + 4, at + 3 + lists do
            redis.call('RPUSH', KEYS[tonumber(ARGV[list])], payload)
        end
        redis.call('ZREM', KEYS[2], delivery)
        redis.call('HDEL', KEYS[1], delivery)
    end
    out[#out + 1] = result
    at = at + 4 + lists
end
return out
