-- Takes messages and registers them as unacked, in one step.
-- KEYS: the unacked hash, its index; then step by step, and within a step queue by queue, a list and the quarantine list
-- of its queue.
-- ARGV: how many at most; after how many bytes no more; the owner, or '' to register nothing; the number of queues; '1'
-- if they take turns; then for each queue what goes behind the owner in a delivery's name, and behind the payload in
-- its record.
-- A payload is decoded only to read its tag, and stored as the bytes it came in.
-- A script does not undo what it did before an error: types are asked first, and messages leave their list last.
-- Returns a list of {key, delivery, payload} for a message, {key} for one in quarantine, {0, key} for a key of another
-- type than it should be; a key is its place in KEYS.
local limit, budget, owner, width, in_turn = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1'
-- How many payloads are read at once behind a small one. What they come to is not known before, and they may be large.
local AHEAD, SMALL = 8, 4096
-- Lua's stack takes no more than some thousand values at once.
local AT_ONCE = 1000
local out, time = {}, redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])

local function is(key, kind)
    local found = redis.call('TYPE', key).ok
    return found == 'none' or found == kind
end

-- The name of a payload's delivery tag, or nil if it is no message.
local function tag_of(payload)
    local read, message = pcall(cjson.decode, payload)
    local surrogates = not read
    if surrogates then
        -- Python writes bytes that are no UTF-8 as surrogates that stand alone, which this reader refuses.
        read, message = pcall(cjson.decode, (string.gsub(payload, '\\u[dD][89a-fA-F]%x%x', '\\u003f')))
    end
    if not read or type(message) ~= 'table' or type(message.properties) ~= 'table' then
        return nil
    end
    local tag = message.properties.delivery_tag
    if type(tag) == 'number' and tag == math.floor(tag) and math.abs(tag) < math.huge then
        -- Numbers from 2^53 on are read as a neighbour's, whose name this must not be.
        return math.abs(tag) < 2 ^ 53 and string.format('%.0f', tag) or redis.sha1hex(payload)
    end
    if type(tag) ~= 'string' then
        return nil
    end
    -- Bytes beyond ASCII may be no text at all; any name will do that is this tag's alone.
    if surrogates then
        return redis.sha1hex(payload)
    end
    return (#tag > 200 or string.find(tag, '[\128-\255]')) and redis.sha1hex(tag) or tag
end

if owner ~= '' then
    for place, kind in ipairs({'hash', 'zset'}) do
        if not is(KEYS[place], kind) then
            return {{0, place}}
        end
    end
end

-- Names with their time and names with their record, and one command for as many as can be.
local times, records = {}, {}
local function register()
    if #times > 0 then
        redis.call('ZADD', KEYS[2], unpack(times))
        redis.call('HSET', KEYS[1], unpack(records))
        times, records = {}, {}
    end
end

local count, last = 0, SMALL
for step = 3, #KEYS, 2 * width do
    local left, taken, read = {}, {}, {}
    for queue = 1, width do
        local place = step + 2 * (queue - 1)
        left[queue], taken[queue], read[queue] = 0, 0, {}
        if is(KEYS[place], 'list') then
            left[queue] = redis.call('LLEN', KEYS[place])
        else
            out[#out + 1] = {0, place}
        end
    end
    local queue, passed = 1, 0
    while count < limit and budget > 0 and passed < width do
        local place = step + 2 * (queue - 1)
        if left[queue] == 0 then
            queue, passed = queue % width + 1, passed + 1
        else
            if #read[queue] == 0 then
                local ahead = last < SMALL and math.min(AHEAD, left[queue], limit - count) or 1
                read[queue] = redis.call('LRANGE', KEYS[place], -ahead - taken[queue], -1 - taken[queue])
            end
            local payload = table.remove(read[queue])
            local tag = tag_of(payload)
            if tag then
                local delivery = ''
                if owner ~= '' then
                    delivery = tag .. '#' .. owner .. '.' .. count .. ARGV[4 + 2 * queue]
                    times[#times + 1], times[#times + 2] = now, delivery
                    records[#records + 1], records[#records + 2] = delivery, '[' .. payload .. ARGV[5 + 2 * queue]
                    if #times >= AT_ONCE then
                        register()
                    end
                end
                out[#out + 1] = {place, delivery, payload}
            elseif is(KEYS[place + 1], 'list') then
                redis.call('LPUSH', KEYS[place + 1], payload)
                out[#out + 1] = {place}
            else
                out[#out + 1] = {0, place + 1}
                payload = nil
            end
            if payload then
                taken[queue], left[queue] = taken[queue] + 1, left[queue] - 1
                count, budget, passed, last = count + 1, budget - #payload, 0, #payload
                queue = in_turn and queue % width + 1 or queue
            else
                left[queue] = 0
            end
        end
    end
    register()
    for queue = 1, width do
        if taken[queue] > 0 then
            redis.call('LTRIM', KEYS[step + 2 * (queue - 1)], 0, -1 - taken[queue])
        end
    end
end
return out
