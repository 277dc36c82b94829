-- luarun prepaid_renew.lua UUID
-- Asks for more time on a running call, in a thread of its own: the caller's audio does not wait for the answer.
-- The hangup of the grant before stays scheduled until a new grant replaces it, so nothing here can let a call run on.

local RETRY_S = 2

local uuid = argv[1]
local call = freeswitch.Session(uuid)
if call == nil or not call:ready() then return end
call:setAutoHangup(false)

local api = freeswitch.API()
local answered = tonumber(call:getVariable("prepaid_answer_epoch") or "")
if answered == nil then return end

call:setVariable("prepaid_phase", "update")
call:setVariable("prepaid_used", tostring(os.time() - answered))
for _, name in ipairs({"radius_auth_result", "h323-credit-time", "Acct-Interim-Interval"}) do
  call:execute("unset", name)
end
call:execute("radius_auth", "")

local result = call:getVariable("radius_auth_result") or ""
local granted = string.match(call:getVariable("h323-credit-time") or "", "^([1-9]%d*)$")

local function again(after_s)
  api:executeString("sched_api +" .. after_s .. " " .. uuid .. " luarun prepaid_renew.lua " .. uuid)
end

if result == "0" and granted ~= nil then
  call:setVariable("prepaid_seconds", granted)
  api:executeString("sched_del " .. uuid)
  api:executeString("sched_hangup +" .. granted .. " " .. uuid .. " allotted_timeout")
  local interval = tonumber(call:getVariable("Acct-Interim-Interval") or "")
  local warning_s = tonumber(freeswitch.getGlobalVariable("prepaid_warning_s") or "") or 10
  if interval ~= nil and interval > 0 then
    again(interval)
  elseif tonumber(granted) > warning_s then
    local sound = freeswitch.getGlobalVariable("prepaid_warning") or ""
    api:executeString("sched_api +" .. (tonumber(granted) - warning_s) .. " " .. uuid ..
      " uuid_broadcast " .. uuid .. " " .. sound .. " aleg")
  end
elseif result ~= "2" then
  -- no usable answer: the old grant is still running, so there is time to ask once more
  again(RETRY_S)
end
