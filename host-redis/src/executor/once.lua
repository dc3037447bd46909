-- Runs a plan unless it was run before: `plan` is run.lua, and refused.lua stands in front.
-- The last key is the marker. The last two of ARGV: how long it is kept, in milliseconds, and what the sender notes there.
-- Returns what `plan` returns, or, if the marker is there, the note with the replies of that time.
local note, window, marker = table.remove(ARGV), table.remove(ARGV), KEYS[#KEYS]
local before = redis.call('GET', marker)
if before then
    return before
end
local refusal = refused('SET', marker, '', 'PX', window)
if refusal then
    return refusal
end
local replies = plan()
-- A number: the plan needs what is not there, and nothing was done. A table with `err`: the user may not do it.
if type(replies) == 'table' and not replies.err then
    local texts = {}
    for place, reply in ipairs(replies) do
        texts[place] = tostring(reply)
    end
    redis.call('SET', marker, note .. '\n' .. table.concat(texts, ' '), 'PX', window)
end
return replies
