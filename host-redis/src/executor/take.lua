-- Takes the next message of the first list that has one and registers it as unacked, in one step.
-- KEYS: the unacked hash, its index, then pairs of a list and the quarantine list of its queue.
-- ARGV: for each pair, what goes behind the tag in the delivery's name, and behind the payload in its record.
-- The payload is decoded only to read its tag, and stored as the bytes it came in.
for pair = 1, (#KEYS - 2) / 2 do
    local list, quarantine = KEYS[2 * pair + 1], KEYS[2 * pair + 2]
    local payload = redis.call('RPOP', list)
    if payload then
        local read, message = pcall(cjson.decode, payload)
        local tag
        if read and type(message) == 'table' and type(message.properties) == 'table' then
            tag = message.properties.delivery_tag
        end
        if type(tag) == 'number' and tag == math.floor(tag) then
            tag = string.format('%.0f', tag)
        end
        if type(tag) ~= 'string' then
            redis.call('LPUSH', quarantine, payload)
            return {pair}
        end
        -- Bytes beyond ASCII may be no text at all; any name will do that is this tag's alone.
        if string.find(tag, '[\128-\255]') then
            tag = redis.sha1hex(tag)
        end
        local delivery = tag .. ARGV[2 * pair - 1]
        local now = redis.call('TIME')
        redis.call('ZADD', KEYS[2], now[1] .. '.' .. string.format('%06d', now[2]), delivery)
        redis.call('HSET', KEYS[1], delivery, '[' .. payload .. ARGV[2 * pair])
        return {pair, delivery, payload}
    end
end
return false
