-- Reads deliveries that were registered up to a moment, the youngest first.
-- KEYS: the unacked hash, its index. ARGV: the moment, how many to leave out, how many at most, after how many bytes no
-- more.
-- Returns a list of {delivery, time, record}, without the record if there is none; or the place of a key of another type.
for place, kind in ipairs({'hash', 'zset'}) do
    local found = redis.call('TYPE', KEYS[place]).ok
    if found ~= 'none' and found ~= kind then
        return place
    end
end
local due = redis.call('ZREVRANGEBYSCORE', KEYS[2], ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
local out, budget = {}, tonumber(ARGV[4])
for at = 1, #due, 2 do
    if budget <= 0 then
        break
    end
    local record = redis.call('HGET', KEYS[1], due[at])
    out[#out + 1] = {due[at], due[at + 1], record or nil}
    budget = budget - (record and #record or 0)
end
return out
