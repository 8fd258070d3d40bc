"""The scripts that the engine runs: each is one step that is done as a whole or not at all. Lua, commands of Redis 7.0 and Valkey 7.2.

Keys of a target, all in one hash slot, below `tocsin:{TARGET}:`

    lease     TOKEN of the holder, HOST:FENCE.START; it expires
    fence     counts the leases that were given
    epoch     hash id (RANDOM.N), run, at. The random part is made when the engine knows nothing of the target. N is counted up when the
              server's process is another one than before (`run`): it was restarted or replaced, and may have lost its last steps
    witnesses hash HOST -> epoch of its last account. Another one than the present: its account is missing
    past      hash of earlier epochs; what was sent in them is known, unless an account is missing
    hosts     sorted set HOST -> when it was last seen
    trouble   hash HOST -> why it cannot send now
    starts    hash HOST -> TOKEN JOURNAL COMMITS of its last start (engine.Start); TOKEN is 0 after that has ended as it should
    s0 to s3  streams of the priorities: i the item's id, b its body, e the epoch in which it was first handed over. Nothing trims them
    at        hash item's id -> PRIORITY/PLACE
    open      hash item's id -> TOKEN that noted an attempt which is not settled. ~TOKEN: and which leaves no copy when it is made again;
              ?TOKEN: it ended, and may have arrived
    asked     sorted set request -> when it was answered; infinite: no answer yet
    state     hash name -> state for the next holder
    stories   sorted set name of a live message in `state` -> when it changed; the oldest are forgotten
    bad       hash item's id -> a body that no host could read; no more than MAX_BAD
    KEY:wrong the last value of a wrong type that was found under KEY
    news:HOST hash item's id -> how it ended, until its host has recorded it

What bounds them, and when they expire. Of deliveries that have ended, and whose hosts know it, nothing is left.

    s0 to s3, at    items: deleted at the end of each, or when its host takes it back. They never expire
    open            attempts under way: gone with the end of each. Of a host that never comes back, its last requests' items at most
    news:HOST       ended items of that host, while it is away; until NEWS_KEPT_MS after the last one
    bad, KEY:wrong  MAX_BAD items; one for each key. KEPT_ASIDE_MS after the last was put there
    asked           MAX_REQUESTS, and those in flight
    state           one value for each thing that a holder learns of its destinations, and MAX_STORIES live messages
    hosts, trouble, starts  hosts of the last hour; they are taken out when another one is seen
    witnesses       the same, and until the next epoch those whose account is missing
    past            100 epochs, as long as all accounts are there; else only the last
    lease           expires after LEASE_MS
    fence, epoch    one value, three

A target that no host has any more keeps these last lines: a few kB, and what waits. Nothing deletes them.

Keys of all hosts, below `tocsin:{hosts}:`, which expire; they have the MAX_HOSTS that were seen last:

    seen      sorted set HOST -> when it last said something of itself
    notes     hash HOST -> its note
    starts    hash HOST -> as at a target
    told:NAME the host that tells people about NAME

The clock is the engine's. A host's is never compared with it.
"""

from __future__ import annotations

from typing import Final

NOW: Final = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

_MISSING: Final = """
local function missing(key, id)
    local count, all = 0, redis.call('HGETALL', key)
    for n = 2, #all, 2 do if all[n] ~= id then count = count + 1 end end
    return count
end
"""

# Why a host is refused: {when its other start was seen, whether that knows more}; nil when it is not.
_REFUSED: Final = """
local function refused(starts, seen, host, start, now, live_ms)
    local pattern = '^(%x+) (%x*) (%d+)$'
    local token, journal, commits = (redis.call('HGET', starts, host) or ''):match(pattern)
    local own, own_journal, own_commits = start:match(pattern)
    if not own or not token or token == own then return nil end
    local at = tonumber(redis.call('ZSCORE', seen, host) or 0)
    if journal ~= '' and journal == own_journal and tonumber(commits) > tonumber(own_commits) then return {at, 1} end
    if token ~= '0' and at <= now and now - at < tonumber(live_ms) then return {at, 0} end
    return nil
end
"""

# KEYS lease fence epoch hosts trouble witnesses past starts
# ARGV host token wants lease_ms settling_ms seen_ms new_epoch alone trouble start
TEND: Final = (
    NOW
    + _MISSING
    + _REFUSED
    + """
local other = refused(KEYS[8], KEYS[4], ARGV[1], ARGV[10], now, ARGV[4])
if other then return {'', now, '', {}, 0, {}, 0, other} end
if ARGV[10] ~= '' then redis.call('HSET', KEYS[8], ARGV[1], ARGV[10]) end
local known = redis.call('HMGET', KEYS[3], 'id', 'run', 'at')
local id, run, at = known[1], redis.call('INFO', 'server'):match('run_id:(%w+)') or '', known[3]
local is_new = not id or known[2] ~= run
if not id then
    id = ARGV[7] .. '.0'
elseif is_new then
    if missing(KEYS[6], id) > 0 or #redis.call('HGETALL', KEYS[7]) > 200 then redis.call('DEL', KEYS[7]) end
    redis.call('HSET', KEYS[7], id, '')
    redis.call('DEL', KEYS[6])
    local newest = redis.call('ZRANGE', KEYS[4], -1, -1, 'WITHSCORES')[2]
    for _, host in ipairs(newest and redis.call('ZRANGEBYSCORE', KEYS[4], newest - ARGV[6], '+inf', 'LIMIT', 0, 1000) or {}) do
        redis.call('HSET', KEYS[6], host, '')
    end
    local start, count = id:match('^(.*)%.(%d+)$')
    id = (start or ARGV[7]) .. '.' .. ((count or 0) + 1)
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
if is_new then
    at = now
    redis.call('HSET', KEYS[3], 'id', id, 'run', run, 'at', at)
end
redis.call('ZADD', KEYS[4], now, ARGV[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - 3600000)) do
    redis.call('HDEL', KEYS[5], gone)
    redis.call('HDEL', KEYS[8], gone)
    if redis.call('HGET', KEYS[6], gone) == id then redis.call('HDEL', KEYS[6], gone) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 3600000)
if ARGV[9] == '' then redis.call('HDEL', KEYS[5], ARGV[1]) else redis.call('HSET', KEYS[5], ARGV[1], ARGV[9]) end
local held, is_first, owed = redis.call('GET', KEYS[1]), ARGV[2] == '', missing(KEYS[6], id)
local seen = redis.call('ZRANGEBYSCORE', KEYS[4], now - tonumber(ARGV[6]), '+inf', 'LIMIT', 0, 1000)
local young = now - (tonumber(at) or 0) < tonumber(ARGV[5])
local is_own = is_first and held and held:sub(1, #ARGV[1] + 1) == ARGV[1] .. ':'
local is_free = not held and (not young or (owed == 0 and (not is_first or (ARGV[8] == '1' and #seen == 1))))
local lasts = held and redis.call('PTTL', KEYS[1])
if held and (held == ARGV[2] or lasts < 0 or lasts > tonumber(ARGV[4])) then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
elseif ARGV[3] == '1' and not is_new and (is_own or is_free) then
    local fence = redis.pcall('INCR', KEYS[2])
    if type(fence) == 'table' then
        redis.call('DEL', KEYS[2])
        fence = redis.call('INCR', KEYS[2])
    end
    held = ARGV[1] .. ':' .. fence .. '.' .. now .. '.' .. (ARGV[10]:match('^%x+') or '')
    redis.call('SET', KEYS[1], held, 'PX', ARGV[4])
end
return {held or '', now, id, seen, young and 1 or 0, redis.call('HGETALL', KEYS[5]), owed, {}}
"""
)

# KEYS starts | ARGV host token start
LEAVE: Final = """
local token = (redis.call('HGET', KEYS[1], ARGV[1]) or ''):match('^%x+')
if token == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
"""

# KEYS lease | ARGV token channel
RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
    redis.call('PUBLISH', ARGV[2], 'free')
end
return 1
"""

# KEYS at news s0 s1 s2 s3 | ARGV channel, then id priority body epoch of each
OFFER: Final = """
local new = 0
for i = 2, #ARGV, 4 do
    if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 and redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then
        local place = redis.call('XADD', KEYS[3 + ARGV[i + 1]], '*', 'i', ARGV[i], 'b', ARGV[i + 2], 'e', ARGV[i + 3])
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. '/' .. place)
        new = new + 1
    end
end
if new > 0 then redis.call('PUBLISH', ARGV[1], 'new') end
return new
"""

# KEYS news open epoch witnesses past s0 s1 s2 s3 starts
# ARGV most longest_id largest_body, the place where each stream begins ("": none of it), host, the token of its start
LOOK: Final = (
    _MISSING
    + """
local most, news, cursor, items = tonumber(ARGV[1]), {}, '0', {}
local token = ARGV[9] ~= '' and (redis.call('HGET', KEYS[10], ARGV[8]) or ''):match('^%x+')
if token and token ~= ARGV[9] then return {{}, {}, 1} end
repeat
    local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', most)
    cursor = page[1]
    for n, each in ipairs(page[2]) do news[#news + 1] = (n % 2 == 1 or #each <= tonumber(ARGV[3])) and each or '' end
until cursor == '0' or #news >= 2 * most
local id = redis.call('HGET', KEYS[3], 'id')
if not id then return {news, {}, 1} end
local owed = missing(KEYS[4], id)
for stream = 0, 3 do
    local place, left = ARGV[4 + stream], most - #items
    local found = place ~= '' and left > 0 and redis.call('XRANGE', KEYS[6 + stream], place, '+', 'COUNT', left) or {}
    for _, each in ipairs(found) do
        local fields = each[2]
        if #fields == 6 and #fields[2] <= tonumber(ARGV[2]) and #fields[4] <= tonumber(ARGV[3]) then
            local epoch, attempt = fields[6], redis.call('HGET', KEYS[2], fields[2])
            if attempt and attempt:sub(1, 1) == '~' then attempt = false end
            local lapsed = epoch ~= id and (owed > 0 or redis.call('HEXISTS', KEYS[5], epoch) == 0)
            items[#items + 1] = {stream, each[1], fields[2], fields[4], attempt, lapsed and 1 or 0}
        else
            items[#items + 1] = {stream, each[1], each[1], '', false, 0}
        end
    end
end
return {news, items, (cursor == '0' and #items < most) and 1 or 0}
"""
)

# KEYS lease open at asked | ARGV token request copies n, n ids, foreign ids
BEGIN: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local n, gone = tonumber(ARGV[4]), {}
for i = 5 + n, #ARGV do
    if redis.call('HEXISTS', KEYS[3], ARGV[i]) == 0 then gone[#gone + 1] = ARGV[i] end
end
if #gone > 0 then return gone end
for i = 5, 4 + n do
    local before = redis.call('HGET', KEYS[2], ARGV[i])
    local leaves_copy = ARGV[3] == '1' or (before and before:sub(1, 1) ~= '~')
    redis.call('HSET', KEYS[2], ARGV[i], (leaves_copy and '' or '~') .. ARGV[1])
end
redis.call('ZADD', KEYS[4], '+inf', ARGV[2])
return {}
"""

# KEYS lease open at asked state s0 s1 s2 s3 stories, news of each
# ARGV token request unsent channel most n_done n_waiting keep_ms most_stories,
# id result arrived of each done, id doubt of each waiting, name value of each state
SETTLE: Final = (
    NOW
    + """
local done, waiting = tonumber(ARGV[6]), tonumber(ARGV[7])
local i, hosts = 10, {}
for d = 1, done do
    local id, place = ARGV[i], redis.call('HGET', KEYS[3], ARGV[i])
    if place then
        local stream = KEYS[6 + (tonumber(place:match('^[0-3]')) or 0)]
        redis.pcall('XDEL', stream, place:sub(3))
        redis.call('HDEL', KEYS[3], id)
    end
    redis.call('HDEL', KEYS[2], id)
    redis.call(ARGV[i + 2] == '1' and 'HSET' or 'HSETNX', KEYS[10 + d], id, ARGV[i + 1])
    redis.call('PEXPIRE', KEYS[10 + d], ARGV[8])
    hosts[d] = KEYS[10 + d]:match('news:(.*)$')
    i = i + 3
end
for _ = 1, waiting do
    local noted = redis.call('HGET', KEYS[2], ARGV[i])
    if noted == ARGV[1] or noted == '~' .. ARGV[1] then
        if ARGV[i + 1] == '1' then redis.call('HSET', KEYS[2], ARGV[i], '?' .. ARGV[1])
        else redis.call('HDEL', KEYS[2], ARGV[i]) end
    end
    i = i + 2
end
if ARGV[2] ~= '' then
    if ARGV[3] == '1' then redis.call('ZREM', KEYS[4], ARGV[2])
    else redis.call('ZADD', KEYS[4], now, ARGV[2]) end
    redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - tonumber(ARGV[5]))
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
    while i < #ARGV do
        local is_story = ARGV[i]:sub(1, 6) == 'story '
        if ARGV[i + 1] == '' then
            redis.call('HDEL', KEYS[5], ARGV[i])
            redis.call('ZREM', KEYS[10], ARGV[i])
        else
            redis.call('HSET', KEYS[5], ARGV[i], ARGV[i + 1])
            if is_story then redis.call('ZADD', KEYS[10], now, ARGV[i]) end
        end
        i = i + 2
    end
    local surplus = redis.call('ZCARD', KEYS[10]) - tonumber(ARGV[9])
    if surplus > 0 then
        local old = redis.call('ZPOPMIN', KEYS[10], surplus)
        for n = 1, #old, 2 do redis.call('HDEL', KEYS[5], old[n]) end
    end
end
if done > 0 then redis.call('PUBLISH', ARGV[4], 'done ' .. table.concat(hosts, ' ')) end
return 1
"""
)

# KEYS epoch witnesses past open | ARGV host epoch before n_senders n_open token, senders, open ids, doubtful ids
ACCOUNT: Final = """
local id, senders, open = redis.call('HGET', KEYS[1], 'id'), tonumber(ARGV[4]), tonumber(ARGV[5])
if id ~= ARGV[2] then return 0 end
for n = 7, 6 + senders do redis.call('HSETNX', KEYS[2], ARGV[n], '') end
for n = 7 + senders, 6 + senders + open do redis.call('HSET', KEYS[4], ARGV[n], ARGV[6]) end
for n = 7 + senders + open, #ARGV do redis.call('HSETNX', KEYS[4], ARGV[n], '?' .. ARGV[6]) end
redis.call('HSET', KEYS[2], ARGV[1], id)
if ARGV[3] ~= '' and id:sub(-2) == '.0' then redis.call('HSET', KEYS[3], ARGV[3], '') end
return 1
"""

# KEYS state asked | ARGV largest, most
LEARNED: Final = (
    NOW
    + """
for _, open in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '+inf', '+inf')) do redis.call('ZADD', KEYS[2], now, open) end
local all, some, size = redis.call('HGETALL', KEYS[1]), {}, 0
for n = 1, #all, 2 do
    size = size + #all[n] + #all[n + 1]
    if size > tonumber(ARGV[1]) then break end
    some[n], some[n + 1] = all[n], all[n + 1]
end
return {some, redis.call('ZRANGE', KEYS[2], -ARGV[2], -1, 'WITHSCORES')}
"""
)

# KEYS stream at bad | ARGV place id body priority most kept_ms
QUARANTINE: Final = """
redis.call('XDEL', KEYS[1], ARGV[1])
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[4] .. '/' .. ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[2]) end
if redis.call('HLEN', KEYS[3]) < tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
    redis.call('PEXPIRE', KEYS[3], ARGV[6])
end
return 1
"""

# KEYS of a target or scope | ARGV the type that each has to have, whether they are a target's (its memory is deleted then), kept_ms
PUT_ASIDE: Final = """
local aside = {}
for n, key in ipairs(KEYS) do
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= ARGV[n] then
        redis.call('RENAME', key, key .. ':wrong')
        redis.call('PEXPIRE', key .. ':wrong', ARGV[#KEYS + 2])
        aside[#aside + 1] = key
    end
end
if ARGV[#KEYS + 1] == '1' and #aside > 0 then
    for n, key in ipairs(KEYS) do
        if ARGV[n] == 'stream' or key:sub(-3) == ':at' or key:sub(-6) == ':epoch' then redis.call('DEL', key) end
    end
end
return aside
"""

# KEYS seen notes starts | ARGV host note keep_ms missing_ms most most_missing largest start live_ms ended
NOTE: Final = (
    NOW
    + _REFUSED
    + """
local other = refused(KEYS[3], KEYS[1], ARGV[1], ARGV[8], now, ARGV[9])
if other then return {other, {}} end
if ARGV[8] ~= '' then redis.call('HSET', KEYS[3], ARGV[1], ARGV[10] ~= '' and ARGV[10] or ARGV[8]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 60000, '+inf')
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[3]))
local surplus = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[5])
if surplus > #gone then gone = redis.call('ZRANGE', KEYS[1], 0, surplus - 1) end
for _, host in ipairs(gone) do
    redis.call('ZREM', KEYS[1], host)
    redis.call('HDEL', KEYS[2], host)
    redis.call('HDEL', KEYS[3], host)
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[3]) end
local missing, all = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]), 'WITHSCORES'), {}
for i = #missing - 1, math.max(1, #missing - 2 * tonumber(ARGV[6]) + 1), -2 do
    local note = (redis.call('HGET', KEYS[2], missing[i]) or ''):sub(1, ARGV[7])
    all[#all + 1] = {missing[i]:sub(1, ARGV[7]), tonumber(missing[i + 1]), now - tonumber(missing[i + 1]), note}
end
return {{}, all}
"""
)

# KEYS seen notes | ARGV largest
HOSTS: Final = (
    NOW
    + """
local seen, all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), {}
for i = 1, #seen, 2 do
    local note = (redis.call('HGET', KEYS[2], seen[i]) or ''):sub(1, ARGV[1])
    all[#all + 1] = {seen[i]:sub(1, ARGV[1]), tonumber(seen[i + 1]), now - tonumber(seen[i + 1]), note}
end
return all
"""
)

# KEYS at open s0 s1 s2 s3 | ARGV ids
WITHDRAW: Final = """
local found = {}
for _, id in ipairs(ARGV) do
    local place = redis.call('HGET', KEYS[1], id)
    local noted = place and redis.call('HGET', KEYS[2], id)
    if place and (not noted or noted:sub(1, 1) == '?') then
        redis.call('XDEL', KEYS[3 + place:sub(1, 1)], place:sub(3))
        redis.call('HDEL', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id)
        found[#found + 1] = id
        found[#found + 1] = noted and 1 or 0
    end
end
return found
"""
