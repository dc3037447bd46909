-- Begins the time of a message anew, if it is still this consumer's: what another one has claimed meanwhile stays with it.
-- KEYS[1]: the stream. ARGV: the group, the consumer, the message.
-- Returns 1, or 0 if it is somebody else's, was acked or trimmed, or went with an emptied database.
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])
if pending.err then
    return string.find(pending.err, 'NOGROUP', 1, true) and 0 or pending
end
if #pending == 0 then
    return 0
end
if #redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3]) == 0 then
    -- Redis before 7.0 would keep on its list what is gone.
    redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
    return 0
end
return #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
