-- Makes deliveries as young as if they had just been taken. KEYS: the index. ARGV: the deliveries.
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
for _, delivery in ipairs(ARGV) do
    redis.call('ZADD', KEYS[1], 'XX', now, delivery)
end
return 1
