#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Revisions of Knative whose pods take so many requests at once and no more
# (containerConcurrency), in Serve mode: who goes where, who waits, in what
# order, and for how long.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/knative.sh
. "$here/knative.sh"

log=$dir/pods
: >"$log"
code() { tail -n 1 "$dir/answer.$1" | cut -d' ' -f1; }
seconds() { tail -n 1 "$dir/answer.$1" | cut -d' ' -f2; }
pod() { head -n 1 "$dir/answer.$1"; }
# go HOST SECONDS [CURL-ARG...]: a request that takes so long; its ID is $asked.
go() {
	local host=$1
	path=/wait/$2/$((asked + 1))
	shift 2
	ask "$host" "$@"
	mine+=("$last")
}
mine=()
# occupy HOST: a place at a pod, until leave: a client of HTTP/2, whose going away
# is told to the pod.
occupants=()
occupy() {
	path=/wait/60/$((asked + 1))
	ask "$1" -m 60 --http2-prior-knowledge
	occupants+=("$last")
	begun "$asked"
}
leave() {
	kill "${occupants[@]}"
	occupants=()
}
# finished FIRST: the requests from FIRST on have their answers; says how many of
# them are 200.
finished() {
	local i n=0
	wait "${mine[@]}"
	mine=()
	for i in $(seq "$1" "$asked"); do [ "$(code "$i")" != 200 ] || n=$((n + 1)); done
	echo "$n" >"$dir/n"
}
# most POD: the most that was under way there.
most() { awk -v pod="$1" '$1 == pod && $4 > m {m = $4} END {print m + 0}' "$log"; }
# begun ID: it is at a pod.
begun() { await " begin $1 " "$log"; }
# order FIRST: IDs from FIRST on, as they came to pods.
order() { awk -v first="$1" '$2 == "begin" && $3 >= first {printf "%s ", $3}' "$log"; }
again() {
	exec 3>&-
	wait "$driver"
	rm "$dir/in"
	: >"$dir/out"
}

knative_site
ksvc one 1
ksvc three 3
ksvc any 0
knative_serving 127.0.2.1 127.0.2.2
slice one one-1 8012 127.0.3.1 127.0.3.2
slice three three-1 8012 127.0.3.3
slice any any-1 8012 127.0.3.4
/usr/bin/python3 "$here/clients/limited.py" "$log" A=127.0.3.1:8012 B=127.0.3.2:8012 \
	C=127.0.3.3:8012 D=127.0.3.4:8012 ACTIVATOR=127.0.2.2:8012 >"$dir/pods.out" 2>&1 3>&- &
others+=($!)
await ready "$dir/pods.out"
proxy "$dir/site" workers=2 max_held=512 hold_timeout_ms=8000

# One at a time, and never one that waits beside a pod that is free.
different=0
for _ in $(seq 8); do
	occupy one && taken=$(sed -n "s/ begin $asked .*//p" "$log")
	go one 0.01
	finished "$asked"
	[ "$taken" = "$(pod "$asked")" ] || different=$((different + 1))
	leave && becomes in_flight 0
done
ok "of two pods the one that is free gets the next request, eight times in eight" \
	[ "$different $(stat_of QUEUED)" = '8 0' ]
first=$((asked + 1))
for _ in $(seq 40); do go one 0.02; done
finished $first
ok "forty at once: all are answered, and each pod has one at a time" \
	[ "$(cat "$dir/n") $(most A) $(most B)" = '40 1 1' ]
ok "... as some waited: $(stat_of QUEUED)" [ "$(stat_of QUEUED)" -gt 0 ]
first=$((asked + 1))
for _ in $(seq 12); do go three 0.1; done
finished $first
ok "a pod that takes three gets three" [ "$(cat "$dir/n") $(most C)" = '12 3' ]
queued=$(stat_of QUEUED)
first=$((asked + 1))
for _ in $(seq 12); do go any 0.3; done
finished $first
ok "one without a limit gets all: $(most D) at once" \
	[ "$(cat "$dir/n") $(stat_of QUEUED) $(($(most D) > 3))" = "12 $queued 1" ]

# In order, over both workers.
slice one one-1 8012 127.0.3.1 && reload
: >"$log"
occupy one
first=$((asked + 1))
for i in $(seq 8); do go one 0.01 && becomes held "$i"; done
leave
finished $first
ok "they come to the pod in the order in which they came" \
	[ "$(cat "$dir/n") $(order $first)" = "8 $(seq -s ' ' $first "$asked") " ]

# Lines before two revisions, in both workers: the first ones of each have come
# to different workers, as the hash of their ports would have it.
ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }
for at in three three three one; do occupy $at; done
first=$((asked + 1))
for i in $(seq 6); do go one 0.01 && go three 0.01 && becomes held $((2 * i)); done
spent=$(ticks)
sleep 1
spent=$(($(ticks) - spent))
ok "while requests for two revisions wait the workers rest: $spent ticks in a second" \
	[ "$(stat_of held) $((spent < 30))" = '12 1' ]
leave
finished $first
ok "... and all are answered in the end" [ "$(cat "$dir/n")" = 12 ]

# Clients that go away.
: >"$log"
occupy one
first=$((asked + 1))
go one 0.01 && becomes held 1
gone=$last
go one 0.01 && becomes held 2
kill "$gone" && becomes held 1
leave
finished $((first + 1))
ok "a client that goes away lets the next one have its turn, one that is served its place" \
	[ "$(cat "$dir/n") $(order $first)" = "1 $asked " ]

# HTTP/2: streams of one connection.
: >"$log"
h2load -n 30 -c 2 -m 10 -H ':authority: one' "http://$gw:8080/wait/0.02/h2" >"$dir/h2" 2>&1 3>&-
ok "streams of HTTP/2 wait likewise" \
	[ "$(grep -c 'A begin h2 1' "$log") $(most A) $(grep -c ' 30 2xx' "$dir/h2")" = '30 1 1' ]

# Plans that change meanwhile.
: >"$log"
occupy one
first=$((asked + 1))
for i in 1 2 3; do go one 0.01 && becomes held "$i"; done
slice any any-1 8012 127.0.3.3 && reload
ok "another plan changes nothing for those that wait" [ "$(stat_of held)" = 3 ]
slice one one-1 8012 127.0.3.1 127.0.3.2 && reload && becomes held 0
ok "a pod that comes gets them at once, in their order" \
	[ "$(order $first)" = "$(seq -s ' ' $first "$asked") " ]
finished $first
ok "... all of them" [ "$(cat "$dir/n") $(grep -c '^B begin' "$log")" = '3 3' ]
leave

occupy one && occupy one
go one 0.01 && becomes held 1
slice one one-1 8012 127.0.3.4 && reload && becomes held 0
finished "$asked"
ok "pods that go get none of those that wait for them" \
	[ "$(cat "$dir/n") $(pod "$asked")" = '1 D' ]
leave

slice one one-1 8012 127.0.3.1 && reload
: >"$log"
occupy one
first=$((asked + 1))
go one 0.2 && becomes held 1 && go one 0.2 && becomes held 2
slice one one-1 8012 127.0.2.2 && reload && becomes held 0
finished $first
ok "with the activator before the pods all go to it: $(most ACTIVATOR) at once" \
	[ "$(cat "$dir/n") $(grep -c '^ACTIVATOR begin' "$log")" = '2 2' ]
leave

rm "$dir/site/ksvc-three.yaml" "$dir/site/slice-three.yaml"
slice one one-1 8012 127.0.3.1 && reload
: >"$log"
occupy one
first=$((asked + 1))
go one 0.01 && becomes held 1
mv "$dir/site/ksvc-one.yaml" "$dir/one" && reload
mv "$dir/one" "$dir/site/ksvc-one.yaml" && reload
go one 0.01 && becomes held 2
leave
finished $first
ok "a revision that goes from the plan and comes back has one line, in order" \
	[ "$(cat "$dir/n") $(order $first)" = "2 $(seq -s ' ' $first "$asked") " ]

# Pods that do not answer: 127.0.3.9 refuses.
slice one one-1 8012 127.0.3.9 127.0.3.1 && reload
first=$((asked + 1))
for _ in $(seq 20); do go one 0.01; done
finished $first
ok "a pod that refuses is left out, also where the other one is busy" \
	[ "$(cat "$dir/n") $(most A)" = '20 1' ]
slice one one-1 8012 127.0.3.9 && reload
go one 0.01
finished "$asked"
ok "without any other it is 503 at once" \
	awk "BEGIN {exit !($(code "$asked") == 503 && $(seconds "$asked") < 2)}"
ok "nothing waits, nothing is in flight" becomes in_flight 0

# Limits, in one worker: 8 + 1 places.
again
slice one one-1 8012 127.0.3.1
proxy "$dir/site" workers=1 max_held=8 hold_timeout_ms=4000 drain_ms=4000
occupy one
go one 0.01 && becomes held 1
wait "$last"
ok "who waits too long gets 504: after $(seconds "$asked") s" \
	awk "BEGIN {s = $(seconds "$asked"); exit !($(code "$asked") == 504 && s > 3.9 && s < 12)}"
ok "... and is counted" [ "$(stat_of HOLD_TIMEOUT)" = 1 ]
for i in $(seq 7); do go one 0.01; done
becomes HOLD_FULL 2
ok "of nine places one revision alone gets five, others 503" \
	[ "$(stat_of held) $(stat_of HOLD_FULL)" = '5 2' ]
leave
finished "$asked"
go one 2 && begun "$asked"
first=$asked
for i in 1 2 3; do go one 0.01 && becomes held "$i"; done
kill -TERM "$pid"
finished $first
ok "a proxy that ends sends on all that wait" [ "$(cat "$dir/n")" = 4 ]
driver=
plan
