-- The load of `cargo xtask bench commands`: each request places one order that no request before
-- has placed, for one of 100,000 users.
--
-- wrk -s place.lua URL -- SALT [check]
--   SALT   a number that no other run against the same server has: order ids differ by it
--   check  looks at every answer's status; it costs the load generator time, so only warm-ups do

local USERS = 100000
-- Prime, so that consecutive requests are of users far apart and all users get their turn.
local STRIDE = 7919
-- As long as the ids that take their place, since wrk counts the body's bytes.
local USER = "USER" .. string.rep("-", 32)
local ORDER = "ORDER" .. string.rep("-", 31)

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

-- Set per thread and read from outside.
answers = 0
not_created = 0
first_not_created = ""

local at_user, at_order, at_end
local order_prefix
local count = 0

function init(args)
  local salt = tonumber(args[1]) or 0
  if args[2] == "check" then
    response = check
  end
  order_prefix = string.format("%06x%02x-0000-4000-8000-", salt, number)
  local body = '{"order_id":"' .. ORDER .. '","lines":[{"product_id":"5f1d0a4c-7b3e-4a52-9c11-d2f8'
    .. '67b3a90e","seller_id":"c93e5b27-10f4-4d86-8e2a-6b7d0c4f915a","quantity":1,'
    .. '"unit_price_cents":12990,"freight_cents":1572}]}'
  local path = "/v1/users/" .. USER .. "/orders/place"
  local whole = wrk.format("POST", path, { ["Content-Type"] = "application/json" }, body)
  local user_from, user_to = whole:find(USER, 1, true)
  local order_from, order_to = whole:find(ORDER, 1, true)
  at_user = whole:sub(1, user_from - 1) .. "00000000-0000-4000-8000-"
  at_order = whole:sub(user_to + 1, order_from - 1)
  at_end = whole:sub(order_to + 1)
end

function request()
  count = count + 1
  return at_user .. string.format("%012x", count * STRIDE % USERS)
    .. at_order .. order_prefix .. string.format("%012x", count)
    .. at_end
end

function check(status, headers, body)
  answers = answers + 1
  if status ~= 201 then
    not_created = not_created + 1
    if first_not_created == "" then
      first_not_created = status .. " " .. body
    end
  end
end

-- One line of JSON after wrk's own report.
function done(summary, latency, requests)
  local checked, wrong, first = 0, 0, ""
  for _, thread in ipairs(threads) do
    checked = checked + thread:get("answers")
    wrong = wrong + thread:get("not_created")
    if first == "" then first = thread:get("first_not_created") end
  end
  local errors = summary.errors
  io.write(string.format(
    '\nFIGURES {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,'
      .. '"broken":%d,"refused":%d,"timed_out":%d,"checked":%d,"not_created":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency.max, errors.connect + errors.read + errors.write, errors.status, errors.timeout,
    checked, wrong
  ))
  if first ~= "" then io.write("FIRST " .. first:gsub("[\r\n]", " ") .. "\n") end
end
