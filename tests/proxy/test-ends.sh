#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How connections end, and what runs out: half-closed tunnels with much still to
# come, descriptors, timeouts that a trickle must not extend, unfair uploads.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

gw=127.0.0.30
proxy "$here/site" stall_timeout_ms=1500

# serve COMMAND: a backend that runs it for each connection.
serve() {
	socat "TCP-LISTEN:9101,bind=127.0.1.1,reuseaddr,fork" "SYSTEM:$1" 2>/dev/null 3>&- &
	server=$!
	for _ in $(seq 100); do
		(exec 5<>/dev/tcp/127.0.1.1/9101) 2>/dev/null && return
		sleep 0.02
	done
}
unserve() {
	kill "$server"
	wait "$server" 2>/dev/null
}

# A backend answers long after its client's last byte, and ends: both ways are
# shut then, while most of the answer still waits.
serve 'cat >/dev/null; head -c 30000000 /dev/zero'
got=$(echo x | socat -t 20 - "TCP:$gw:8081" 2>/dev/null | (sleep 0.3; wc -c))
ok "half-closed TCP: all of a long answer arrives ($got)" [ "$got" = 30000000 ]
unserve

serve 'head -c 30 /dev/zero; wc -c >&2'
got=$(head -c 20000000 /dev/zero | socat -t 20 - "TCP:$gw:8081" 2>/dev/null | wc -c)
ok "TCP: the backend shut first, the upload goes on ($got)" [ "$got" = 30 ]
unserve

# Urgent bytes stop a read early; they are bytes like all others (RFC 6093).
serve 'cat'
got=$(perl -MIO::Socket::INET -e '
	alarm 5;
	my $s = IO::Socket::INET->new($ARGV[0]) or die;
	$s->send("a" x 1000); $s->send("b", MSG_OOB); $s->send("c" x 1000);
	my $n = 0;
	while ($n < 2001) { $s->recv(my $x, 4096); last unless length $x; $n += length $x }
	print $n' "$gw:8081")
ok "TCP: urgent data stalls nothing and is passed on ($got)" [ "$got" = 2001 ]
unserve

# A backend that never answers, a client that sends the beginnings of its next
# request: the stall timeout counts what moves.
serve 'sleep 8'
exec 4<>"/dev/tcp/$gw/8080"
printf 'GET / HTTP/1.1\r\nHost: t\r\n\r\n' >&4
(for _ in $(seq 20); do printf G >&4; sleep 0.2; done) 2>/dev/null &
line=
read -r -t 3 line <&4
ok "a trickle of pipelined bytes does not hold off the timeout" \
	[ "${line%%$'\r'}" = 'HTTP/1.1 504 Gateway Timeout' ]
exec 4>&-
wait $!
unserve

# both: a program in Python on standard input is the backend, b, and its client,
# c: it prints what it sees.
both() {
	timeout 20 python3 <(cat "$dir/both.py" -) "$gw" 2>&1
}
cat >"$dir/both.py" <<'PY'
import socket, sys, time
b = socket.create_server(('127.0.1.1', 9101))
b.settimeout(10)
c = socket.create_connection((sys.argv[1], 8080))
c.settimeout(10)
def until(s, end):
    data = b''
    while not data.endswith(end):
        more = s.recv(65536)
        if not more: raise EOFError(data[:100])
        data += more
    return data
# What becomes of a connection when both sides have said that this is all.
def end(s):
    for _ in range(1000):
        if s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b'\x07': break # CLOSE
        time.sleep(0.01)
    else: return 'open'
    return 'reset' if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) else 'closed'
PY
# Half of a long request has gone to the backend when it answers: what its client
# goes on sending is read away, so that no reset takes the answer with it (RFC
# 9112 9.6), and not reckoned together with what came before.
got=$(both <<'PY'
c.sendall(b'POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10000000\r\n\r\n')
s, _ = b.accept()
until(s, b'\r\n\r\n')
for _ in range(32):
    c.sendall(b'x' * 0xffff + b'y')
    until(s, b'y')
s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
until(c, b'ok')
for _ in range(10):
    c.sendall(b'x' * 10000)
    time.sleep(0.01) # a reset comes before the end, or it is none
c.shutdown(socket.SHUT_WR)
print(end(c))
PY
)
ok "an early answer to a large upload: what still comes is read ($got)" \
	[ "$got" = closed ]
# A head that the backend takes no part of any more, and 101 for it: what is left
# would go into the tunnel.
wmem=$(cat /proc/sys/net/ipv4/tcp_wmem)
[ -z "${WEIR_OWN_NET:-}" ] || echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_wmem
got=$(both <<'PY'
b.close()
b = socket.socket()
b.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
b.bind(('127.0.1.1', 9101))
b.listen()
b.settimeout(10)
c.sendall(b'POST / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n')
c.sendall(b'X: ' + b'y' * 16000 + b'\r\n\r\n')
s, _ = b.accept()
s.sendall(b'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
print(until(c, b'\n').split(b'\r\n')[0].decode())
PY
)
if [ -n "${WEIR_OWN_NET:-}" ]; then
	echo "$wmem" >/proc/sys/net/ipv4/tcp_wmem
	ok "101 before the backend can have the whole head ($got)" \
		[ "$got" = 'HTTP/1.1 502 Bad Gateway' ]
fi

# One of two endpoints accepts and never answers: with two choices it collects
# about half of those at a time, and the other half goes on.
socat "TCP-LISTEN:9130,bind=127.0.2.1,reuseaddr,fork,backlog=100" "SYSTEM:sleep 8" 2>/dev/null 3>&- &
others+=($!)
backend A=http:127.0.2.2:9130
"$bin/weir-load" --connect "$gw:8080" -c 20 -t 2 --keepalive --timeout 6000 \
	http://pair/x >"$dir/load" 2>/dev/null
completed=$(sed -n 's/.*"completed":\([0-9]*\).*/\1/p' "$dir/load")
ok "an endpoint that hangs does not stop the other ($completed served)" \
	[ "${completed:-0}" -gt 500 ]

# Without descriptors nothing dies, and who waits is served when there are some.
backend A=http:127.0.1.1:9101
prlimit --pid "$pid" --nofile=40:40
fds=()
for _ in $(seq 60); do
	exec {fd}<>"/dev/tcp/$gw/8080" && fds+=("$fd")
done
sleep 0.3
ok "out of descriptors: accepting pauses" [ "$(stat_of ACCEPT_PAUSED)" -gt 0 ]
ok "those who wait are not refused" [ ${#fds[@]} = 60 ]
for fd in "${fds[@]}"; do exec {fd}>&-; done
prlimit --pid "$pid" --nofile=1024:1024 2>/dev/null
code=$(curl -s -m 5 -H 'Host: t' -o /dev/null -w '%{http_code}' "http://$gw:8080/")
ok "and served afterwards ($code)" [ "$code" = 200 ]

ok "nothing is left in flight" [ "$(stat_of in_flight)" = 0 ]
plan
