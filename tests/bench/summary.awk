# SPDX-License-Identifier: Apache-2.0
# records.tsv (load, target, metric, value, unit; one line a round) to the JSON
# list of results.json: medians over the rounds, ratios of medians.  Ratios are
# to the same load and metric of each peer; "haproxy-best" to the better of
# HAProxy's two settings; "own" to the same target with one route.  Also
# plot.tsv: a line a load, a column a target, requests per second over routed.
function median(key,    n, i, j, t, v) {
	if (key in medians) return medians[key]
	n = count[key]
	for (i = 1; i <= n; i++) v[i] = value[key, i]
	for (i = 2; i <= n; i++) {
		t = v[i]
		for (j = i - 1; j >= 1 && v[j] > t; j--) v[j + 1] = v[j]
		v[j + 1] = t
	}
	return medians[key] = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function add_ratio(name, other) {
	if (other == 0) return
	ratio = ratio (ratio ? ", " : "") sprintf("\"%s\": %.3f", name, m / other)
}
function haproxy_best(load, metric,    a, b) {
	a = median(load SUBSEP "haproxy" SUBSEP metric)
	b = median(load SUBSEP "haproxy-splice" SUBSEP metric)
	return (a > b) == (metric == "rps") ? a : b
}
function ratios(load, target, metric,    p, key) {
	ratio = ""
	if (metric == "errors" || metric == "others_percent") return
	for (p = 1; p <= peers_n; p++) {
		key = load SUBSEP peers[p] SUBSEP metric
		if (peers[p] != target && key in count) add_ratio(peers[p], median(key))
	}
	if (target !~ /^haproxy/ && (load SUBSEP "haproxy" SUBSEP metric) in count &&
	    (load SUBSEP "haproxy-splice" SUBSEP metric) in count)
		add_ratio("haproxy-best", haproxy_best(load, metric))
	key = "routes1" SUBSEP target SUBSEP metric
	if (load ~ /^routes/ && load != "routes1" && key in count) add_ratio("own", median(key))
}
function write_plot(    l, t, key, base) {
	if (!plot || !targets_n) return
	printf "load" > plot
	for (t = 1; t <= targets_n; t++) printf "\t%s", targets[t] > plot
	for (l = 1; l <= loads_n; l++) {
		base = median(loads[l] SUBSEP "routed" SUBSEP "rps")
		printf "\n%s", loads[l] > plot
		for (t = 1; t <= targets_n; t++) {
			key = loads[l] SUBSEP targets[t] SUBSEP "rps"
			printf key in count ? "\t%.3f" : "\t-", key in count ? median(key) / base : 0 > plot
		}
	}
	print "" > plot
}
{
	key = $1 SUBSEP $2 SUBSEP $3
	if (!(key in count)) order[++keys] = key
	value[key, ++count[key]] = $4
	unit[key] = $5
	if ($3 == "rps" && $2 == "routed" && $1 != "rate-p99" && !($1 in is_plotted)) {
		is_plotted[$1] = 1
		loads[++loads_n] = $1
	}
}
END {
	peers_n = split("direct routed nft haproxy haproxy-splice nginx envoy floor", peers, " ")
	print "["
	for (k = 1; k <= keys; k++) {
		split(order[k], part, SUBSEP)
		m = median(order[k])
		ratios(part[1], part[2], part[3])
		if (part[3] == "rps" && part[1] in is_plotted && !(part[2] in has_column)) {
			has_column[part[2]] = 1
			targets[++targets_n] = part[2]
		}
		printf "  {\"load\": \"%s\", \"target\": \"%s\", \"metric\": \"%s\", \"value\": %.2f, \"unit\": \"%s\", \"rounds\": %d, \"ratio\": {%s}}%s\n", \
			part[1], part[2], part[3], m, unit[order[k]], count[order[k]], ratio, k < keys ? "," : ""
	}
	print "]"
	write_plot()
}
