# SPDX-License-Identifier: Apache-2.0
# records.tsv (load, target, metric, value, unit; one line a round) to the JSON
# list of results.json: medians over the rounds, ratios of medians.
function median(key,    n, i, j, t, v) {
	n = count[key]
	for (i = 1; i <= n; i++) v[i] = value[key, i]
	for (i = 2; i <= n; i++) {
		t = v[i]
		for (j = i - 1; j >= 1 && v[j] > t; j--) v[j + 1] = v[j]
		v[j + 1] = t
	}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
{
	key = $1 SUBSEP $2 SUBSEP $3
	if (!(key in count)) order[++keys] = key
	value[key, ++count[key]] = $4
	unit[key] = $5
}
END {
	split("direct routed nft haproxy", peers, " ")
	print "["
	for (k = 1; k <= keys; k++) {
		split(order[k], part, SUBSEP)
		m = median(order[k])
		ratio = ""
		for (p = 1; p in peers; p++) {
			peer = part[1] SUBSEP peers[p] SUBSEP part[3]
			if (peers[p] == part[2] || !(peer in count) || median(peer) == 0) continue
			ratio = ratio (ratio ? ", " : "") sprintf("\"%s\": %.3f", peers[p], m / median(peer))
			if (peers[p] == "routed" && part[3] == "rps")
				printf "%s/%s\t%.3f\n", part[1], part[2], m / median(peer) > plot
		}
		printf "  {\"load\": \"%s\", \"target\": \"%s\", \"metric\": \"%s\", \"value\": %.2f, \"unit\": \"%s\", \"rounds\": %d, \"ratio\": {%s}}%s\n", \
			part[1], part[2], part[3], m, unit[order[k]], count[order[k]], ratio, k < keys ? "," : ""
	}
	print "]"
}
