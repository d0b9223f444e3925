# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # tag, core, work, out, B, rounds, seconds: set by run
# Topology, targets and bookkeeping of tests/bench/run.
#
#   c --- r|n|h|p|x|w --- b     one gateway namespace per hop, so that one
#    \--------------------/     target's hooks and conntrack do not touch another
#         direct                (10.99.9.0/24); k holds the connect-plane agent

gateways='r n h p x w'

note() {
	if [ -t 2 ]; then printf '\r\033[K%s' "$*" >&2; else printf '%s\n' "$*" >&2; fi
}

# Not "ip netns exec": that mounts another /sys, without bpffs and cgroups.
in_ns() {
	local ns=$1
	shift
	nsenter --net="/run/netns/$tag-$ns" -- taskset -c "$core" "$@"
}

# What an earlier run or this one left; nothing in here may stop it half-way.
cleanup_all() {
	cgroup=$(cgroup2_root)/$tag
	(set +e && cleanup_each) || true
}

cleanup_each() {
	local p ns d
	for p in /tmp/"$tag".*/*.pid; do
		[ -e "$p" ] && kill "$(cat "$p")" 2>/dev/null
	done
	for ns in $(ip netns list 2>/dev/null | awk -v t="^$tag-" '$1 ~ t {print $1}'); do
		ip netns pids "$ns" | xargs -r kill -9 2>/dev/null
	done
	for d in /sys/fs/bpf/"$tag"-*; do
		[ -d "$d" ] && "$B/weir-agent" --detach --pin-dir "$d" >/dev/null 2>&1
		rm -rf "$d" 2>/dev/null
	done
	for ns in $(ip netns list 2>/dev/null | awk -v t="^$tag-" '$1 ~ t {print $1}'); do
		ip netns del "$ns"
	done
	for d in "$cgroup/with" "$cgroup/without" "$cgroup"; do
		[ -d "$d" ] || continue
		xargs -r kill -9 <"$d/cgroup.procs" 2>/dev/null
		rmdir "$d" 2>/dev/null
	done
	rm -rf /tmp/"$tag".*
}

# Where cgroup v2 is mounted.
cgroup2_root() {
	awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts
}

# link NS_A DEV ADDR_A NS_B DEV ADDR_B
link() {
	ip -n "$tag-$1" link add "$2" type veth peer name "$5" netns "$tag-$4"
	ip -n "$tag-$1" addr add "$3" dev "$2"
	ip -n "$tag-$4" addr add "$6" dev "$5"
	ip -n "$tag-$1" link set "$2" up
	ip -n "$tag-$4" link set "$5" up
}

topology() {
	local i=0 g d
	for g in c b k $gateways; do
		ip netns add "$tag-$g"
		ip -n "$tag-$g" link set lo up
		in_ns "$g" sysctl -qw net.ipv4.ip_local_port_range='1024 60000'
	done
	link c direct 10.99.9.1/24 b direct 10.99.9.2/24
	for g in $gateways; do
		i=$((i + 1))
		link c "to-$g" "10.99.1$i.1/24" "$g" client "10.99.1$i.2/24"
		link b "to-$g" "10.99.2$i.2/24" "$g" back "10.99.2$i.1/24"
		ip -n "$tag-b" addr add "10.99.2$i.3/24" dev "to-$g"
		in_ns "$g" sysctl -qw net.ipv4.ip_forward=1
		ip -n "$tag-c" route add "10.99.2$i.0/24" via "10.99.1$i.2"
		ip -n "$tag-b" route add "10.99.1$i.0/24" via "10.99.2$i.1"
		ip -n "$tag-c" route add "$(vip "$g")/32" via "10.99.1$i.2"
	done
	# The kernel's default may be BBR, which costs bulk a factor of 2-6 on veth.
	for g in c b k $gateways; do
		ip -n "$tag-$g" route show | while read -r d; do
			# shellcheck disable=SC2086
			ip -n "$tag-$g" route change $d congctl cubic 2>/dev/null || true
		done
	done
	mkdir -p "$cgroup/with" "$cgroup/without"
}

index_of() {
	local i=0 g
	for g in $gateways; do
		i=$((i + 1))
		[ "$g" = "$1" ] && echo $i && return
	done
}

vip() { echo "10.99.3$(index_of "$1").1"; }
backend() { echo "10.99.2$(index_of "$1").$2"; }

# Each path has its own backend port: with one port, TIME_WAIT of one path
# makes the backend drop SYNs of another (PAWS).
start_backends() {
	local p
	mkdir -p "$work/www"
	head -c 1048576 /dev/urandom >"$work/www/1m"
	{
		echo "worker_processes 1; daemon off; pid $work/nginx.pid;"
		echo "error_log $work/nginx.err; events { worker_connections 8192; }"
		echo "http { access_log off; sendfile on; keepalive_requests 1000000000;"
		echo "keepalive_timeout 600; client_body_temp_path $work/t1;"
		echo "proxy_temp_path $work/t2; fastcgi_temp_path $work/t3;"
		echo "uwsgi_temp_path $work/t4; scgi_temp_path $work/t5; server {"
		for p in $(seq 8001 8008); do echo "listen $p reuseport backlog=4096;"; done
		echo "location /1m { root $work/www; }"
		# shellcheck disable=SC2016 # nginx's variable
		echo 'location / { default_type text/plain; return 200 "$server_addr "; } } }'
	} >"$work/nginx.conf"
	in_ns b nginx -p "$work" -c "$work/nginx.conf" &
	echo $! >"$work/nginx-main.pid"
	wait_http_ns c 10.99.9.2:8001 x 5000
}

start_nft() {
	in_ns n nft -f - <<-EOF
		table ip bench {
			chain pre {
				type nat hook prerouting priority dstnat;
				ip daddr $(vip n) tcp dport 80 dnat to numgen random mod 10 map {
					0-8 : $(backend n 2) . 8003, 9 : $(backend n 3) . 8003 }
			}
		}
	EOF
}

start_haproxy() {
	cat >"$work/haproxy.cfg" <<-EOF
		global
			nbthread 1
			maxconn 4000
		defaults
			mode http
			timeout connect 5s
			timeout client 60s
			timeout server 60s
			http-reuse always
			option splice-response
		frontend f
			bind $(backend_side h):80
			acl api path_beg /
			use_backend b if api
		backend b
			server s1 $(backend h 2):8008 weight 90
			server s2 $(backend h 3):8008 weight 10
	EOF
	in_ns h haproxy -f "$work/haproxy.cfg" -db >"$work/haproxy.log" 2>&1 &
	echo $! >"$work/haproxy.pid"
}

backend_side() { echo "10.99.1$(index_of "$1").2"; }

url() {
	case $1 in
	direct) echo 10.99.9.2:8001 ;;
	routed) echo "$(backend r 2):8002" ;;
	nft) echo "$(vip n):80" ;;
	haproxy) echo "$(backend_side h):80" ;;
	weir-connect) echo 10.99.100.1:80 ;;
	weir-packet) echo "$(vip p):80" ;;
	weir-packet-redirect) echo "$(vip x):80" ;;
	weir-proxy) echo "$(vip w):80" ;;
	esac
}

# ------------------------------------------------------------------ manifests
service() { # NAME PORT ADDR...
	local name=$1 port=$2 a
	shift 2
	cat <<-EOF
		---
		apiVersion: v1
		kind: Service
		metadata: {name: $name, namespace: default}
		spec: {ports: [{port: $port, protocol: ${proto:-TCP}}]}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata:
		  name: $name
		  namespace: default
		  labels: {kubernetes.io/service-name: $name}
		addressType: IPv4
		ports: [{port: $port, protocol: ${proto:-TCP}}]
		endpoints:
	EOF
	for a in "$@"; do echo "- {addresses: [$a], nodeName: bench}"; done
}

gateway() { # ADDRESS PROTOCOL:PORT...
	local address=$1 l
	shift
	cat <<-EOF
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: GatewayClass
		metadata: {name: weir}
		spec: {controllerName: weir.dev/gateway-controller}
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: Gateway
		metadata: {name: gw, namespace: default}
		spec:
		  gatewayClassName: weir
		  addresses: [{value: $address}]
		  listeners:
	EOF
	for l in "$@"; do
		echo "  - {name: l${l#*:}, protocol: ${l%:*}, port: ${l#*:}}"
	done
}

route() { # KIND NAME LISTENER BACKEND:PORT:WEIGHT...
	local kind=$1 name=$2 section=$3 b version=v1 refs=''
	shift 3
	case $kind in TCPRoute | UDPRoute) version=v1alpha2 ;; esac
	for b in "$@"; do
		refs="$refs{name: ${b%%:*}, port: $(echo "$b" | cut -d: -f2), weight: ${b##*:}}, "
	done
	cat <<-EOF
		---
		apiVersion: gateway.networking.k8s.io/$version
		kind: $kind
		metadata: {name: $name, namespace: default}
		spec:
		  parentRefs: [{name: gw, sectionName: $section}]
		  ${hostname:+hostnames: [$hostname]}
		  rules: [{backendRefs: [${refs%, }]}]
	EOF
}

manifests_connect() {
	local dir=$work/m-connect
	mkdir -p "$dir"
	{
		gateway 10.99.100.1 TCP:80 UDP:5353
		service web 8004 10.99.9.2
		# 64 endpoints, as the bar asks; a UDP connect sends nothing.
		# shellcheck disable=SC2046
		proto=UDP service dns 5353 $(seq -f '10.99.9.%g' 2 65)
		route TCPRoute web l80 web:8004:1
		route UDPRoute dns l5353 dns:5353:1
	} >"$dir/all.yaml"
	echo "$dir"
}

manifests_packet() { # GATEWAY PORT
	local dir=$work/m-$1
	mkdir -p "$dir"
	{
		gateway "$(vip "$1")" TCP:80
		service a "$2" "$(backend "$1" 2)"
		service b "$2" "$(backend "$1" 3)"
		route TCPRoute web l80 "a:$2:90" "b:$2:10"
	} >"$dir/all.yaml"
	echo "$dir"
}

manifests_proxy() { # GATEWAY
	local dir=$work/m-$1
	mkdir -p "$dir"
	{
		gateway "$(vip "$1")" HTTP:80
		service a 8007 "$(backend "$1" 2)"
		service b 8007 "$(backend "$1" 3)"
		route HTTPRoute web l80 a:8007:90 b:8007:10
	} >"$dir/all.yaml"
	echo "$dir"
}

# 5 000 HTTPRoutes, each a host and two weighted backends, over 1 000 Services
# with 10 endpoints each: one file per object.
manifests_5000() {
	local dir=$work/m5000
	mkdir -p "$dir"
	gateway "$(vip "$1")" HTTP:80 >"$dir/gateway.yaml"
	service a 8007 "$(backend "$1" 2)" >"$dir/service-a.yaml"
	service b 8007 "$(backend "$1" 3)" >"$dir/service-b.yaml"
	awk -v dir="$dir" 'BEGIN {
		for (i = 1; i <= 1000; i++) {
			f = dir "/service-" i ".yaml"
			printf "apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: default}\nspec:\n  ports:\n  - port: 80\n", i > f
			close(f)
			f = dir "/slice-" i ".yaml"
			printf "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s%d\n  namespace: default\n  labels:\n    kubernetes.io/service-name: s%d\naddressType: IPv4\nports:\n- port: 8080\nendpoints:\n", i, i > f
			for (j = 0; j < 10; j++)
				printf "- addresses: [10.%d.%d.%d]\n  nodeName: node-%d\n", 100 + int(i / 250), i % 250, j + 1, j > f
			close(f)
		}
		for (i = 2; i <= 5000; i++) {
			f = dir "/route-" i ".yaml"
			printf "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: r%d\n  namespace: default\nspec:\n  parentRefs:\n  - name: gw\n  hostnames:\n  - r%d.example.com\n  rules:\n  - matches:\n    - path:\n        type: PathPrefix\n        value: /\n    backendRefs:\n    - name: s%d\n      port: 80\n      weight: 90\n    - name: s%d\n      port: 80\n      weight: 10\n", i, i, i % 1000 + 1, (i + 7) % 1000 + 1 > f
			close(f)
		}
	}'
	hostname=r1.example.com route HTTPRoute r1 l80 a:8007:1 b:8007:0 >"$work/edit-a.yaml"
	hostname=r1.example.com route HTTPRoute r1 l80 a:8007:0 b:8007:1 >"$work/edit-b.yaml"
	cp "$work/edit-a.yaml" "$dir/route-1.yaml"
}

# ---------------------------------------------------------------------- agent
agent_command() { # NAME MANIFESTS OPTIONS...; sets agent_cmd
	local name=$1 dir=$2
	shift 2
	agent_cmd=("$B/weir-agent" --manifests "$dir" --netns "/run/netns/$tag-$name"
		--pin-dir "/sys/fs/bpf/$tag-$name" --admin "$work/admin-$name.sock"
		--metrics none --workers 1 "$@")
}

start_agent() {
	local name=$1
	agent_command "$@"
	taskset -c "$core" "${agent_cmd[@]}" >"$work/agent-$name.log" 2>&1 &
	echo $! >"$work/agent-$name.pid"
}

stop_agent() {
	local name=$1 pid
	[ -e "$work/agent-$name.pid" ] || return 0
	pid=$(cat "$work/agent-$name.pid")
	kill "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	"$B/weir-agent" --detach --netns "/run/netns/$tag-$name" \
		--pin-dir "/sys/fs/bpf/$tag-$name" >/dev/null 2>&1 || true
	rm -f "$work/agent-$name.pid"
}

# Anonymous PSS of the parent and its children, KiB.
anon_pss() {
	local parent pid sum=0
	parent=$(cat "$work/agent-$1.pid")
	for pid in $parent $(pgrep -P "$parent"); do
		sum=$((sum + $(awk '/^Pss_Anon/ {print $2}' "/proc/$pid/smaps_rollup")))
	done
	echo $sum
}

map_kib() {
	"$B/weirctl" status --admin "$work/admin-$1.sock" -o json |
		grep -o '"map_bytes": *[0-9]*' | head -1 | awk -F'[: ]+' '{print int($NF / 1024)}'
}

wait_http() { wait_http_ns w "$@"; }

# wait_http_ns NS ADDR:PORT HOST MS
wait_http_ns() {
	local deadline=$(($(date +%s%3N) + $4))
	until in_ns "$1" curl -s -o /dev/null -m 1 -f -H "Host: $3" "http://$2/"; do
		if [ "$(date +%s%3N)" -gt $deadline ]; then
			echo "bench: no answer from $2" >&2
			tail -5 "$work"/agent-*.log >&2 2>/dev/null
			exit 1
		fi
		sleep 0.05
	done
}

# Every target must answer before anything is measured.
wait_route() {
	local deadline=$(($(date +%s%3N) + 10000))
	until load_shell "$1" curl -s -o /dev/null -m 1 -f "http://$(url "$1")/"; do
		[ "$(date +%s%3N)" -lt $deadline ] || {
			echo "bench: $1 does not answer" >&2
			tail -n 20 "$work"/*.log "$work/nginx.err" >&2 2>/dev/null
			exit 1
		}
		sleep 0.1
	done
}

# Runs a client for a target: in the cgroup with weir's hooks only if the
# target is the connect plane.
load_shell() {
	local target=$1 where=without
	shift
	[ "$target" = weir-connect ] && where=with
	# shellcheck disable=SC2016
	in_ns c bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' - "$cgroup/$where" "$@"
}

# --------------------------------------------------------------------- record
record() { # LOAD TARGET METRIC VALUE UNIT
	printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$work/records.tsv"
}

run_wrk() { # LOAD TARGET -c N [--path P] [--close]
	local load=$1 target=$2 conns=1 path=/ header=() text
	shift 2
	while [ $# -gt 0 ]; do
		case $1 in
		-c) conns=$2 && shift 2 ;;
		--path) path=$2 && shift 2 ;;
		--close) header=(-H 'Connection: close') && shift ;;
		esac
	done
	text=$(load_shell "$target" wrk -t 1 -c "$conns" -d "${seconds}s" --latency \
		"${header[@]}" "http://$(url "$target")$path")
	record "$load" "$target" rps "$(awk '/^Requests\/sec/ {print $2}' <<<"$text")" 1/s
	record "$load" "$target" p99_us "$(awk '$1 == "99%" {
		v = $2; if (v ~ /ms/) v *= 1000; else if (v ~ /us/) v += 0; else v *= 1000000
		print v + 0}' <<<"$text")" us
	record "$load" "$target" errors "$(awk '
		/Non-2xx/ {n += $NF} /Socket errors/ {gsub(",", ""); n += $4 + $6 + $8 + $10}
		END {print n + 0}' <<<"$text")" 1
}

versions() {
	printf '"linux": "%s", "haproxy": "%s", "nginx": "%s", "nft": "%s", "wrk": "%s", "weir": "%s", "rounds": %d, "seconds": %d' \
		"$(uname -r)" "$(haproxy -v | awk 'NR == 1 {print $3}')" \
		"$(nginx -v 2>&1 | cut -d/ -f2)" "$(nft -v | awk '{print $2}')" \
		"$(wrk -v 2>&1 | awk 'NR == 1 {print $2}')" \
		"$("$B/weir-agent" --version | awk '{print $2}')" "$rounds" "$seconds"
}

# Medians and ratios (of the medians) to JSON, a table and a plot.
summarise() {
	note ''
	awk -F'\t' -v plot="$work/plot.tsv" -f "$here/summary.awk" "$work/records.tsv" \
		>"$out/results.json"
	versions | sed 's/^/{/; s/$/}/' >"$out/versions.json"
	if [ -s "$work/plot.tsv" ] && command -v gnuplot >/dev/null; then
		gnuplot -e "set terminal svg size 900,420; set output '$out/results.svg';
			set style data histograms; set style fill solid 0.8;
			set ylabel 'requests per second, ratio to routed'; set grid ytics;
			set xtics rotate by -20; set key off; set yrange [0:*];
			set title 'one core, medians of $rounds interleaved rounds';
			plot '$work/plot.tsv' using 2:xtic(1)" 2>/dev/null || true
	fi
	awk -F'"' '/"load"/ {
		value = $0; sub(/.*"value": /, "", value); sub(/,.*/, "", value)
		ratio = $0; sub(/.*"ratio": /, "", ratio); sub(/}$/, "", ratio); sub(/},?$/, "}", ratio)
		gsub(/[{}"]/, "", ratio)
		printf "%-11s %-28s %-14s %14s %-4s %s\n", $4, $8, $12, value, $18, ratio
	}' "$out/results.json"
	echo "written: $out/results.json"
}
