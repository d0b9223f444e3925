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
