-- Deletes tables of bindings that nobody refreshed in time, as Kombu 5.7 does.
-- KEYS: the deadlines. ARGV: what stands in front of an exchange in the key of its table, the same of its permanent
-- bindings, and how many at most. The tables lie beside the deadlines: on a cluster all have one hash tag.
-- A table with a permanent binding stays, and so does a key that is no table: only the deadline goes.
-- Returns how many deadlines had passed and how many tables went; or 0 if the deadlines are of another type.
local found = redis.call('TYPE', KEYS[1]).ok
if found ~= 'none' and found ~= 'zset' then
    return 0
end
local time, deleted = redis.call('TIME'), 0
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local overdue = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[3])
for _, exchange in ipairs(overdue) do
    local table_of = ARGV[1] .. exchange
    if redis.call('EXISTS', ARGV[2] .. exchange) == 0 and redis.call('TYPE', table_of).ok == 'set' then
        deleted = deleted + redis.call('DEL', table_of)
    end
    redis.call('ZREM', KEYS[1], exchange)
end
return {#overdue, deleted}
