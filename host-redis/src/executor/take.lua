-- Takes messages and registers them as unacked, in one step. tag.lua and refused.lua stand in front
-- of it.
-- KEYS: the unacked hash, its index; then step by step, and within a step queue by queue, a list and the quarantine list
-- of its queue.
-- ARGV: how many at most; after how many bytes no more; the owner, or '' to register nothing; the number of queues; '1'
-- if they take turns; then for each queue what goes behind the owner in a delivery's name, and behind the payload in
-- its record.
-- A payload is looked at only to read its tag, and stored as the bytes it came in, unless a Kombu could not restore those.
-- A script does not undo what it did before an error: types are asked first, and messages leave their list last.
-- Returns one list without a list for each message, which would cost as much as registering it: `key, delivery,
-- payload` for a message, `-key` for one in quarantine, `0, key` for a key of another type than it should be; a key is
-- its place in KEYS.
local limit, budget, owner, width, in_turn = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1'
-- How many payloads are read at once behind a small one. What they come to is not known before, and they may be large.
local AHEAD, SMALL = 8, 4096
-- Lua's stack takes no more than some thousand values at once.
local AT_ONCE = 1000
local keys, time = KEYS, redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])

local out, size = {}, 0
local function say(first, second, third)
    out[size + 1], out[size + 2], out[size + 3] = first, second, third
    size = size + (third and 3 or second and 2 or 1)
end

local function is(key, kind)
    local found = redis.call('TYPE', key).ok
    return found == kind or found == 'none'
end

if owner ~= '' then
    for place, kind in ipairs({'hash', 'zset'}) do
        if not is(keys[place], kind) then
            return {0, place}
        end
    end
end

-- Names with their time and names with their record, and one command for as many as can be.
local times, records, waiting = {}, {}, 0
local function register()
    if waiting > 0 then
        redis.call('ZADD', keys[2], unpack(times, 1, waiting))
        redis.call('HSET', keys[1], unpack(records, 1, waiting))
        waiting = 0
    end
end

local refusal = refused('LTRIM', keys[3], 0, 0)
if not refusal and owner ~= '' then
    refusal = refused('ZADD', keys[2], '0', '') or refused('HSET', keys[1], '', '')
end
if refusal then
    return refusal
end

local behind_tag, count, last = '#' .. owner .. '.', 0, SMALL
for step = 3, #keys, 2 * width do
    -- For each queue how many messages are left, how many were taken, what was read, and how many of that are left.
    local left, taken, read, unseen = {}, {}, {}, {}
    for queue = 1, width do
        local place = step + 2 * (queue - 1)
        left[queue], taken[queue], unseen[queue] = 0, 0, 0
        local found = redis.call('TYPE', keys[place]).ok
        if found == 'list' then
            left[queue] = redis.call('LLEN', keys[place])
        elseif found ~= 'none' then
            say(0, place)
        end
    end
    local queue, passed = 1, 0
    while count < limit and budget > 0 and passed < width do
        local place = step + 2 * (queue - 1)
        if left[queue] == 0 then
            queue, passed = queue % width + 1, passed + 1
        else
            if unseen[queue] == 0 then
                unseen[queue] = last < SMALL and math.min(AHEAD, left[queue], limit - count) or 1
                read[queue] = redis.call('LRANGE', keys[place], -unseen[queue] - taken[queue], -1 - taken[queue])
            end
            local payload = read[queue][unseen[queue]]
            unseen[queue] = unseen[queue] - 1
            local tag, registered = written_tag(payload), payload
            if not tag then
                tag, registered = decoded_tag(payload)
                registered = registered or payload
            end
            if tag then
                local delivery = ''
                if owner ~= '' then
                    delivery = tag .. behind_tag .. count .. ARGV[4 + 2 * queue]
                    times[waiting + 1], times[waiting + 2] = now, delivery
                    records[waiting + 1], records[waiting + 2] = delivery, '[' .. registered .. ARGV[5 + 2 * queue]
                    waiting = waiting + 2
                    if waiting >= AT_ONCE then
                        register()
                    end
                end
                say(place, delivery, payload)
            elseif not is(keys[place + 1], 'list') then
                say(0, place + 1)
                payload = nil
            elseif refused('LPUSH', keys[place + 1], '') then
                -- What came before it is on its way; who takes next meets it first.
                refusal, payload = refused('LPUSH', keys[place + 1], ''), nil
            else
                redis.call('LPUSH', keys[place + 1], payload)
                say(-place)
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
            redis.call('LTRIM', keys[step + 2 * (queue - 1)], 0, -1 - taken[queue])
        end
    end
end
return size == 0 and refusal or out
