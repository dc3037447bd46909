-- Adds a message to the stream and sends it on Kombu's channel, or does neither. refused.lua stands in front of it.
-- KEYS[1]: the stream. ARGV: how many messages to keep, the routing key, the message, the channel.
-- Returns how many heard it, or nothing if the key is no stream.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'stream' then
    return false
end
local refusal = refused('XADD', KEYS[1], '*', '', '') or refused('PUBLISH', ARGV[4], '')
if refusal then
    return refusal
end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'routing_key', ARGV[2], 'message', ARGV[3])
return redis.call('PUBLISH', ARGV[4], ARGV[3])
