-- SPDX-License-Identifier: Apache-2.0
-- wrk: requests for a random sample of ROUTES routes (the same in every run),
-- made beforehand, so that only taking the next one is left for the run.
--	wrk ... URL ROUTES
local requests, i = {}, 0

function init(args)
	local routes = tonumber(args[1])
	math.randomseed(1)
	for k = 1, 2000 do
		local r = math.random(0, routes - 1)
		requests[k] = wrk.format("GET", "/p" .. r % 10 .. "/x",
			{ Host = "h" .. math.floor(r / 10) .. ".example.com" })
	end
end

function request()
	i = i % #requests + 1
	return requests[i]
end
