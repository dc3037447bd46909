-- Changes what a repair changes, or takes it back, at once or not at all: a script does not undo what it did before an
-- error, so whatever may fail is asked first.
-- KEYS: the record, then the keys of the changes.
-- ARGV: the entry of the record; for how many milliseconds the record is kept, or 'back' if the entry is taken out of it
-- again; how many of the following only have to hold; then for each its word, the place of its key in KEYS, and two
-- values, for `rename` the place of the new name among them.
-- Returns {1}, or {0, n} if the n-th does not hold: then nothing was done. n is 0 for the record.
local record, keep, guards = KEYS[1], ARGV[2], tonumber(ARGV[3])
local unpack = unpack or table.unpack
local ops = {}
for at = 4, #ARGV, 4 do
    local op = {word = ARGV[at], key = KEYS[tonumber(ARGV[at + 1])], what = ARGV[at + 2], value = ARGV[at + 3]}
    if op.word == 'rename' then
        op.what = KEYS[tonumber(op.value)]
    end
    ops[#ops + 1] = op
end

local function type_of(key)
    return redis.call('TYPE', key).ok
end

-- Whether the entry is in a set, hash or sorted set; nil if the key is of another type.
local function has(key, what)
    local kind = type_of(key)
    if kind == 'none' then
        return false
    elseif kind == 'set' then
        return redis.call('SISMEMBER', key, what) == 1
    elseif kind == 'hash' then
        return redis.call('HEXISTS', key, what) == 1
    elseif kind == 'zset' then
        return redis.call('ZSCORE', key, what) ~= false
    end
    return nil
end

local function is(key, kind)
    local found = type_of(key)
    return found == 'none' or found == kind
end

local function is_in(key, payload)
    return type_of(key) == 'list' and redis.call('LPOS', key, payload) ~= false
end

local holds = {
    has = function(op) return has(op.key, op.what) == true end,
    lacks = function(op) return has(op.key, op.what) == false end,
    absent = function(op) return type_of(op.key) == 'none' end,
    add = function(op) return is(op.key, 'set') and has(op.key, op.what) == false end,
    remove = function(op) return is(op.key, 'set') and has(op.key, op.what) == true end,
    score = function(op) return is(op.key, 'zset') and has(op.key, op.what) == false end,
    unscore = function(op)
        local score = type_of(op.key) == 'zset' and redis.call('ZSCORE', op.key, op.what)
        return score and tonumber(score) == tonumber(op.value)
    end,
    set = function(op) return is(op.key, 'hash') and has(op.key, op.what) == false end,
    unset = function(op) return type_of(op.key) == 'hash' and redis.call('HGET', op.key, op.what) == op.value end,
    take = function(op) return is_in(op.key, op.what) end,
    put = function(op) return is(op.key, 'list') end,
    push = function(op) return is(op.key, 'list') end,
    unpush = function(op) return is_in(op.key, op.what) end,
    rename = function(op) return type_of(op.key) == 'list' and type_of(op.what) == 'none' end,
    expire = function(op) return redis.call('PTTL', op.key) == -1 end,
    persist = function(op) return redis.call('PTTL', op.key) >= 0 end,
}

-- What each word runs in the end, to ask whether the user may.
local runs = {
    add = function(op) return {'SADD', op.key, op.what} end,
    remove = function(op) return {'SREM', op.key, op.what} end,
    score = function(op) return {'ZADD', op.key, op.value, op.what} end,
    unscore = function(op) return {'ZREM', op.key, op.what} end,
    set = function(op) return {'HSET', op.key, op.what, op.value} end,
    unset = function(op) return {'HDEL', op.key, op.what} end,
    take = function(op) return {'LREM', op.key, '-1', op.what} end,
    put = function(op) return {'RPUSH', op.key, op.what} end,
    push = function(op) return {'LPUSH', op.key, op.what} end,
    unpush = function(op) return {'LREM', op.key, '1', op.what} end,
    rename = function(op) return {'RENAME', op.key, op.what} end,
    expire = function(op) return {'PEXPIRE', op.key, op.value} end,
    persist = function(op) return {'PERSIST', op.key} end,
}

-- Puts a payload so many places before the end of a list. A list that was emptied lost its time to live with it.
local function put(op)
    local place, left = string.match(op.value, '^(%d+):(-?%d+)$')
    place, left = tonumber(place), tonumber(left)
    local lives = redis.call('PTTL', op.key)
    local rest = place > 0 and redis.call('LRANGE', op.key, -place, -1) or {}
    if #rest > 0 then
        redis.call('LTRIM', op.key, 0, -1 - #rest)
    end
    redis.call('RPUSH', op.key, op.what)
    for _, payload in ipairs(rest) do
        redis.call('RPUSH', op.key, payload)
    end
    if lives == -2 then
        lives = left
    end
    if lives > 0 then
        redis.call('PEXPIRE', op.key, lives)
    end
end

for n, op in ipairs(ops) do
    if not holds[op.word](op) then
        return {0, n}
    end
end
if keep == 'back' and not is_in(record, ARGV[1]) or not is(record, 'list') then
    return {0, 0}
end
if redis.acl_check_cmd then
    for n = guards + 1, #ops do
        local command = runs[ops[n].word](ops[n])
        if not redis.acl_check_cmd(unpack(command)) then
            return redis.error_reply('NOPERM this user may not ' .. command[1] .. ' `' .. command[2] .. '`')
        end
    end
    for _, command in ipairs({{'RPUSH', record, ''}, {'PEXPIRE', record, '1'}, {'LREM', record, '-1', ''}}) do
        if not redis.acl_check_cmd(unpack(command)) then
            return redis.error_reply('NOPERM this user may not ' .. command[1] .. ' `' .. record .. '`')
        end
    end
end

-- What taking back needs to know is noted for each change.
local time = redis.call('TIME')
local notes = {string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))}
for n = guards + 1, #ops do
    local op, note = ops[n], '-'
    if op.word == 'take' then
        local behind = redis.call('LLEN', op.key) - 1 - redis.call('LPOS', op.key, op.what, 'RANK', '-1')
        note = string.format('%d:%.0f', behind, redis.call('PTTL', op.key))
    end
    notes[#notes + 1] = note
end
if keep ~= 'back' then
    redis.call('RPUSH', record, ARGV[1] .. '\n' .. table.concat(notes, ' '))
    redis.call('PEXPIRE', record, keep)
end
for n = guards + 1, #ops do
    if ops[n].word == 'put' then
        put(ops[n])
    else
        redis.call(unpack(runs[ops[n].word](ops[n])))
    end
end
if keep == 'back' then
    redis.call('LREM', record, '-1', ARGV[1])
end
return {1}
