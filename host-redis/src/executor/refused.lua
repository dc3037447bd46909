-- What the user may not do is found out before anything is done, since a script does not undo what it did. Redis before 7.0
-- cannot be asked. Redis 8.0 refuses the question about a command that has fewer arguments than it takes.
-- Returns the error to answer with, or nothing.
local function refused(command, key, ...)
    if redis.acl_check_cmd and not redis.acl_check_cmd(command, key, ...) then
        return redis.error_reply('NOPERM this user may not ' .. command .. ' `' .. key .. '`')
    end
end
