#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Plans that change every 150 ms, and endpoints that come and go, while clients
# pipeline sixteen requests at a time and while WebSockets begin, talk and end:
# nothing fails.  (Keep-alive and new connections: test-swap.sh, and the kernel
# planes with them: tests/netns/test-stress.sh.)
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$dir/site"
cp "$here/site/site.yaml" "$dir/site/"

# route NAME WEIGHT-A WEIGHT-B [TIMEOUTS]: of the host NAME, to NAME-a and NAME-b
route() {
	cat >"$dir/site/route-$1.yaml.new" <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: $1, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [$1]
	  rules:
	  - backendRefs:
	    - {name: $1-a, port: 80, weight: $2}
	    - {name: $1-b, port: 80, weight: $3}
	    ${4-}
	YAML
	mv "$dir/site/route-$1.yaml.new" "$dir/site/route-$1.yaml"
}

site_service churn-a 9110 127.0.1.2
site_service churn-b 9110 127.0.1.3
site_service ws-a 9102 127.0.1.2
site_service ws-b 9102 127.0.1.3
route churn 1 1
route ws 1 1
backend A=http:127.0.1.2:9110 B=http:127.0.1.3:9110
python3 "$here/clients/churn.py" serve 127.0.1.2:9102 127.0.1.3:9102 >"$dir/ws" 2>&1 3>&- &
others+=($!)
for _ in $(seq 250); do
	grep -q ready "$dir/ws" && break
	sleep 0.02
done
proxy "$dir/site" workers=2

python3 "$here/clients/churn.py" load 127.0.0.30:8080 8 >"$dir/load" 2>"$dir/load.err" 3>&- &
load=$!
plans=0
while kill -0 "$load" 2>/dev/null; do
	i=$((plans % 4))
	route churn $((i % 2)) $(((i + 1) % 2))
	route ws $(((i + 1) % 2)) $((i % 2))
	if ((i < 2)); then
		site_service churn-a 9110 127.0.1.2
		site_service ws-a 9102 127.0.1.3
	else
		site_service churn-a 9110 127.0.1.3 127.0.1.2
		site_service ws-a 9102 127.0.1.2 127.0.1.3
	fi
	reload && plans=$((plans + 1))
	sleep 0.15
done
wait "$load"
ok "pipelining and WebSockets: no failure" [ $? = 0 ]
sed 's/^/# /' "$dir/load" "$dir/load.err" | cut -c1-600
ok "under $plans plans" [ "$plans" -ge 10 ]
value() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$dir/load"; }
ok "$(value answers) answers on $(value connections) connections, by both backends" \
	[ "$(value answers)" -ge 1000 -a "$(value connections)" = 8 -a "$(grep -c '"A", "B"' "$dir/load")" = 1 ]
ok "$(value messages) messages in $(value sessions) WebSockets" \
	[ "$(value messages)" -ge 300 -a "$(value sessions)" -ge 32 ]
ok "nothing is left in flight" [ "$(stat_of in_flight)" = 0 ]

failures() { # CONNECTIONS: how many of twenty requests on each do not get 200
	python3 "$here/clients/churn.py" failures 127.0.0.30:8080 "$1"
}

# Four of five endpoints refuse, and the slices do not say so yet: three tries find
# the fifth, once each worker has met the others.
route churn 1 0
site_service churn-a 9110 127.0.3.1 127.0.3.2 127.0.3.3 127.0.3.4 127.0.1.2
reload
failed=$(failures 10)
ok "four of five endpoints are gone: $failed of 200 requests fail" [ "${failed:-200}" -le 6 ]

# One that was found unreachable and is back comes after two that nobody knows to
# be gone; it is not passed over.  Another Service of the same endpoint notes it.
route one 1 0
site_service one-a 9111 127.0.3.6
site_service one-b 9111
site_service churn-a 9111 127.0.3.6 127.0.3.7 127.0.3.8
reload
back=$(python3 "$here/clients/churn.py" back 127.0.0.30:8080 127.0.3.6:9111)
ok "an endpoint that is back is the third that is tried ($back)" [ "$back" = '(503, 200)' ]

# One of two endpoints does not answer a SYN, and the rule leaves less time than a
# connection has: who has met it sends others elsewhere.
python3 "$here/clients/churn.py" silent 127.0.3.5:9110 >"$dir/full" 3>&- &
others+=($!)
await ready "$dir/full"
route churn 1 0 'timeouts: {request: 300ms}'
site_service churn-a 9110 127.0.3.5 127.0.1.2
reload
failed=$(failures 2)
ok "one of two endpoints is silent: $failed of 40 requests fail" [ "${failed:-40}" -le 4 ]
plan
