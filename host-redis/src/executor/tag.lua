-- Reads a payload's delivery tag; a part of the script that takes.
local byte, find, match = string.byte, string.find, string.match

-- The tag, read where Kombu and keyrail write it, without the rest; nil if it may stand anywhere else.
-- What this finds is the tag of any payload that is JSON. A quote behind a blank is not escaped, and with a word behind it
-- it begins a text: so `"properties": {` is a member of the whole or of a part of it, and opens an object, as does
-- whatever ends with `delivery_info": {`. At least three objects are open there. Three braces follow: all of them must
-- close one of these, so none is in a text, and nothing else opens. The tag is the last member between the last two
-- braces, of the last member of the whole, and of equal names the last one counts.
-- Whether the payload is JSON is not looked at: who reads the message finds that out.
local function written_tag(payload)
    local tag = match(payload, '^, "delivery_tag": "(%x+%-%x+%-%x+%-%x+%-%x+)"}}$', -58)
    local properties = tag and find(payload, ', "properties": {', 1, true)
    local info = properties and find(payload, '"delivery_info": {', properties, true)
    local close = info and find(payload, '}', properties, true)
    if not close or close < info or find(payload, '}', close + 1, true) ~= #payload - 1 then
        return nil
    end
    -- Headers that are no object want a record of their own; see below.
    if not find(payload, '"headers": {', 1, true) then
        return nil
    end
    -- What is no object could not be put back by anybody if its reader died before it found that out.
    if byte(payload) ~= 123 then
        return nil
    end
    -- With half a surrogate pair somewhere it is what only Python reads; see below.
    if find(payload, '\\u', 1, true) and find(payload, '\\u[dD][89a-fA-F]') then
        return nil
    end
    return tag
end

-- Decoding takes thirty times the payload's size, of which Redis' limit of memory knows nothing.
local DECODED = 2 ^ 20

-- The name of a payload's delivery tag, or nil if it is no message: it is decoded. And, if a Kombu that restores it could
-- not read its headers, what to register instead. Who reads a giant finds out what it is.
local function decoded_tag(payload)
    if #payload > DECODED then
        return byte(payload) == 123 and redis.sha1hex(string.sub(payload, -4096)) or nil
    end
    local read, message = pcall(cjson.decode, payload)
    local surrogates = not read
    if surrogates then
        -- Python writes bytes that are no UTF-8 as surrogates that stand alone, which this reader refuses.
        read, message = pcall(cjson.decode, (string.gsub(payload, '\\u[dD][89a-fA-F]%x%x', '\\u003f')))
    end
    if not read or type(message) ~= 'table' or type(message.properties) ~= 'table' then
        return nil
    end
    -- Kombu raises on it.
    local info = message.properties.delivery_info
    if info ~= nil and type(info) ~= 'table' then
        return nil
    end
    -- It reads this as no headers, and would lose it: of equal names the last one counts.
    local registered
    if message.headers ~= nil and type(message.headers) ~= 'table' then
        registered = match(payload, '^(.*)}') .. ', "headers": {}}'
    end
    local tag = message.properties.delivery_tag
    if type(tag) == 'number' and tag == math.floor(tag) and math.abs(tag) < math.huge then
        -- Numbers from 2^53 on are read as a neighbour's, whose name this must not be.
        return math.abs(tag) < 2 ^ 53 and string.format('%.0f', tag) or redis.sha1hex(payload), registered
    end
    if type(tag) ~= 'string' then
        return nil
    end
    -- Bytes beyond ASCII may be no text at all; any name will do that is this tag's alone.
    if surrogates then
        return redis.sha1hex(payload), registered
    end
    return (#tag > 200 or find(tag, '[\128-\255]')) and redis.sha1hex(tag) or tag, registered
end
