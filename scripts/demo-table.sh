# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Tables of scripts/demo.  A row is
#	ID | object and rule | client | base | phase | tolerance | NAME=WEIGHT ...
# where base is the direct load that its latency is compared with, and phase
# the phases of its counts: all, or before and after the edit.
#
# Tolerance: points of a share, or "shared".  A rule divides what it is asked in
# all, so a client that has it to itself sees the exact share.  Of two clients
# each sees a sample, and is granted three standard deviations of one; that the
# rule as a whole is exact, the agent's counters show (check_counters).

rows() {
	cat <<'ROWS'
api|HTTPRoute my-app-routes  /api -> my-app|outside|direct-http-outside|all|1|my-app-00001=1
static|HTTPRoute my-app-routes  /static|outside|direct-http-outside|all|1|static-assets=1
canary|HTTPRoute canary|outside|direct-http-outside|before|1|canary-v1=90 canary-v2=10
canary|HTTPRoute canary, after the edit|outside|direct-http-outside|after|1|canary-v1=0 canary-v2=100
shop|HTTPRoute shop -> Knative shop|outside|direct-http-outside|all|1|shop-00001=80 shop-00002=20
shop-local|KIngress shop, by its VIP|pod|direct-http-pod|all|1|shop-00001=80 shop-00002=20
orders|TCPRoute orders|outside|direct-tcp-outside|all|shared|orders-blue=70 orders-green=30
orders-pod|TCPRoute orders|pod|direct-tcp-pod|all|shared|orders-blue=70 orders-green=30
metering|UDPRoute metering|outside|direct-udp-outside|all|shared|metering-a=60 metering-b=40
metering-pod|UDPRoute metering|pod|direct-udp-pod|all|shared|metering-a=60 metering-b=40
ROWS
}

# One line per row: ID, object, client, plane, configured, observed, n, failed,
# p50 direct, p50, worst deviation and tolerance in points (tab-separated).
table() {
	local f list=()
	for f in "$netns_work"/*.json; do
		[[ -s $f ]] && list+=("$f")
	done
	((${#list[@]})) || return 0
	rows | jq -R -s -r --slurpfile loads <(cat "${list[@]}") \
		--slurpfile planes "$netns_work/planes" '
	def round1: . * 10 | round / 10;
	($loads | map({(.label): .}) | add) as $by |
	split("\n")[] | select(. != "") | split("|") as $r |
	($by[$r[0]] // null) as $l | select($l != null) |
	($r[4] as $p | $l.phases |
		if $p == "before" then .[0:1]
		elif $p == "after" then .[2:]
		else . end) as $phases |
	($r[6] | split(" ") | map(split("=") | {name: .[0], weight: (.[1] | tonumber)})) as $want |
	($want | map(.weight) | add) as $total |
	([$phases[].completed] | add // 0) as $n |
	($want | map(. as $w | $w + {got: ([$phases[].backends[$w.name].n // 0] | add // 0)})) as $got |
	($n - ([$got[].got] | add)) as $strays |
	[
		$r[0], $r[1], $r[2],
		($planes[0][$r[0]] // "?"),
		($got | map(.weight * 100 / $total | round1 | tostring) | join(" : ")),
		(if $n == 0 then "-" else ($got | map(.got * 100 / $n | round1 | tostring) | join(" : ")) end),
		$n,
		(([$phases[].failed] | add // 0) + $strays),
		($by[$r[3]].latency_us.p50 // 0),
		$l.latency_us.p50,
		(if $n == 0 then 100 else ([$got[] | .got * 100 / $n - .weight * 100 / $total | fabs] | max) end),
		(if $r[5] != "shared" or $n == 0 then 1 else
			[1, ([$got[] | .weight / $total | . * (1 - .) / $n | sqrt * 300] | max)] | max end)
	] | map(tostring) | join("\t")'
}

print_table() {
	local id what client plane want got n failed base p50 off limit
	printf '%-42s %-8s %-8s %14s %14s %8s %7s %9s\n' RULE CLIENT PLANE \
		CONFIGURED OBSERVED DONE FAILED 'ADDED us'
	while IFS=$'\t' read -r id what client plane want got n failed base p50 off limit; do
		printf '%-42s %-8s %-8s %14s %14s %8s %7s %9s\n' "$what" \
			"$client" "$plane" "$want" "$got" "$n" "$failed" \
			"$(printf '%+d' $((p50 - base)))"
	done
}

lines_shown=0
last_line=0

live_table() { # ELAPSED-TENTHS
	local text n
	if [[ ! -t 1 ]]; then
		# Not a terminal: a line every two seconds is enough.
		(($1 - last_line >= 20)) || return 0
		last_line=$1
		table | awk -F '\t' -v t="$1" '
			{ n += $7; f += $8; if ($11 > off && $7 > 200) off = $11 }
			END { printf "%5.1f s  %d done, %d failed, worst share off by %.2f points\n", t / 10, n, f, off }'
		return 0
	fi
	text=$(
		printf '\n%d.%d of %d s' $(($1 / 10)) $(($1 % 10)) "$seconds"
		[[ $phase == before ]] || printf '   canary edited: 90 : 10 -> 0 : 100'
		[[ -z $effect_us ]] || printf ', in effect within %s ms' "$(ms "$effect_us")"
		printf '\n'
		table | print_table
	)
	((lines_shown == 0)) || printf '\033[%dA' "$lines_shown"
	printf '%s\n' "${text//$'\n'/$'\033[K\n'}"
	n=${text//[!$'\n']/}
	lines_shown=$((${#n} + 1))
}

ms() { # MICROSECONDS
	printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100))
}

final_table() {
	printf '\n'
	table >"$netns_work/final"
	print_table <"$netns_work/final"
}

verdict() {
	local bad=0 id what client plane want got n failed base p50 off limit f
	while IFS=$'\t' read -r id what client plane want got n failed base p50 off limit; do
		if ((n < 100)); then
			say "NOT OK: $what from $client: only $n done"
			bad=1
		fi
		if ((failed)); then
			say "NOT OK: $what from $client: $failed failed"
			bad=1
		fi
		if awk -v a="$off" -v b="$limit" 'BEGIN { exit !(a > b) }'; then
			say "NOT OK: $what from $client: $got, configured $want (tolerance $limit points)"
			bad=1
		fi
	done <"$netns_work/final"
	if [[ $(wc -l <"$netns_work/final") != $(rows | wc -l) ]]; then
		say "NOT OK: not every split was measured"
		bad=1
	fi
	for f in "$netns_work"/*.failures; do
		[[ -s $f ]] || continue
		say "$(basename "$f" .failures): $(grep -c ^failed "$f") failures, the first of them:"
		head -n 3 "$f"
		bad=1
	done
	if [[ -n $effect_us ]]; then
		say "The edit 90 : 10 -> 0 : 100 was in effect within $(ms "$effect_us") ms of replacing the file."
	else
		say "NOT OK: the edit was not seen"
		bad=1
	fi
	check_counters || bad=1
	if ((bad)); then
		say "demo: NOT OK"
	else
		say "demo: OK: every share within its tolerance, nothing failed"
	fi
	return $bad
}

# The agent's own counters against what the clients saw: rule by rule, and for
# connections and datagrams plane by plane.  A UDP flow whose client port comes
# again is not picked anew, so those may be a few less.  And the share of each
# rule as a whole, to half a point.
check_counters() {
	local list=("$netns_work"/*.json) line bad=0
	while IFS=$'\t' read -r line; do
		say "NOT OK: $line"
		bad=1
	done < <(jq -r --slurpfile loads <(cat "${list[@]}") '
		($loads | map({(.label): (.completed + .failed)}) | add) as $seen |
		def rule($object; $index): [.rules[] | select(.object == $object and .index == $index)][0];
		def picks($object; $index; $plane): [rule($object; $index).refs[]["picked_" + $plane]] | add;
		def expect($what; $counted; $n; $least):
			if $counted > $n or $counted < $n * $least
			then "\($what): the agent counted \($counted), clients made \($n)" else empty end;
		expect("my-app-routes /api"; picks("HTTPRoute default/my-app-routes"; 0; "proxy"); $seen.api; 1),
		expect("my-app-routes /static"; picks("HTTPRoute default/my-app-routes"; 1; "proxy"); $seen.static; 1),
		expect("canary"; picks("HTTPRoute default/canary"; 0; "proxy"); $seen.canary; 1),
		expect("shop"; picks("HTTPRoute default/shop"; 0; "proxy"); $seen.shop; 1),
		expect("KIngress shop"; picks("Ingress default/shop"; 0; "proxy"); $seen["shop-local"]; 1),
		expect("orders, connect plane"; picks("TCPRoute default/orders"; 0; "connect"); $seen["orders-pod"]; 1),
		expect("orders, packet plane"; picks("TCPRoute default/orders"; 0; "packet"); $seen.orders; 1),
		expect("metering, connect plane"; picks("UDPRoute default/metering"; 0; "connect"); $seen["metering-pod"]; 1),
		expect("metering, packet plane"; picks("UDPRoute default/metering"; 0; "packet"); $seen.metering; 0.8),
		(.rules[] | select(.object | IN("HTTPRoute default/shop", "TCPRoute default/orders", "UDPRoute default/metering"))
			| .object as $o | ([.refs[].picked] | add) as $all | .refs[]
			| select((.picked / $all - .share | fabs) > 0.005)
			| "\($o): \(.backend) picked \(.picked) of \($all), share \(.share)")
	' "$netns_work/top" 2>&1)
	((bad)) || say "The agent's own counters say the same, plane by plane; the shares of each whole rule are within half a point."
	return $bad
}

# Which plane decides each row, and why: what the agent says about the rule.
# Connection rules are divided where the traffic starts: a client in the
# agent's cgroup by the connect hook, all other by the packet plane.
explain_rules() {
	local id what client base phase verdict plane reason
	: >"$netns_work/why"
	while IFS='|' read -r id what client base phase _; do
		[[ $phase != after ]] || continue # the same rule once more
		case $id in
		api) verdict=$(ctl explain GET http://my-app.example.com/api/v1 --to 198.51.100.10:80 -o json) ;;
		static) verdict=$(ctl explain GET http://my-app.example.com/static/logo.png --to 198.51.100.10:80 -o json) ;;
		canary) verdict=$(ctl explain GET http://canary.example.com/ --to 198.51.100.20:80 -o json) ;;
		shop) verdict=$(ctl explain GET http://shop.example.com/ --to 198.51.100.20:80 -o json) ;;
		shop-local) verdict=$(ctl explain GET http://shop.default/ --to 10.96.10.2:80 -o json) ;;
		orders*) verdict=$(ctl explain tcp 198.51.100.20:9000 -o json) ;;
		metering*) verdict=$(ctl explain udp 198.51.100.20:9001 -o json) ;;
		esac
		plane=$(jq -r '[.. | .plane? // empty][0] // "?"' <<<"$verdict")
		reason=$(jq -r '[.. | .reason? // empty][0] // ""' <<<"$verdict")
		if [[ $plane == connect+packet ]]; then
			[[ $client == pod ]] && plane=connect || plane=packet
		fi
		jq -n --arg k "$id" --arg v "$plane" '{($k): $v}' >>"$netns_work/why.planes"
		printf '%s|%s|%s\n' "$what" "$plane" "$reason" >>"$netns_work/why"
	done < <(rows)
	jq -s add "$netns_work/why.planes" >"$netns_work/planes"
	say 'What weirctl explain says of each rule, its plane and why:'
	sort -u "$netns_work/why" | while IFS='|' read -r what plane reason; do
		printf '  %-42s %-8s %s\n' "$what" "$plane" "$reason"
	done
}
