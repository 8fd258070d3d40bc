"""The scripts for scopes: limits that several targets share. See `scripts` for those of a target.

Keys of a scope, all in one hash slot, below `tocsin:{scope-HASH}:`. They expire when no host has asked for KEPT_MS.

    log     sorted set request (HOST/NUMBER/EXPEDITED) -> when it was answered; infinite: it is in flight. After each answer the newest
            MAX_REQUESTS are left
    since   hash id, at: made when the engine knew nothing of the scope
    hosts   sorted set HOST -> when it was last seen, within the last hour
    urgent  an expedited request found no room: others wait; it expires
    limit   the limit as hosts learned it
"""

from __future__ import annotations

from typing import Final

from .scripts import NOW

KEPT_MS: Final = 30 * 86_400_000  # longer than any window

# KEYS log since hosts urgent limit
# ARGV host request takes expedited epoch, settling_ms seen_ms gone_ms full_ms kept_ms new_epoch alone,
# then count, per, others and borrow of each window
ASK: Final = (
    NOW
    + """
local host, request, takes, expedited = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4] == '1'
redis.call('ZADD', KEYS[3], now, host)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - 3600000)
if redis.call('HSETNX', KEYS[2], 'id', ARGV[11]) == 1 then redis.call('HSET', KEYS[2], 'at', now) end
for _, key in ipairs({KEYS[1], KEYS[2], KEYS[3], KEYS[5]}) do redis.call('PEXPIRE', key, ARGV[10]) end
local open, open_others = 0, 0
local function is_other(name) return name:sub(-2) ~= '/1' end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '+inf', '+inf')) do
    local of = name:match('^(.-)/') or name
    local seen = redis.call('ZSCORE', KEYS[3], of)
    if name == request then
    elseif of == host or not seen or now - seen > tonumber(ARGV[8]) then redis.call('ZADD', KEYS[1], now, name)
    else
        open = open + 1
        if is_other(name) then open_others = open_others + 1 end
    end
end
local since = redis.call('HMGET', KEYS[2], 'id', 'at')
local wait, longest, full = 0, 0, tonumber(ARGV[9])
if ARGV[12] == '0' or redis.call('ZCARD', KEYS[3]) > 1 then wait = math.max(0, since[2] + ARGV[6] - now) end
if since[1] ~= ARGV[5] then wait = math.max(wait, 1) end
local log = {}
local function need(allowed, per, open, counts)
    local used = {}
    for i = 1, #log, 2 do
        if now - log[i + 1] < per and counts(log[i]) then used[#used + 1] = log[i + 1] end
    end
    if open >= allowed then wait = math.max(wait, full)
    elseif #used + open >= allowed then wait = math.max(wait, used[#used + open - allowed + 1] + per - now) end
end
for i = 13, #ARGV, 4 do longest = math.max(longest, ARGV[i + 1]) end
log = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. (now - longest), now, 'WITHSCORES')
for i = 13, #ARGV, 4 do
    local count, per, others, borrow = unpack(ARGV, i, i + 3)
    need(tonumber(count), tonumber(per), open, function() return true end)
    if takes and not expedited then need(tonumber(others), per - borrow, open_others, is_other) end
end
if takes then
    if not expedited and redis.call('GET', KEYS[4]) then wait = math.max(wait, full) end
    if wait == 0 then redis.call('ZADD', KEYS[1], '+inf', request) end
    if expedited and wait == 0 then redis.call('DEL', KEYS[4])
    elseif expedited then redis.call('SET', KEYS[4], request, 'PX', math.ceil(wait) + 5 * full) end
end
local hosts = redis.call('ZCOUNT', KEYS[3], now - ARGV[7], '+inf')
return {math.ceil(wait), now, since[1], hosts, redis.call('GET', KEYS[5]) or '', log}
"""
)

# KEYS log | ARGV request ago most; ago "": it did not leave
ANSWERED: Final = (
    NOW
    + """
if ARGV[2] == '' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('ZADD', KEYS[1], now - ARGV[2], ARGV[1])
return redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
"""
)

# KEYS log | ARGV request ago of each; ago "": it is in flight
RECALL: Final = (
    NOW
    + """
for i = 1, #ARGV, 2 do
    local known = redis.call('ZSCORE', KEYS[1], ARGV[i])
    if ARGV[i + 1] == '' then
        if not known then redis.call('ZADD', KEYS[1], '+inf', ARGV[i]) end
    elseif not known or known == 'inf' then
        redis.call('ZADD', KEYS[1], now - ARGV[i + 1], ARGV[i])
    end
end
return 1
"""
)
