# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For the tests of this directory: a proxy from a site directory, and TAP.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# In a network namespace of its own, where that is allowed: another run's sockets
# would share the ports (SO_REUSEPORT) and take half of the connections.
if [ -z "${WEIR_OWN_NET:-}" ] && unshare -n true 2>/dev/null; then
	WEIR_OWN_NET=1 exec unshare -n "$0" "$@"
fi
[ -z "${WEIR_OWN_NET:-}" ] || ip link set lo up
bin=${WEIR_BIN:-${WEIR_BUILD:-$here/../../build}/tests}
dir=$(mktemp -d)
driver=
pid= # of the proxy itself
others=()
n=0
status=0

finish() {
	exec 3>&-
	[ -z "$driver" ] || wait "$driver"
	for p in ${others[@]+"${others[@]}"}; do kill "$p" 2>/dev/null; done
	wait
	rm -rf "$dir"
}
trap finish EXIT

# proxy SITE [name=value...]: starts it; commands go to descriptor 3.
proxy() {
	mkfifo "$dir/in"
	"$bin/weir-proxy-driver" "$@" <"$dir/in" >>"$dir/out" 2>"$dir/err" &
	driver=$!
	exec 3>"$dir/in"
	await 'ready' || { sed 's/^/# /' "$dir/err"; exit 1; }
	pid=$(sed -n 's/^ready pid=//p' "$dir/out")
}

# proxy_over epoll|uring SITE [name=value...]: one after the other; false where
# the kernel has no such ring.
proxy_over() {
	local io=$1
	shift
	rm -f "$dir/in" "$dir/out"
	WEIR_TEST_IO=$io proxy "$@"
	grep 'io_uring: .* uses epoll' "$dir/err" | sed 's/^/# /'
	! grep -q 'io_uring: .* uses epoll' "$dir/err"
}

# proxy_end: lets the proxy end, and returns what the driver did.
proxy_end() {
	local r=0
	exec 3>&-
	wait "$driver" || r=$?
	driver=
	return $r
}

# await PATTERN [FILE]: until it stands there, or in the driver's output.
await() {
	for _ in $(seq 250); do
		grep -q "$1" "${2-$dir/out}" && return 0
		sleep 0.02
	done
	return 1
}

# backend LISTEN...: weir-echo, until the end of the test.
backend() {
	"$bin/weir-echo" "$@" >"$dir/echo.$#" 2>&1 3>&- &
	others+=($!)
	for _ in $(seq 100); do
		grep -q ready "$dir/echo.$#" && return 0
		sleep 0.02
	done
	return 1
}

# site_service NAME PORT ENDPOINT...: a Service of the site, with that many
# endpoints; replaced in one step.
site_service() {
	local name=$1 port=$2 list=
	shift 2
	[ $# -eq 0 ] || list=$(printf '{addresses: [%s], conditions: {ready: true}},' "$@")
	cat >"$dir/site/$name.yaml.new" <<-YAML
	apiVersion: v1
	kind: Service
	metadata: {name: $name, namespace: default}
	spec: {ports: [{name: p, port: 80, targetPort: $port}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: $name-1, namespace: default, labels: {kubernetes.io/service-name: $name}}
	addressType: IPv4
	ports: [{name: p, port: $port, protocol: TCP}]
	endpoints: [${list%,}]
	YAML
	mv "$dir/site/$name.yaml.new" "$dir/site/$name.yaml"
}

# stat NAME: of the driver's counters, now.
stat_of() {
	: >"$dir/out"
	echo stats >&3
	await 'requests='
	tr ' ' '\n' <"$dir/out" | sed -n "s/^$1=//p" | tail -1
}

# A plan of what the site is now; returns when it is in force.
reload() {
	: >"$dir/out"
	echo reload >&3
	await 'acked'
}

# Or the test is skipped.
needs_python() {
	python3 -c 'import socket' 2>/dev/null && return
	echo "1..0 # SKIP python3 is not installed"
	exit 0
}

# ok TEXT CONDITION...: a TAP line by the status of the command.
ok() {
	local text=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $text"
	else
		echo "not ok $n - $text"
		status=1
	fi
}

plan() {
	echo "1..$n"
	exit $status
}
