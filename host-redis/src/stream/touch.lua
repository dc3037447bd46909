-- Begins the time of a message anew, if it is still this consumer's: what another one has claimed meanwhile stays with it.
-- KEYS[1]: the stream. ARGV: the group, the consumer, the message.
-- Returns 1, or 0 if it is somebody else's, was acked or trimmed, or went with an emptied database.
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])
if pending.err then
    return string.find(pending.err, 'NOGROUP', 1, true) and 0 or pending
end
return #pending == 0 and 0 or #redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
