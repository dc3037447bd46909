-- Takes consumers off the list of a group. One that holds something stays: with it would go what it holds.
-- KEYS[1]: the stream. ARGV: the group; the consumer that leaves, or nothing; after how many milliseconds without a word
-- others count as gone; what the one that leaves gives back.
local group, leaves, silence = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], group)
if consumers.err then
    -- Somebody emptied the database: there is nothing to give back.
    return string.find(consumers.err, 'NOGROUP', 1, true) and 0 or consumers
end
for n = 4, #ARGV do
    -- Only what is still its own, and overdue from now on, so that others claim it.
    if #redis.call('XPENDING', KEYS[1], group, ARGV[n], ARGV[n], 1, leaves) > 0 then
        redis.call('XCLAIM', KEYS[1], group, leaves, 0, ARGV[n], 'IDLE', ARGV[3], 'JUSTID')
    end
end
local gone = 0
for _, consumer in ipairs(consumers) do
    local facts = {}
    for n = 1, #consumer, 2 do
        facts[consumer[n]] = consumer[n + 1]
    end
    if facts.pending == 0 and (facts.name == leaves or facts.idle >= silence) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, facts.name)
        gone = gone + 1
    end
end
return gone
