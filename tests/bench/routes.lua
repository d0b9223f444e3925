-- SPDX-License-Identifier: Apache-2.0
-- wrk: requests for a random sample of ROUTES routes (the same in every run),
-- made beforehand, so that only taking the next one is left for the run.  All
-- are different, also with one route: what that costs wrk is no route's cost.
--	wrk ... URL ROUTES
local requests, i = {}, 0

function init(args)
	local routes = tonumber(args[1])
	math.randomseed(1)
	for k = 1, 2000 do
		local r = math.random(0, routes - 1)
		requests[k] = wrk.format("GET", string.format("/p%d/%04d", r % 10, k),
			{ Host = "h" .. math.floor(r / 10) .. ".example.com" })
	end
end

function request()
	i = i % #requests + 1
	return requests[i]
end
