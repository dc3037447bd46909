-- Runs a plan that may add fields to some hashes and change none: `plan` is run.lua.
-- The last of ARGV: key, field and value of each field that the plan sets there.
-- Returns what `plan` returns, or false if a field is there with another value; nothing was done then.
local fields, at = table.remove(ARGV), 1
while at <= #fields do
    local key, field, value
    key, field, value, at = struct.unpack('<I4c0I4c0I4c0', fields, at)
    local found = redis.pcall('HGET', key, field)
    if type(found) == 'table' then
        -- A key of another type is named by the plan, before it does anything.
        if not string.find(found.err, 'WRONGTYPE', 1, true) then
            return found
        end
    elseif found and found ~= value then
        return false
    end
end
return plan()
