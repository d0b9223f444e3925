# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # tag, core, work, out, B, rounds, seconds: set by run
# Topology and bookkeeping of tests/bench/run.
#
#   c --- one gateway each --- b    so that one target's hooks, listeners and
#    \------------------------/     conntrack do not touch another's
#         direct                    (10.99.9.0/24); k has the connect-plane agent
#
# Gateway number i: 10.99.(10+i).0/24 to the clients, 10.99.(30+i).0/24 to the
# backends, 10.99.(50+i).1 the address that weir and nft serve there.

gateways='r n h s g e f p x w u'

note() {
	if [ -t 2 ]; then printf '\r\033[K%s' "$*" >&2; else printf '%s\n' "$*" >&2; fi
}

die() {
	echo "bench: $*" >&2
	exit 1
}

# Not "ip netns exec": that mounts another /sys, without bpffs and cgroups.
# Descriptor 9 is the lock, which must not outlive the runner.
in_ns() {
	local ns=$1
	shift
	nsenter --net="/run/netns/$tag-$ns" -- taskset -c "$core" "$@" 9>&-
}

# All that is measured is in this run's cgroup, to tell it from strangers.
enter_cgroup() {
	echo "$BASHPID" >"$cgroup/without/cgroup.procs"
}

# In the background; its pid and output in $work/NAME.{pid,log}.
spawn() { # NAME NAMESPACE COMMAND...
	local name=$1 ns=$2
	shift 2
	(enter_cgroup && exec nsenter --net="/run/netns/$tag-$ns" -- taskset -c "$core" "$@" \
		>"$work/$name.log" 2>&1 9>&-) &
	echo $! >"$work/$name.pid"
}

stop_spawned() { # NAME
	local pid tries=100
	[ -e "$work/$1.pid" ] || return 0
	pid=$(cat "$work/$1.pid")
	kill "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || kill -9 "$pid" 2>/dev/null || true
		sleep 0.05
	done
	rm -f "$work/$1.pid"
}

# ----------------------------------------------------------------- cleaning up
# What an earlier run or this one left; nothing in here may stop it half-way.
cleanup_all() {
	cgroup=$(cgroup2_root)/$tag
	(set +e && cleanup_each) || true
}

cleanup_each() {
	local p ns d
	for p in /tmp/"$tag".*/*.pid; do
		# The number may be somebody else's by now.
		[ -e "$p" ] && grep -qs "$tag" "/proc/$(cat "$p")/cmdline" &&
			kill "$(cat "$p")" 2>/dev/null
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

# -------------------------------------------------------------------- topology
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
		i=$(index_of "$g")
		link c "to-$g" "10.99.$((10 + i)).1/24" "$g" client "10.99.$((10 + i)).2/24"
		link b "to-$g" "10.99.$((30 + i)).2/24" "$g" back "10.99.$((30 + i)).1/24"
		ip -n "$tag-b" addr add "$(backend "$g" 3)/24" dev "to-$g"
		in_ns "$g" sysctl -qw net.ipv4.ip_forward=1
		ip -n "$tag-c" route add "10.99.$((30 + i)).0/24" via "$(client_side "$g")"
		ip -n "$tag-b" route add "10.99.$((10 + i)).0/24" via "10.99.$((30 + i)).1"
		ip -n "$tag-c" route add "$(vip "$g")/32" via "$(client_side "$g")"
	done
	# Where the default is BBR, bulk transfers over veth would measure BBR.
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
		if [ "$g" = "$1" ]; then echo $i && return; fi
	done
}

vip() { echo "10.99.$((50 + $(index_of "$1"))).1"; }
client_side() { echo "10.99.$((10 + $(index_of "$1"))).2"; }
backend() { echo "10.99.$((30 + $(index_of "$1"))).$2"; } # GATEWAY 2|3

# Each path has its own backend ports, ten of them: with one port, TIME_WAIT of
# one path makes the backend drop SYNs of another (PAWS).
direct_port=8000
connect_port=8010
port_of() { echo $((8000 + 20 * $(index_of "$1"))); }

start_backends() {
	local p g
	mkdir -p "$work/www"
	head -c 65536 /dev/urandom >"$work/www/64k"
	head -c 1048576 /dev/urandom >"$work/www/1m"
	{
		echo "worker_processes 1; daemon off; pid $work/backend-nginx.pid;"
		echo "error_log $work/backend.err; events { worker_connections 16000; }"
		echo "worker_rlimit_nofile $(ulimit -Hn);"
		echo "http { access_log off; sendfile on; keepalive_requests 1000000000;"
		nginx_temp_paths
		echo "keepalive_timeout 600; server { listen $direct_port reuseport backlog=4096;"
		echo "listen $connect_port reuseport backlog=4096;"
		for g in $gateways; do
			for p in $(seq "$(port_of "$g")" $(($(port_of "$g") + 9))); do
				echo "listen $p reuseport backlog=4096;"
			done
		done
		echo "location /64k { root $work/www; } location /1m { root $work/www; }"
		# shellcheck disable=SC2016 # nginx's variables
		echo 'location / { default_type text/plain; return 200 "$server_addr:$server_port "; } } }'
	} >"$work/backend.conf"
	spawn backend b nginx -p "$work" -c "$work/backend.conf"
	wait_answer direct 5000
}

nginx_temp_paths() {
	local t
	for t in client_body proxy fastcgi uwsgi scgi; do
		echo "${t}_temp_path $work/temp-$t;"
	done
}

# ---------------------------------------------------------------------- agent
agent_command() { # NAME MANIFESTS OPTIONS...; sets agent_cmd
	local name=$1 dir=$2
	shift 2
	# All clients have one address here.
	agent_cmd=("$B/weir-agent" --max-client-connections 0 --manifests "$dir" --netns "/run/netns/$tag-$name"
		--pin-dir "/sys/fs/bpf/$tag-$name" --admin "$work/admin-$name.sock"
		--metrics none --workers 1 "$@")
}

start_agent() {
	local name=$1
	agent_command "$@"
	(enter_cgroup && exec taskset -c "$core" "${agent_cmd[@]}" \
		>"$work/agent-$name.log" 2>&1 9>&-) &
	echo $! >"$work/agent-$name.pid"
}

stop_agent() {
	local name=$1
	[ -e "$work/agent-$name.pid" ] || return 0
	stop_spawned "agent-$name"
	"$B/weir-agent" --detach --netns "/run/netns/$tag-$name" \
		--pin-dir "/sys/fs/bpf/$tag-$name" >/dev/null 2>&1 || true
}

# Anonymous PSS of a process and its children, KiB.
anon_pss() { # NAME of its pid file
	local parent pid sum=0
	parent=$(cat "$work/$1.pid")
	for pid in $parent $(pgrep -P "$parent"); do
		sum=$((sum + $(awk '/^Pss_Anon/ {print $2}' "/proc/$pid/smaps_rollup")))
	done
	echo $sum
}

map_kib() {
	"$B/weirctl" status --admin "$work/admin-$1.sock" -o json |
		grep -o '"map_bytes": *[0-9]*' | head -1 | awk -F'[: ]+' '{print int($NF / 1024)}'
}

# ------------------------------------------------------------ clients, answers
# Runs a client for a target: in the cgroup with weir's hooks only if the
# target is the connect plane.
client() { # TARGET COMMAND...
	local target=$1 where=without
	shift
	[ "$target" = weir-connect ] && where=with
	# shellcheck disable=SC2016
	in_ns c bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' - "$cgroup/$where" "$@"
}

# Every target must answer before anything is measured.
wait_answer() { # TARGET MS [CURL-OPTION...]
	local target=$1 deadline=$(($(date +%s%3N) + $2))
	shift 2
	until client "$target" curl -s -o /dev/null -m 1 -f "$@" "http://$(url "$target")/"; do
		[ "$(date +%s%3N)" -lt $deadline ] || {
			tail -n 20 "$work"/*.log "$work"/*.err >&2 2>/dev/null
			die "$target does not answer"
		}
		sleep 0.05
	done
}

# What arrives must be what the backend has.
check_body() { # TARGET PATH
	case $2 in /64k | /1m) ;; *) return 0 ;; esac
	client "$1" curl -s -f "http://$(url "$1")$2" | cmp -s - "$work/www$2" ||
		die "$1: $2 is not what the backend has"
}

# --------------------------------------------------------------------- measure
record() { # LOAD TARGET METRIC VALUE UNIT
	[ -n "$4" ] || die "$1, $2: no value for $3"
	printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$work/records.tsv"
}

# "NOW IDLE OURS", microseconds: the time, how long the core was idle so far,
# and what this run's processes have used of it.  Busy is time less idle: idle
# time is exact, the kernel counts the others by ticks.
core_clock() {
	awk -v "cpu=cpu$core" -v "now=$(date +%s%N)" -v "hz=$(getconf CLK_TCK)" '
		$1 == cpu {idle = ($5 + $6 + $9) * 1000000 / hz}
		$1 == "usage_usec" {printf "%.0f %.0f %.0f\n", now / 1000, idle, $2}' \
		/proc/stat "$cgroup/cpu.stat"
}

# Work of the whole core, the kernel's included, for one request; and the share
# of it that was no process of ours, for which strangers are the first suspects.
record_cpu() { # LOAD TARGET "CLOCK BEFORE" "CLOCK AFTER" REQUESTS
	local per_request others
	read -r per_request others < <(awk -v "n=$5" '
		{now = $1 - now; idle = $2 - idle; ours = $3 - ours}
		END {if (n > 0) printf "%.3f %.1f\n", (now - idle) / n, \
			(now - idle - ours) * 100 / now}' <<<"$3
$4") || die "$1, $2: no request was answered"
	record "$1" "$2" cpu_us_per_request "$per_request" us
	record "$1" "$2" others_percent "$others" %
}

run_wrk() { # LOAD TARGET -c N [--path P] [--close] [--headers10] [--routes N]
	local load=$1 target=$2 conns=1 path=/ header=() script=() tail=() text before
	shift 2
	while [ $# -gt 0 ]; do
		case $1 in
		-c) conns=$2 && shift 2 ;;
		--path) path=$2 && shift 2 ;;
		--close) header=(-H 'Connection: close') && shift ;;
		--headers10) header=("${headers10[@]}") && shift ;;
		--routes) script=(-s "$here/routes.lua") && tail=("$2") && shift 2 ;;
		esac
	done
	before=$(core_clock)
	text=$(client "$target" wrk -t 1 -c "$conns" -d "${seconds}s" --latency \
		"${header[@]}" "${script[@]}" "http://$(url "$target")$path" "${tail[@]}") || {
		tail -n 20 "$work"/*.log >&2
		die "$load: wrk found $target gone"
	}
	record_cpu "$load" "$target" "$before" "$(core_clock)" \
		"$(awk '/ requests in / {print $1}' <<<"$text")"
	record "$load" "$target" rps "$(awk '/^Requests\/sec/ {print $2}' <<<"$text")" 1/s
	record "$load" "$target" p50_us "$(wrk_quantile 50% <<<"$text")" us
	record "$load" "$target" p99_us "$(wrk_quantile 99% <<<"$text")" us
	record "$load" "$target" errors "$(awk '
		/Non-2xx/ {n += $NF} /Socket errors/ {gsub(",", ""); n += $4 + $6 + $8 + $10}
		END {print n + 0}' <<<"$text")" 1
}

wrk_quantile() {
	awk -v "q=$1" '$1 == q {
		v = $2; if (v ~ /ms/) v *= 1000; else if (v ~ /us/) v += 0; else v *= 1000000
		print v + 0}'
}

# About 630 bytes, as a browser sends them.
headers10=(
	-H 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'
	-H 'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'
	-H 'Accept-Language: en-US,en;q=0.5'
	-H 'Accept-Encoding: gzip, deflate, br, zstd'
	-H 'Referer: https://shop.example.com/catalogue/garden/tools?page=3&sort=price'
	-H 'Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; cart=45c48cce2e2d7fbdea1afc51c7c6ad26'
	-H 'Upgrade-Insecure-Requests: 1'
	-H 'Sec-Fetch-Dest: document'
	-H 'Sec-Fetch-Mode: navigate'
	-H 'If-None-Match: "d3d9446802a44259755d38e6d163e820"'
)

# --------------------------------------------------------------------- results
versions() {
	printf '{"linux": "%s", "haproxy": "%s", "nginx": "%s", "envoy": "%s", "nft": "%s", "wrk": "%s", "weir": "%s", "rounds": %d, "seconds": %s}\n' \
		"$(uname -r)" "$(haproxy -v | awk 'NR == 1 {print $3}')" \
		"$(nginx -v 2>&1 | cut -d/ -f2)" "$envoy_version" \
		"$(nft -v | awk '{print $2}')" \
		"$(wrk -v 2>&1 | awk 'NR == 1 {print $2}')" \
		"$("$B/weir-agent" --version | awk '{print $2}')" "$rounds" "$seconds"
}

# Medians and ratios (of the medians) to JSON, a plot, a table, the bars.
summarise() {
	note ''
	awk -F'\t' -v plot="$work/plot.tsv" -f "$here/summary.awk" "$work/records.tsv" \
		>"$out/results.json"
	versions >"$out/versions.json"
	if [ -s "$work/plot.tsv" ] && command -v gnuplot >/dev/null; then
		gnuplot -e "data='$work/plot.tsv'; image='$out/results.svg'; rounds=$rounds" \
			"$here/plot.gp" || true
	fi
	awk -F'\t' -f "$here/table.awk" "$here/bars.tsv" "$out/results.json"
	awk -F'\t' '$3 == "others_percent" {n++; bad += $4 > 8}
		END {if (bad) printf "%d of %d runs shared their core with strangers (over 8 %% of it): repeat them\n", bad, n}' \
		"$work/records.tsv"
	echo "written: $out/results.json"
}
