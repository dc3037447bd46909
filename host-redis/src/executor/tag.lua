-- Reads a payload's delivery tag; a part of the script that takes.
local byte, find, gsub, match, sub = string.byte, string.find, string.gsub, string.match, string.sub

-- The tag, read where Kombu and keyrail write it, without the rest; nil if it may stand anywhere else.
-- What this finds is the tag of any payload that is JSON. A quote behind a blank is not escaped, and with a word behind it
-- it begins a text: so `"properties": {` is a member of the whole or of a part of it, and opens an object, as does
-- `"delivery_info": {`. At least three objects are open there. Three braces follow: all of them must
-- close one of these, so none is in a text, and nothing else opens. The tag is the last member between the last two
-- braces, of the last member of the whole, and of equal names the last one counts.
-- A Kombu that restores it reads headers and address, too: the first brace within the whole opens the headers, which are
-- therefore a member of it, and neither they nor the address come twice.
-- Whether the payload is JSON is not looked at: who reads the message finds that out.
local function written_tag(payload)
    local tag = match(payload, '^, "delivery_tag": "(%x+%-%x+%-%x+%-%x+%-%x+)"}}$', -58)
    local properties = tag and find(payload, ', "properties": {', 1, true)
    local info = properties
        and (find(payload, ' "delivery_info": {', properties, true) or find(payload, '{"delivery_info": {', properties, true))
    local close = info and find(payload, '}', properties, true)
    if not close or close < info or find(payload, '}', close + 1, true) ~= #payload - 1 then
        return nil
    end
    if find(payload, 'delivery_info"', close, true) then
        return nil
    end
    local headers = find(payload, '{', 2, true)
    local name = sub(payload, headers - 12, headers - 1)
    if name ~= ' "headers": ' and name ~= '{"headers": ' then
        return nil
    end
    -- Most have none, and Celery's have a name that ends like this one.
    local again = headers + 2 ~= properties and find(payload, 'headers"', headers, true)
    while again do
        if byte(payload, again - 1) == 34 then
            return nil
        end
        again = find(payload, 'headers"', again + 1, true)
    end
    -- What is no object could not be put back by anybody if its reader died before it found that out.
    if byte(payload) ~= 123 then
        return nil
    end
    -- With half a surrogate pair somewhere it is what only Python reads; see below. With a letter written as a number it
    -- may have one of these names once more.
    if find(payload, '\\u', 1, true) and (find(payload, '\\u[dD][89a-fA-F]') or find(payload, '\\u00[5-7]')) then
        return nil
    end
    return tag
end

-- Decoding takes thirty times the payload's size, of which Redis' limit of memory knows nothing.
local DECODED = 2 ^ 20

local function is_empty(value)
    return type(value) == 'table' and next(value) == nil
end

-- Of JSON, whose names are texts; it may be none of the empty lists.
local function is_object(value)
    return type(value) == 'table' and value[1] == nil
end

-- Headers and address of a message. The reader makes the same of an empty list and an empty object, so it reads those
-- again with something in each list.
local function parts(text, message)
    local headers, info = message.headers, message.properties.delivery_info
    if is_empty(headers) or is_empty(info) then
        local filled, lists = gsub(text, '%[[ \t\r\n]*%]', '[0]')
        if lists > 0 then
            local again = cjson.decode(filled)
            return again.headers, again.properties.delivery_info
        end
    end
    return headers, info
end

-- The name of a payload's delivery tag, or nil if it is no message: it is decoded. And, if a Kombu that restores it could
-- not read its headers, what to register instead. Who reads a giant finds out what it is.
local function decoded_tag(payload)
    if #payload > DECODED then
        return byte(payload) == 123 and redis.sha1hex(sub(payload, -4096)) or nil
    end
    local text = payload
    local read, message = pcall(cjson.decode, text)
    local surrogates = not read
    if surrogates then
        -- Python writes bytes that are no UTF-8 as surrogates that stand alone, which this reader refuses.
        text = gsub(payload, '\\u[dD][89a-fA-F]%x%x', '\\u003f')
        read, message = pcall(cjson.decode, text)
    end
    if not read or type(message) ~= 'table' or type(message.properties) ~= 'table' then
        return nil
    end
    local headers, info = parts(text, message)
    -- Kombu raises on it.
    if info ~= nil and not is_object(info) then
        return nil
    end
    -- It reads this as no headers, and would lose it: of equal names the last one counts.
    local registered
    if headers ~= nil and not is_object(headers) then
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
