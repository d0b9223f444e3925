# SPDX-License-Identifier: Apache-2.0
# bars.tsv and results.json (one object a line) to tables for eyes.
function text(name,    v) { # the value of a string member of the line
	v = $0
	if (!sub(".*\"" name "\": \"", "", v)) return ""
	sub(/".*/, "", v)
	return v
}
function number(name,    v) {
	v = $0
	if (!sub(".*\"" name "\": ", "", v)) return ""
	sub(/[,}].*/, "", v)
	return v
}
# Of the ratios those that the bars are about.
function main_ratios(    names, n, i, v, s) {
	n = split("direct routed nft haproxy-best floor own", names, " ")
	for (i = 1; i <= n; i++)
		if ((v = number(names[i])) != "") s = s "  " names[i] " " v
	return s
}
FNR == 1 { file++ }
file == 1 {
	if (!/^#/) {
		bar[++bars] = $1 SUBSEP $2 SUBSEP $3
		against[bars] = $4
		direction[bars] = $5
		limit[bars] = $6
	}
	next
}
/"load"/ {
	load = text("load"); target = text("target"); metric = text("metric")
	value = number("value")
	# Errors only if there are some.
	if (metric != "p50_us" && metric != "others_percent" && (metric != "errors" || value + 0 > 0))
		printf "%-13s %-26s %-18s %12s %-4s%s\n", load, target, metric, \
			value, text("unit"), main_ratios()
	for (i = 1; i <= bars; i++)
		if (bar[i] == load SUBSEP target SUBSEP metric)
			got[i] = number(against[i])
}
END {
	for (i = 1; i <= bars; i++) {
		if (got[i] == "") continue
		if (!title++) printf "\nbars\n"
		split(bar[i], part, SUBSEP)
		met = direction[i] == ">=" ? got[i] + 0 >= limit[i] + 0 : got[i] + 0 <= limit[i] + 0
		printf "%-13s %-26s %-18s %-14s %12s %s %-8s %s\n", part[1], part[2], part[3], \
			against[i], got[i], direction[i], limit[i], met ? "met" : "MISSED"
	}
}
