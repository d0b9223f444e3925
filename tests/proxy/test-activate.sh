#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Local activation: a request for a revision that sleeps is told to the
# autoscaler, and goes to the first pod that answers; where that cannot be, it
# goes to the activator.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/knative.sh
. "$here/knative.sh"

if ! /usr/bin/python3 -c 'import websockets' 2>/dev/null; then
	echo "1..0 # SKIP python3-websockets is not installed"
	exit 0
fi
log=$dir/stats
path=/
: >"$log"

# start FILE ARG...: a stand-in, until it is ready; its process is $started.
start() {
	local file=$1
	shift
	/usr/bin/python3 "$here/clients/knative.py" "$@" >"$dir/$file" 2>"$dir/$file.err" 3>&- &
	started=$!
	others+=("$started")
	for _ in $(seq 250); do
		grep -q ready "$dir/$file" && return 0
		sleep 0.02
	done
	sed 's/^/# /' "$dir/$file.err"
	return 1
}
code() { tail -n 1 "$dir/answer.$1" | cut -d' ' -f1; }
seconds() { tail -n 1 "$dir/answer.$1" | cut -d' ' -f2; }
# told NAME: how many stats say something of it.
told() { grep -c " $1 " "$log"; }
# in_time COMMAND...: within five seconds.
in_time() {
	for _ in $(seq 250); do
		"$@" && return 0
		sleep 0.02
	done
	return 1
}

knative_site
knative_serving 127.0.2.1 127.0.2.2
ksvc a
ksvc b
ksvc one 1
ksvc kept
ksvc slow 0 '' 8081
sed -i 's,annotations: {networking,annotations: {weir.dev/activation: activator\, networking,' "$dir/site/ksvc-kept.yaml"
for name in a b one kept slow; do
	slice $name $name-1 8012 127.0.2.2
	slice $name-pods $name-1-private 8012
done
backend ACTIVATOR=http:127.0.2.2:8012
start autoscaler autoscaler 127.0.2.1 8080 "$log"
autoscaler=$started
proxy "$dir/site" workers=2 reporter=weir-node hold_timeout_ms=6000
ok "the autoscaler is connected" becomes autoscaler_up 1

ask a -H 'K-Proxy-Request: mine' && becomes held 1
ok "a request for a revision that sleeps waits here" [ "$(stat_of held)" = 1 ]
ok "... and is told of at once: one request, under way" \
	in_time grep -q ' default a-1 weir-node 1.00 1$' "$log"
slice a-pods a-1-private 8012 127.0.3.1! && reload
start queue queue 127.0.3.1 8012 0.4 POD
wait $last
ok "it goes to the pod when that answers, before it is Ready" \
	[ "$(code "$asked") $(head -n 1 "$dir/answer.$asked")" = '200 POD' ]
ok "K-Proxy-Request is there once, and ours" \
	[ "$(grep -ic '^K-Proxy-Request' "$dir/answer.$asked") $(grep -c $'^K-Proxy-Request: activator\r$' "$dir/answer.$asked")" = '1 1' ]
ok "the Host is the client's" grep -q $'^Host: a\r$' "$dir/answer.$asked"
ok "counted: $(stat_of activated) request, $(stat_of early_pods) pod" \
	[ "$(stat_of activated) $(stat_of early_pods) $(stat_of held)" = '1 1 0' ]

: >"$log"
for _ in $(seq 8); do
	curl -s -m 10 -o /dev/null -H 'Host: a' "http://$gw:8080/wait/2.6" 3>&- &
done
ok "what is under way is reported each second: eight on average" \
	in_time grep -qE ' a-1 weir-node (7\.[5-9]|8\.0).* 0$' "$log"
# shellcheck disable=SC2046 # several
wait $(jobs -rp | grep -vxE "$driver|$(IFS='|'; echo "${others[*]}")")
sum=$(awk '$3 == "a-1" {n += $6} END {print n}' "$log")
ok "requests add up: $sum of 8" [ "$sum" = 8 ]
quiet() { [ "$(tail -n 1 "$log" | cut -d' ' -f5-)" = '0.00 0' ]; }
ok "then once that nothing is" in_time quiet
lines=$(wc -l <"$log")
sleep 2.2
ok "then nothing" [ "$(wc -l <"$log")" = "$lines" ]

curl -s -m 5 -H 'Host: a' -H 'K-Network-Probe: probe' "http://$gw:8080/" >"$dir/probe"
ok "Knative's probes wake nothing: they are the activator's" grep -q ACTIVATOR "$dir/probe"
curl -s -m 5 -H 'Host: a' -A kube-probe/1.31 "http://$gw:8080/" >"$dir/probe"
ok "so are the kubelet's" grep -q ACTIVATOR "$dir/probe"
for name in one kept; do
	curl -s -m 5 -H "Host: $name" -H 'K-Proxy-Request: mine' "http://$gw:8080/" >"$dir/probe"
	ok "ksvc $name is the activator's, without a header of ours or the client's" \
		[ "$(grep -c ACTIVATOR "$dir/probe") $(grep -ci k-proxy-request "$dir/probe")" = '1 0' ]
done
ok "nothing of it was reported" [ "$(wc -l <"$log")" = "$lines" ]

slice a-pods a-1-private 8012 127.0.3.1
slice a a-1 8012 127.0.3.1 && reload
curl -s -m 5 -H 'Host: a' "http://$gw:8080/" >"$dir/serve"
ok "a revision in Serve mode: straight to the pod, unreported" \
	[ "$(head -n 1 "$dir/serve") $(grep -ci k-proxy-request "$dir/serve") $(wc -l <"$log")" = "POD 0 $lines" ]

# Until its program listens queue-proxy keeps the answer back, here for longer than
# a request may wait.
ask slow && becomes held 1
slice slow-pods slow-1-private 8012 127.0.3.2! && reload
start slow queue 127.0.3.2 8012 60 SLOW 8081
wait $last
ok "a pod whose program listens is known before it says so, after $(seconds "$asked") s" \
	[ "$(code "$asked") $(head -n 1 "$dir/answer.$asked")" = '200 SLOW' ]
slice slow-pods slow-1-private 8012 && reload

# A hundred at once.
slice a a-1 8012 127.0.2.2
slice a-pods a-1-private 8012 && reload
first=$((asked + 1))
for _ in $(seq 100); do ask a; done
becomes held 100
slice a-pods a-1-private 8012 127.0.3.1! && reload
becomes held 0 && becomes in_flight 0
n_ok=0
for i in $(seq $first "$asked"); do [ "$(code "$i")" != 200 ] || n_ok=$((n_ok + 1)); done
ok "a hundred at once wait for one pod: $n_ok are served" [ $n_ok = 100 ]

ask b && becomes held 1
kill "$autoscaler"
wait $last
ok "without an autoscaler those that wait go to the activator" \
	[ "$(code "$asked") $(grep -c ACTIVATOR "$dir/answer.$asked")" = '200 1' ]
ok "... and all that come" [ "$(stat_of autoscaler_up)" = 0 ]
ask b
wait $last
ok "... at once: $(seconds "$asked") s" grep -q ACTIVATOR "$dir/answer.$asked"
start autoscaler2 autoscaler 127.0.2.1 8080 "$log"
ok "when it is back it is connected again" in_time becomes autoscaler_up 1
: >"$log"
ask b && becomes held 1
ok "and told" in_time grep -qE ' default b-1 weir-node (0\.[1-9]|1\.0)[0-9]* 1$' "$log"
wait $last
ok "a revision that does not wake: 504 after $(seconds "$asked") s" \
	awk "BEGIN {s = $(seconds "$asked"); exit !($(code "$asked") == 504 && s > 5.9 && s < 9)}"
ok "... and counted" [ "$(stat_of HOLD_TIMEOUT)" = 1 ]

ask b && becomes held 1
kill -TERM "$pid"
wait $last
ok "a proxy that ends gives them to the activator" grep -q ACTIVATOR "$dir/answer.$asked"
plan
