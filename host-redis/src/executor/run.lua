-- Runs a plan at once or not at all: a script, like MULTI, does not undo what it did before an error, so whatever may
-- fail is asked first.
-- KEYS: the plan's keys. ARGV[1]: the type that is needed, the command and the key, for each kind of command on each
-- key. The rest of ARGV: the commands, each as the number of its arguments and the arguments.
-- A text is packed as its length and its bytes: a list of arguments of that many entries would be refused by servers
-- before 7.0.
-- Returns the place of the need that is not met, from 0, or the list of replies.
local needs, at, place = ARGV[1], 1, 0
-- How many arguments the question about a command has behind its key: two, which name no other key, or so many.
local more, empty = {DEL = 0, LLEN = 0, PUBLISH = 1, RPOP = 0, SMEMBERS = 0}, {'', ''}
while at <= #needs do
    local kind, command, key
    kind, command, key, at = struct.unpack('<I4c0I4c0I4c0', needs, at)
    if kind ~= '' then
        local found = redis.call('TYPE', key).ok
        if found ~= 'none' and found ~= kind then
            return place
        end
    end
    local refusal = refused(command, key, unpack(empty, 1, more[command] or 2))
    if refusal then
        return refusal
    end
    place = place + 1
end
local replies, count, formats = {}, 0, {}
for part = 2, #ARGV do
    local commands = ARGV[part]
    at = 1
    while at <= #commands do
        local length
        length, at = struct.unpack('<I4', commands, at)
        formats[length] = formats[length] or '<' .. string.rep('I4c0', length)
        local command = {struct.unpack(formats[length], commands, at)}
        at = command[length + 1]
        count = count + 1
        if redis.acl_check_cmd then
            replies[count] = redis.call(unpack(command, 1, length))
        else
            -- A server before 7.0 refuses in the middle, in its own words and without a code.
            local reply = redis.pcall(unpack(command, 1, length))
            if type(reply) == 'table' and reply.err then
                if not string.find(reply.err, 'The user executing the script', 1, true) then
                    return reply
                end
                return redis.error_reply('NOPERM this user may not ' .. command[1] .. ' `' .. command[2] .. '`, and Redis '
                    .. 'cannot be asked before 7.0: the ' .. count - 1 .. ' commands before this one are done')
            end
            replies[count] = reply
        end
    end
end
return replies
