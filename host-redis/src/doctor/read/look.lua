-- Looks at the payloads of a list that are taken next, and changes nothing.
-- KEYS: the list. ARGV: how many at most, after how many bytes no more; a payload of more than that is passed over.
-- Returns the length and, for each payload that was looked at, 1 if this reader takes it for JSON and 0 if not, and the
-- payload. Python's NaN is JSON to this reader.
if redis.call('TYPE', KEYS[1]).ok ~= 'list' then
    return {0}
end
local length, budget, limit = redis.call('LLEN', KEYS[1]), tonumber(ARGV[2]), tonumber(ARGV[2])
local out = {length}
for place = 1, math.min(length, tonumber(ARGV[1])) do
    local payload = redis.call('LINDEX', KEYS[1], -place)
    if #payload <= limit then
        budget = budget - #payload
        if budget < 0 then
            break
        end
        local read = pcall(cjson.decode, payload)
        if not read then
            -- Bytes that are no UTF-8 are surrogates that stand alone in Python's JSON.
            read = pcall(cjson.decode, (string.gsub(payload, '\\u[dD][89a-fA-F]%x%x', '\\u003f')))
        end
        out[#out + 1] = read and 1 or 0
        out[#out + 1] = payload
    end
end
return out
