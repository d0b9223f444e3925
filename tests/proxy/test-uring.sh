#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is hard on the proxy over io_uring: more connections at a time than it
# has buffers, sends that get stuck, and ends that go with data in flight.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
export WEIR_TEST_IO=uring

proxy "$here/site" workers=1
has_ring() {
	for _ in $(seq 50); do
		readlink "/proc/$pid/fd/"* | grep -q io_uring && return 0
		sleep 0.02
	done
	return 1
}
if ! has_ring && grep -q 'io_uring: .* uses epoll' "$dir/err"; then
	echo "1..0 # SKIP $(grep -o 'io_uring: .*' "$dir/err")"
	exit 0
fi
ok "the worker has a ring" has_ring
backend http:127.0.1.1:9101
load() { # CONNECTIONS REQUESTS URL: responses of 200, and errors
	"$bin/weir-load" --connect 127.0.0.30:8080 -c "$1" -n "$2" --keepalive "$3" |
		jq -r '"\(.statuses["200"]) \(.errors | length)"'
}
# Responses that fill a buffer or more, and are read in one turn.
misses() { # BYTES: connections to the backend for a hundred requests
	local before
	before=$(stat_of pool_misses)
	load 1 100 "http://t/bytes/$1" >/dev/null
	echo $(($(stat_of pool_misses) - before))
}
misses 100 >/dev/null
new=
for size in 3000 4096 5000 10000 30000; do new="$new$(misses $size) "; done
ok "the backend's connection stays, whatever the size: new ones ${new% }" \
	[ "$new" = '0 0 0 0 0 ' ]
ok "1500 connections at a time" [ "$(load 1500 15000 http://t/bytes/100)" = "15000 0" ]
ok "bodies that are spliced" [ "$(load 20 2000 http://t/bytes/200000)" = "2000 0" ]
ok "chunked bodies" [ "$(load 100 2000 http://t/bytes/70000/chunked)" = "2000 0" ]
ok "clients that send on and read late get every byte" \
	timeout 120 python3 "$here/clients/hard-on-sends.py" 127.0.0.30 8080 late
# Sockets that take little, in a network namespace of our own.
wmem=$(cat /proc/sys/net/ipv4/tcp_wmem)
[ -z "${WEIR_OWN_NET:-}" ] || echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_wmem
ok "clients that say that they send no more get every byte" \
	timeout 60 python3 "$here/clients/hard-on-sends.py" 127.0.0.30 8080 end
[ -z "${WEIR_OWN_NET:-}" ] || echo "$wmem" >/proc/sys/net/ipv4/tcp_wmem
ok "clients that go with data in flight" \
	timeout 60 python3 "$here/clients/hard-on-sends.py" 127.0.0.30 8080 gone
# A request waits for its backend, and its client has sent on: nothing is read
# from it meanwhile.  That it is gone is known all the same.
gone() { # PIECES BYTES-OF-EACH: until the proxy has let it go, in s
	local before
	before=$(stat_of CLIENT_GONE)
	python3 - "$1" "$2" <<-'PY'
	import socket, struct, sys, time
	s = socket.create_connection(('127.0.0.30', 8080))
	s.sendall(b'GET /delay/9000 HTTP/1.1\r\nHost: t\r\n\r\n')
	for _ in range(int(sys.argv[1])):
	    time.sleep(0.05)
	    s.sendall(b'x' * int(sys.argv[2]))
	time.sleep(0.2)
	s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
	s.close()
	PY
	for _ in $(seq 100); do
		[ "$(stat_of CLIENT_GONE)" -gt "$before" ] && return 0
		sleep 0.02
	done
	return 1
}
ok "a client that goes after small pieces" gone 8 1
ok "one that goes after more than a buffer takes" gone 1 100000
# A long answer to one that has said that this is all, of which it reads nothing
# for a second: that it has ended must not be told for as long as there is no
# room.
half_closed() {
	timeout 60 python3 - "$pid" <<-'PY'
	import socket, sys, time
	def ticks():
	    return sum(map(int, open(f'/proc/{sys.argv[1]}/stat').read().rsplit(')')[1].split()[11:13]))
	s = socket.socket()
	s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
	s.connect(('127.0.0.30', 8080))
	s.sendall(b'GET /bytes/20000000 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n')
	s.shutdown(socket.SHUT_WR)
	time.sleep(0.5)
	before = ticks()
	time.sleep(1)
	spent = ticks() - before
	n = 0
	while block := s.recv(1 << 20):
	    n += len(block)
	print(f'# {spent} ticks of 10 ms, {n} bytes')
	sys.exit(spent > 30 or n < 20000000)
	PY
}
ok "one that ends its side and does not read costs little, and gets all" half_closed
ok "others are served meanwhile" [ "$(load 100 2000 http://t/bytes/100)" = "2000 0" ]
# A socket that a read still holds on to has not said good-bye.
all_gone() {
	for _ in $(seq 100); do
		ss -Htn state connected exclude time-wait sport = :8080 | grep -q . || return 0
		sleep 0.1
	done
	ss -Htn sport = :8080 | head -5 | sed 's/^/# /'
	return 1
}
ok "nothing of them is left" all_gone
sleep 0.5
ok "nothing is left in flight" [ "$(stat_of in_flight)" = 0 ]
exec 3>&-
wait "$driver"
ok "the proxy ends" [ $? = 0 ]
driver=
for p in "${others[@]}"; do kill "$p"; done
others=()

plan
