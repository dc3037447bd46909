-- Takes the next message of the first list that has one and registers it as unacked, in one step.
-- KEYS: the unacked hash, its index, then pairs of a list and the quarantine list of its queue.
-- ARGV: for each pair, what goes behind the tag in the delivery's name, and behind the payload in its record.
-- The payload is decoded only to read its tag, and stored as the bytes it came in.
-- A script does not undo what it did before an error: the types are asked first, and the message leaves its list last.
-- Returns false if nothing is there, {pair} after quarantine, {pair, delivery, payload} for a message, and {0, place}
-- if the key at that place of KEYS is of another type than it should be.
local function is(key, kind)
    local found = redis.call('TYPE', key).ok
    return found == 'none' or found == kind
end

for pair = 1, (#KEYS - 2) / 2 do
    local list, quarantine = KEYS[2 * pair + 1], KEYS[2 * pair + 2]
    if not is(list, 'list') then
        return {0, 2 * pair + 1}
    end
    local payload = redis.call('LINDEX', list, -1)
    if payload then
        local read, message = pcall(cjson.decode, payload)
        local tag
        if read and type(message) == 'table' and type(message.properties) == 'table' then
            tag = message.properties.delivery_tag
        end
        if type(tag) == 'number' and tag == math.floor(tag) and math.abs(tag) < math.huge then
            -- Numbers from 2^53 on are read as a neighbour's, whose name this must not be.
            tag = math.abs(tag) < 2 ^ 53 and string.format('%.0f', tag) or redis.sha1hex(payload)
        end
        if type(tag) ~= 'string' then
            if not is(quarantine, 'list') then
                return {0, 2 * pair + 2}
            end
            redis.call('LPUSH', quarantine, payload)
            redis.call('RPOP', list)
            return {pair}
        end
        -- Bytes beyond ASCII may be no text at all; any name will do that is this tag's alone.
        if string.find(tag, '[\128-\255]') then
            tag = redis.sha1hex(tag)
        end
        if not is(KEYS[1], 'hash') then
            return {0, 1}
        end
        if not is(KEYS[2], 'zset') then
            return {0, 2}
        end
        local delivery = tag .. ARGV[2 * pair - 1]
        local now = redis.call('TIME')
        redis.call('ZADD', KEYS[2], now[1] .. '.' .. string.format('%06d', now[2]), delivery)
        redis.call('HSET', KEYS[1], delivery, '[' .. payload .. ARGV[2 * pair])
        redis.call('RPOP', list)
        return {pair, delivery, payload}
    end
end
return false
