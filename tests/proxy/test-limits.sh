#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every limit of the proxy that a client can meet: what it is told, and the
# counter that says so.  The table in agent/proxy/README.md is this one.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

gw=127.0.0.30
needs_python
# An address where nobody answers at all; only in a namespace of our own.
cp -r "$here/site" "$dir/site"
if [ -n "${WEIR_OWN_NET:-}" ]; then
	ip link add silent type veth peer name nobody
	ip addr add 192.0.2.1/24 dev silent
	ip link set silent up
	ip link set nobody up
	ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev silent
fi
cat >"$dir/site/silent.yaml" <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: silent, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [silent]
	  rules: [{backendRefs: [{name: silent, port: 80}]}]
	---
	apiVersion: v1
	kind: Service
	metadata: {name: silent, namespace: default}
	spec: {ports: [{name: p, port: 80, targetPort: 9180}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: silent-1, namespace: default, labels: {kubernetes.io/service-name: silent}}
	addressType: IPv4
	ports: [{name: p, port: 9180, protocol: TCP}]
	endpoints: [{addresses: [192.0.2.9], conditions: {ready: true}}]
	---
	apiVersion: gateway.networking.k8s.io/v1
	kind: HTTPRoute
	metadata: {name: standing, namespace: default}
	spec:
	  parentRefs: [{name: gw, sectionName: http}]
	  hostnames: [standing]
	  rules: [{backendRefs: [{name: standing, port: 80}]}]
	---
	apiVersion: v1
	kind: Service
	metadata: {name: standing, namespace: default}
	spec: {ports: [{name: p, port: 80, targetPort: 9181}]}
	---
	apiVersion: discovery.k8s.io/v1
	kind: EndpointSlice
	metadata: {name: standing-1, namespace: default, labels: {kubernetes.io/service-name: standing}}
	addressType: IPv4
	ports: [{name: p, port: 9181, protocol: TCP}]
	endpoints: [{addresses: [127.0.1.1], conditions: {ready: true}}]
YAML

# again [name=value...]: a proxy with these limits in place of the last.
again() {
	if [ -n "$driver" ]; then
		exec 3>&-
		wait "$driver" || { echo "# the proxy ended with $?"; status=1; }
		rm "$dir/in" "$dir/out"
	fi
	proxy "$dir/site" "$@"
}
# quiet: until the connections of the client before are gone.
quiet() {
	for _ in $(seq 100); do
		[ "$(stat_of clients_opened)" = "$(stat_of clients_closed)" ] && return
		sleep 0.02
	done
}
# limit TEXT ANSWER REASON: the client, a program in Python on standard input
# with connect(), ask() and first(), prints the answer, and REASON is counted.
limit() {
	local text=$1 want=$2 reason=$3 before got
	quiet
	before=$(stat_of "$reason")
	got=$(timeout 20 python3 <(cat "$dir/client.py" -) 2>&1)
	if [ "$got" != "$want" ] || [ "$(stat_of "$reason")" -le "$before" ]; then
		echo "# answered: $got; $reason: $before, $(stat_of "$reason")"
		ok "$text: $want" false
	else
		ok "$text: $want, and $reason" true
	fi
}
# counted TEXT ANSWERS N CLASS: the client prints ANSWERS, to N requests,
# each of them counted once, with its class of status and its duration; nothing
# stays under way.
counted() {
	local text=$1 want=$2 class=$4 before got is
	quiet
	before="$(stat_of requests) $(stat_of "status_$class") $(stat_of durations)"
	got=$(timeout 20 python3 <(cat "$dir/client.py" -) 2>&1)
	quiet
	is="$(stat_of requests) $(stat_of "status_$class") $(stat_of durations) $(stat_of under_way)"
	# shellcheck disable=SC2046,SC2086,SC2183 # numbers
	before=$(printf '%s %s %s 0' $(for i in $before; do echo $((i + $3)); done))
	[ "$got, $is" = "$want, $before" ] ||
		echo "# answered: $got; requests, status_$class, durations, under way: $is, not $before"
	ok "$text: $want, counted once" [ "$got, $is" = "$want, $before" ]
}
cat >"$dir/client.py" <<-'PY'
	import socket, sys, time
	def connect(port=8080, source='127.0.0.1'):
	    s = socket.socket()
	    s.settimeout(10)
	    s.bind((source, 0))
	    try: s.connect(('127.0.0.30', port))
	    except ConnectionResetError: return None
	    s.settimeout(10)
	    return s
	def first(s):
	    if not s: return 'reset'
	    data = b''
	    try:
	        while b'\r\n' not in data:
	            more = s.recv(65536)
	            if not more: return data.decode('latin-1') or 'closed'
	            data += more
	    except ConnectionResetError:
	        return 'reset'
	    return data.split()[1].decode('latin-1')
	def ask(text, **how):
	    s = connect(**how)
	    if s: s.sendall(text)
	    return first(s)
	HEAD = b'GET / HTTP/1.1\r\nHost: t\r\n'
	POST = b'POST / HTTP/1.1\r\nHost: t\r\n'
PY

again max_headers=20 max_head_bytes=2048 max_target_bytes=500 head_timeout_ms=300 \
	body_timeout_ms=300 idle_timeout_ms=400 connect_timeout_ms=200 stall_timeout_ms=700 \
	tunnel_idle_ms=300 max_body_mib=1 udp_max=2
backend A=http:127.0.1.1:9101 U=udp:127.0.1.1:9153
limit "header lines" '431' HEAD_TOO_LARGE <<'PY'
print(ask(HEAD + b'X: y\r\n' * 20 + b'\r\n'))
PY
limit "head" '431' HEAD_TOO_LARGE <<'PY'
print(ask(HEAD + b'X: ' + b'y' * 3000 + b'\r\n\r\n'))
PY
limit "target" '414' URI_TOO_LONG <<'PY'
print(ask(b'GET /' + b'a' * 600 + b' HTTP/1.1\r\nHost: t\r\n\r\n'))
PY
limit "time for a head" '408' HEAD_TIMEOUT <<'PY'
print(ask(HEAD))
PY
counted "refused before its head is known" '400 400 400 414 431 431 405 408 408' 9 4 <<'PY'
print(ask(b'GET / HTTP/1.1\nHost: t\n\n'), ask(b'\x16\x03\x01'), ask(HEAD + b'X : y\r\n\r\n'),
      ask(b'GET /' + b'a' * 600), ask(HEAD + b'X: ' + b'y' * 3000), ask(HEAD + b'X: y\r\n' * 20 + b'\r\n'),
      ask(b'TRACE / HTTP/1.1\r\nHost: t\r\n\r\n'),
      ask(HEAD), ask(b'HEAD / HTTP/1.1\r\nHost: t\r\n'))
PY
counted "what follows an answer on its connection" '404 400' 2 4 <<'PY'
s = connect()
s.sendall(b'GET / HTTP/1.1\r\nHost: nobody\r\n\r\n')
data = s.recv(4096)
while b'no route' not in data: data += s.recv(4096)
s.sendall(b'GET / HTTP/1.1\n')
print(data[9:12].decode(), first(s))
PY
if command -v curl >/dev/null && curl -V | grep -q HTTP2; then
	counted "on a stream of HTTP/2" '431' 1 4 <<'PY'
import subprocess
print(subprocess.run(['curl', '-s', '--http2-prior-knowledge', '-o', '/dev/null', '-w', '%{http_code}', '-H',
                      'X: ' + 'y' * 3000, 'http://127.0.0.30:8080/'], capture_output=True, text=True).stdout)
PY
fi
limit "time for a head that begins as HTTP/2 does, byte by byte" '408 True' HEAD_TIMEOUT <<'PY'
s = connect()
began = time.time()
s.settimeout(0.1)
for byte in b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n':
    s.sendall(bytes([byte]))
    try:
        s.recv(1, socket.MSG_PEEK)
        break
    except TimeoutError: pass
s.settimeout(10)
print(first(s), time.time() - began < 1.5)
PY
limit "time between requests" 'closed' IDLE_TIMEOUT <<'PY'
print(first(connect()))
PY
limit "time for a body" '408' BODY_TIMEOUT <<'PY'
print(ask(POST + b'Content-Length: 9\r\n\r\nabc'))
PY
limit "time for a chunk" '408' BODY_TIMEOUT <<'PY'
print(ask(POST + b'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'))
PY
got=$(python3 <(cat "$dir/client.py" - <<'PY'
s = connect()
s.sendall(POST + b'Content-Length: 10\r\n\r\n')
for i in range(10):
    time.sleep(0.1)
    s.sendall(b'x')
print(first(s))
PY
))
ok "a body that goes on takes its time ($got)" [ "$got" = '200' ]
# Whose turn it is after Expect: the backend's, until it has said 100 or bytes
# come without that.
cat >>"$dir/client.py" <<-'PY'
	EXPECT = b'POST /dead HTTP/1.1\r\nHost: errors\r\nExpect: 100-continue\r\n'
	def backend():
	    l = socket.create_server(('127.0.1.9', 9109))
	    l.settimeout(10)
	    return l
PY
for body in 'Content-Length: 9' 'Transfer-Encoding: chunked'; do
	limit "time for a backend that does not ask for the body ($body)" '504 True' TIMEOUT <<-PY
	l, began = backend(), time.time()
	print(ask(EXPECT + b'$body\r\n\r\n'), time.time() - began > 0.6)
	PY
done
limit "and 102 does not ask for it" '102 504' TIMEOUT <<'PY'
l, s = backend(), connect()
s.sendall(EXPECT + b'Content-Length: 9\r\n\r\n')
b = l.accept()[0]
b.sendall(b'HTTP/1.1 102 Processing\r\n\r\n')
print(first(s), first(s))
PY
limit "time for a body that was asked for" '100 408' BODY_TIMEOUT <<'PY'
l, s = backend(), connect()
s.sendall(EXPECT + b'Content-Length: 9\r\n\r\n')
b = l.accept()[0]
b.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
print(first(s), first(s))
PY
limit "time for a body that came unasked" '408' BODY_TIMEOUT <<'PY'
l = backend()
print(ask(EXPECT + b'Content-Length: 9\r\n\r\nabc'))
PY
limit "and where Connection takes the Expect away" '408' BODY_TIMEOUT <<'PY'
l = backend()
print(ask(EXPECT + b'Connection: expect\r\nContent-Length: 9\r\n\r\n'))
PY
limit "and of HTTP/1.0, which knows no Expect" '408' BODY_TIMEOUT <<'PY'
l = backend()
print(ask(EXPECT.replace(b'1.1', b'1.0') + b'Content-Length: 9\r\n\r\n'))
PY
limit "length of a body" '413' BODY_TOO_LARGE <<'PY'
print(ask(POST + b'Content-Length: 1048577\r\n\r\n'))
PY
limit "length of a body that was not announced" '413' BODY_TOO_LARGE <<'PY'
s = connect()
s.sendall(POST + b'Transfer-Encoding: chunked\r\n\r\n')
try:
    for i in range(100): s.sendall(b'8000\r\n' + b'x' * 0x8000 + b'\r\n')
except OSError: pass
print(first(s))
PY
got=$(python3 <(cat "$dir/client.py" - <<'PY'
print(ask(POST + b'Content-Length: 1048576\r\n\r\n' + b'x' * 1048576))
PY
))
ok "a body of just that length passes ($got)" [ "$got" = '200' ]
limit "time for a request" '504' TIMEOUT <<'PY'
print(ask(b'GET /delay/3000 HTTP/1.1\r\nHost: t\r\n\r\n'))
PY
if [ -n "${WEIR_OWN_NET:-}" ]; then
	limit "time for a connection" '503 True' CONNECT_FAILED <<'PY'
began = time.time()
print(ask(b'GET / HTTP/1.1\r\nHost: silent\r\n\r\n'), time.time() - began > 0.19)
PY
fi
limit "silence on a raw connection" 'reset' TUNNEL_TIMEOUT <<'PY'
print(first(connect(8081)))
PY
limit "associations" 'sent' UDP_LIMIT <<'PY'
for i in range(5):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b'x', ('127.0.0.30', 8083))
    time.sleep(0.05)
time.sleep(0.2)
print('sent')
PY

# Connections of a client, over two workers; others have their own.
again workers=2 max_client_connections=10
limit "connections of a client" '429' CLIENT_LIMIT <<'PY'
held = [connect() for i in range(10)]; time.sleep(0.3)
print(first(connect()))
PY
counted "each of them" '429 429' 2 4 <<'PY'
held = [connect() for i in range(10)]; time.sleep(0.3)
print(first(connect()), first(connect()))
PY
limit "of them raw ones" 'reset' CLIENT_LIMIT <<'PY'
held = [connect() for i in range(10)]; time.sleep(0.3)
print(first(connect(8081)))
PY
limit "more than a few of them" 'reset' CLIENT_LIMIT <<'PY'
held = [connect() for i in range(10)]; time.sleep(0.3)
many = [connect() for i in range(200)]
print(first(many[-1]))
PY
quiet
got=$(python3 <(cat "$dir/client.py" - <<'PY'
held = [connect() for i in range(10)]; time.sleep(0.3)
answers = [first(connect()), ask(HEAD + b'\r\n', source='127.0.0.77')]
for s in held[:2]: s.close()
time.sleep(0.3)
answers.append(ask(HEAD + b'\r\n'))
print(answers)
PY
))
ok "another client is served, and this one when one is gone" \
	[ "$got" = "['429', '200', '200']" ]
quiet
got=$(python3 <(cat "$dir/client.py" - <<'PY'
print(sum(ask(HEAD + b'\r\n') == '200' for i in range(200)))
PY
))
ok "what ended is not counted ($got of 200)" [ "$got" = 200 ]

# Connections in all: the next ones wait where nobody is told anything.
again max_connections=20
limit "connections in all" 'waited, 200' ACCEPT_PAUSED <<'PY'
held = [connect() for i in range(20)]
for s in held: s.sendall(HEAD + b'\r\n')
got = [first(s) for s in held]
late = connect()
late.sendall(HEAD + b'\r\n')
late.settimeout(0.5)
try: print(first(late), end=', ')
except TimeoutError: print('waited', end=', ')
for s in held: s.close()
late.settimeout(10)
print(first(late))
PY

# The same over all workers, whichever of them has the next one: the kernel
# deals connections out by hash.
again workers=4 max_connections=40
limit "connections in all, of four workers" '40 20 0' ACCEPT_PAUSED <<'PY'
import select
def answered(of):
    time.sleep(0.7)
    return [s for s in of if select.select([s], [], [], 0)[0]]
held = [connect() for i in range(60)]
for s in held: s.sendall(HEAD + b'\r\n')
first = answered(held)
late = [s for s in held if s not in first]
for s in first: s.close()
served = answered(late)
print(len(first), len(served), len(late) - len(served))
PY

# Streams of HTTP/2 are no connections: one that has 100 leaves as many places
# as any, and none of the hundred is refused.
again max_connections=4
got=$(timeout 20 python3 <(cat "$dir/client.py" - <<'PY'
def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, 'big') + bytes([kind, flags]) + stream.to_bytes(4, 'big') + payload
def field(name, value):
    return b'\0' + bytes([len(name)]) + name + bytes([len(value)]) + value
s = connect()
head = b''.join(field(*f) for f in [(b':method', b'GET'), (b':scheme', b'http'),
    (b':path', b'/delay/1500'), (b':authority', b't')])
s.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, b'') +
    b''.join(frame(1, 5, 2 * i + 1, head) for i in range(100)))
time.sleep(0.5)
held = [connect() for i in range(3)]
for h in held: h.sendall(HEAD + b'\r\n')
print(*[first(h) for h in held], end=' ')
seen, data, ended = {}, b'', 0
while ended < 100:
    while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], 'big'):
        data += s.recv(65536)
    n = int.from_bytes(data[:3], 'big')
    kind = data[3]
    ended += kind == 3 or (kind in (0, 1) and data[4] & 1)
    seen[kind] = seen.get(kind, 0) + 1
    data = data[9 + n:]
print(seen.get(1), seen.get(3))
PY
) 2>&1)
ok "100 streams of one connection take no place of three others ($got)" \
	[ "$got" = '200 200 200 100 None' ]

# A pool smaller than the load: what is beyond it is there for the next request,
# is given up when descriptors are short, and goes soon.
again workers=1 pool_idle_max=8
"$bin/weir-load" --connect "$gw:8080" -c 64 -n 8000 --keepalive http://t/bytes/100 \
	>"$dir/load" 2>&1 || sed 's/^/# /' "$dir/load"
hits=$(stat_of pool_hits) misses=$(stat_of pool_misses)
ok "a pool of 8 for 64 at a time: few requests open a connection ($misses of $((hits + misses)))" \
	[ $((hits + misses)) -ge 8000 -a $((misses * 20)) -lt $((hits + misses)) ]
# 8 and no fewer: these are kept for long.
idle=
for _ in $(seq 100); do
	idle=$(stat_of pool_idle)
	[ "$idle" -gt 8 ] || break
	sleep 0.1
done
ok "and 8 are left after a while ($idle)" [ "$idle" = 8 ]
backend B=http:0.0.0.0:9130
got=$(timeout 30 python3 <(cat "$dir/client.py" - <<PY
import os, resource
other = connect()
held = [connect() for i in range(32)]
time.sleep(0.2)
for s in held: s.sendall(b'GET /delay/300 HTTP/1.1\r\nHost: t\r\n\r\n')
answers = {first(s) for s in held}
used = {int(f) for f in os.listdir('/proc/$pid/fd')}
free = min(i for i in range(4096) if i not in used)
resource.prlimit($pid, resource.RLIMIT_NOFILE, (free, 4096))
other.sendall(b'GET / HTTP/1.1\r\nHost: pair\r\n\r\n')
print(answers, first(other), ask(HEAD + b'\r\n'))
resource.prlimit($pid, resource.RLIMIT_NOFILE, (4096, 4096))
PY
) 2>&1)
paused=$(stat_of ACCEPT_PAUSED)
ok "without descriptors they make room to connect and to accept ($got, $paused)" \
	[ "$got, $paused" = "{'200'} 200 200, 0" ]

# 30 to one endpoint, then 30 to others: 41 in use or beyond the pool, one in it.
again workers=1 pool_idle_max=1 max_connections=40
got=$(timeout 30 python3 <(cat "$dir/client.py" - <<PY
import os
n_before = len(os.listdir('/proc/$pid/fd'))
held = [connect() for i in range(30)]
for s in held: s.sendall(b'GET /delay/300 HTTP/1.1\r\nHost: t\r\n\r\n')
for s in held: s.recv(65536)
n_first = len(os.listdir('/proc/$pid/fd')) - n_before
for s in held: s.sendall(b'GET /delay/600 HTTP/1.1\r\nHost: pair\r\n\r\n')
time.sleep(0.3)
n_then = len(os.listdir('/proc/$pid/fd')) - n_before
print(n_first, n_then, *{first(s) for s in held})
PY
) 2>&1)
read -r _ n_then code <<<"$got"
ok "with those in use they are no more than clients may be ($got)" \
	[ "$code" = 200 -a "$n_then" -ge 60 -a "$n_then" -le 72 ]

# Buffers: each request that waits for its backend has one.
again max_buffer_mib=1 buffer_bytes=32768
limit "buffers" "['200', '503']" OVERLOAD <<'PY'
held = [connect() for i in range(40)]
for s in held: s.sendall(b'GET /delay/1000 HTTP/1.1\r\nHost: t\r\n\r\n')
print(sorted({first(s) for s in held}))
PY
got=$(python3 <(cat "$dir/client.py" - <<'PY'
print(ask(HEAD + b'\r\n'))
PY
))
ok "and when they are back: $got" [ "$got" = '200' ]
# Of 32 two are kept for answers.  Where 28 requests wait, another one's response
# has one to be read into, and none for what is to be sent.
again workers=1 max_buffer_mib=1 buffer_bytes=32768
limit "buffers for what a backend has answered" "503" OVERLOAD <<'PY'
held = []
while (got := ask(HEAD + b'\r\n')) == '200' and len(held) < 40:
    held.append(connect())
    held[-1].sendall(b'GET /delay/9000 HTTP/1.1\r\nHost: t\r\n\r\n')
print(got)
PY
# Answers that go on for ever (events, for one) hold no buffer while they are
# silent, and requests whose bodies come slowly one, for their head.
for io in auto epoll; do
	WEIR_TEST_IO=$io again workers=1 max_buffer_mib=1 buffer_bytes=32768
	got=$(timeout 20 python3 <(cat "$dir/client.py" - <<'PY'
import threading
listener = socket.create_server(('127.0.1.1', 9181), backlog=256)
def serve():
    while True:
        backends.append(listener.accept()[0])
        while b'\r\n\r\n' not in backends[-1].recv(65536): pass
        backends[-1].sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
backends, held, answers = [], [], []
threading.Thread(target=serve, daemon=True).start()
def stand(head):
    s = connect()
    s.sendall(head)
    held.append(s)
    return first(s)
for i in range(100): answers.append(stand(b'GET / HTTP/1.1\r\nHost: standing\r\n\r\n'))
for s in backends: s.sendall(b'1\r\nb\r\n0\r\n\r\n')
for s, a in zip(held, answers):
    while a == '200' and not (got := s.recv(1000)).endswith(b'0\r\n\r\n'): pass
slow = 0
while stand(b'POST / HTTP/1.1\r\nHost: standing\r\nContent-Length: 9\r\n\r\nabc') == '200' and slow < 100: slow += 1
print(answers.count('200'), slow)
PY
) 2>&1)
	ok "$io: of 32 buffers answers that stand need none, slow requests one ($got)" \
		[ "${got% *}" = 100 -a "${got#* }" -ge 27 ]
done

# The time for a head begins with its first byte, not with the connection.
again head_timeout_ms=500
got=$(python3 <(cat "$dir/client.py" - <<'PY'
s = connect()
answers = []
for i in range(2):
    time.sleep(0.6)
    s.sendall(HEAD)
    time.sleep(0.2)
    s.sendall(b'\r\n')
    answers.append(first(s))
print(*answers)
PY
))
ok "a head may come late ($got)" [ "$got" = '200 200' ]

# Descriptors that are few from the beginning: clients that ask nothing leave
# some for the backends of those who do; the others wait.
for io in auto epoll; do
	ulimit -Sn 100
	WEIR_TEST_IO=$io again
	ulimit -Sn "$(ulimit -Hn)"
	ok "$io: few descriptors are said once, at the start" \
		[ "$(grep -c 'descriptors are few' "$dir/err")" = 1 ]
	got=$(timeout 30 python3 <(cat "$dir/client.py" - <<'PY'
asking = [connect() for i in range(24)]
idle = [connect() for i in range(150)]
time.sleep(0.3)
got = []
for i in range(2):
    for s in asking: s.sendall(b'GET /delay/300 HTTP/1.1\r\nHost: t\r\n\r\n')
    got += [first(s) for s in asking]
    for s in asking: s.setblocking(False)
    for s in asking:
        try: s.recv(65536)
        except BlockingIOError: pass
        s.settimeout(10)
for s in idle: s.close()
print(got.count('200'), ask(HEAD + b'\r\n'))
PY
) 2>&1)
	ok "$io: beside 150 idle clients 24 are served, and later one more ($got)" \
		[ "$got" = '48 200' ]
	ok "$io: accepting pauses" [ "$(stat_of ACCEPT_PAUSED)" -gt 0 ]
done

# Descriptors and memory: 503 for what is accepted, and life goes on.
again stall_timeout_ms=5000
limit "descriptors" '503' OVERLOAD <<PY
s = connect()
time.sleep(0.2)
import os, resource
used = {int(f) for f in os.listdir('/proc/$pid/fd')}
free = min(i for i in range(4096) if i not in used)
resource.prlimit($pid, resource.RLIMIT_NOFILE, (free, 4096))
s.sendall(HEAD + b'\r\n')
print(first(s))
resource.prlimit($pid, resource.RLIMIT_NOFILE, (4096, 4096))
PY
# Without memory: what is there from the beginning says so, to those for whom
# there is no buffer ("out of buffers") if they ask for something, and to a few more
# for whom there is nothing at all ("out of memory"); the others wait, and nobody is
# reset.
without_memory() { # ask|wait: what 400 clients see that ask, or only connect
	local data
	data=$(awk '/^VmData/ {print $2 * 1024}' "/proc/$pid/status")
	prlimit --pid "$pid" --data="$data:"
	got=$(timeout 60 python3 <(cat "$dir/client.py" - <<'PY'
import sys
asks = sys.stdin.readline() == 'ask\n'
held, answers = [], {}
for i in range(400):
    s = connect(source='127.0.%d.1' % (i % 200 + 20))
    if s and asks:
        s.sendall(b'POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc')
    held.append(s)
time.sleep(1)
for s in held:
    try:
        s.setblocking(False)
        a = s.recv(1000)
        a = 'memory' if b'out of memory' in a else a[9:12].decode()
    except BlockingIOError: a = 'waits'
    except (OSError, AttributeError): a = 'reset'
    answers[a] = answers.get(a, 0) + 1
print(*(answers.get(a, 0) for a in ('memory', '503', 'waits', 'reset')), sum(answers.values()))
PY
	) 2>&1 <<<"$1")
	prlimit --pid "$pid" --data=unlimited:
}
for how in ask wait; do
	again stall_timeout_ms=5000
	paused=$(stat_of ACCEPT_PAUSED)
	without_memory $how
	[ $how = ask ] && asks=1 || asks=0
	read -r n_last n_told n_wait n_reset n_all <<<"$got"
	ok "without memory ($how): some are told, others wait, nobody is reset ($got)" \
		[ "$n_last" -ge 8 -a $((n_told > 0)) = "$asks" -a "$n_reset" = 0 -a \
		$((n_last + n_told + n_wait)) = "$n_all" ]
	ok "without memory ($how): OVERLOAD and ACCEPT_PAUSED" \
		[ "$(stat_of OVERLOAD)" -ge $((n_last + n_told)) -a "$(stat_of ACCEPT_PAUSED)" -gt "$paused" ]
	sleep 0.5 # it looks again after 100 ms
	quiet
	ok "without memory ($how): none is left connected" \
		[ "$(stat_of clients_opened)" = "$(stat_of clients_closed)" ]
done
code=$(curl -s -m 5 -H 'Host: t' -o /dev/null -w '%{http_code}' "http://$gw:8080/")
ok "and all are served when there is some ($code)" [ "$code" = 200 ]
ok "nothing is left in flight" settles in_flight 0
plan
