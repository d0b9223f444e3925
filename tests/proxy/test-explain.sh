#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weirctl explain says of any request line what the proxy does with it: the head
# of every scripted exchange, and lines that no URL stands for, through both; and
# the same within TLS.
# timeout: 300
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/proxy/h2.sh
. "$here/h2.sh"

for program in python3 openssl; do
	if ! command -v $program >/dev/null; then
		echo "1..0 # SKIP $program is not installed"
		exit 0
	fi
done
# What the HTTP listener has, an HTTPS listener has, too; on another port there
# are two for some names only.
mkdir "$dir/site"
sed 's/{name: gw, sectionName: http}/&, {name: tls}/' "$here/site/site.yaml" >"$dir/site/site.yaml"
certificate web t
{
	cat <<-YAML
	apiVersion: gateway.networking.k8s.io/v1
	kind: Gateway
	metadata: {name: tls, namespace: default}
	spec:
	  gatewayClassName: weir
	  addresses: [{type: IPAddress, value: 127.0.0.31}]
	  listeners:
	  - {name: https, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
	  - {name: raw, port: 8444, protocol: TLS, hostname: raw.example, tls: {mode: Passthrough}}
	  - {name: named, port: 8444, protocol: HTTPS, hostname: t, tls: {certificateRefs: [{name: web}]}}
	YAML
	secret web web
} >"$dir/site/tls.yaml"
proxy "$dir/site" access_log="$dir/log"
backend A=http:127.0.1.1:9101
"$bin/weir-proxy-cases" --sends "$here"/cases/*.case >"$dir/sends"
cat >"$dir/client.py" <<'PY'
import json, socket, ssl, struct, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
weirctl, site, log, sends, to = sys.argv[1:]
host, _, port = to.partition(':')
tls = None
if port != '8080':
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
HOST = [b'Host: t']
heads = [(line.encode('latin-1'), fields) for line, fields in [
    ('GET / HTTP/1.1', HOST), ('GET / HTTP/1.1', []), ('GET / HTTP/1.0', []),
    ('GET / HTTP/1.1', [b'Host: T.EXAMPLE.']), ('GET / HTTP/1.1', [b'Host: nobody']),
    ('get /x HTTP/1.1', HOST), ('M-SEARCH /x HTTP/1.1', HOST), ('A' * 300 + ' / HTTP/1.1', HOST),
    ('OPTIONS * HTTP/1.1', HOST), ('GET * HTTP/1.1', HOST), ('OPTIONS /x HTTP/1.1', HOST),
    ('CONNECT t:443 HTTP/1.1', HOST), ('CONNECT / HTTP/1.1', HOST), ('TRACE / HTTP/1.1', HOST),
    ('PRI * HTTP/2.0', HOST), ('GET http://t/x HTTP/1.1', [b'Host: other']),
    ('GET http://headers/x?y HTTP/1.1', HOST), ('GET https://t/ HTTP/1.1', HOST),
    ('GET HTTP://T/ HTTP/1.1', HOST), ('GET http://t HTTP/1.1', HOST),
    ('OPTIONS http://t HTTP/1.1', HOST), ('GET http://u@t/ HTTP/1.1', HOST),
    ('GET //x HTTP/1.1', HOST), ('GET /a//b HTTP/1.1', HOST), ('GET x HTTP/1.1', HOST),
    ('GET /%2f%41 HTTP/1.1', HOST), ('GET /%2 HTTP/1.1', HOST), ('GET /%zz HTTP/1.1', HOST),
    ('GET /%00 HTTP/1.1', HOST), ('GET /%2e%2e/x HTTP/1.1', HOST), ('GET /a/../b HTTP/1.1', HOST),
    ('GET /..;x HTTP/1.1', HOST), ('GET /a\\b HTTP/1.1', HOST), ('GET /a#b HTTP/1.1', HOST),
    ('GET /a b HTTP/1.1', HOST), ('GET /\xe9 HTTP/1.1', HOST), ('GET /?a=%2e%2e/ HTTP/1.1', HOST),
    ('GET /? HTTP/1.1', HOST), ('GET /?%g HTTP/1.1', HOST), ('GET  / HTTP/1.1', HOST),
    (' GET / HTTP/1.1', HOST), ('GET / HTTP/1.1 ', HOST), ('GET\t/ HTTP/1.1', HOST),
    ('GET / HTTP/1.2', HOST), ('GET / HTTP/2.0', HOST), ('GET / HTTP/1.10', HOST),
    ('GET / http/1.1', HOST), ('GET / HTTPS/1.1', HOST), ('G(T / HTTP/1.1', HOST),
    ('GET /' + 'a' * 8200 + ' HTTP/1.1', HOST), ('GET / HTTP/1.1', [b'Host: t', b'Host: t']),
    ('GET / HTTP/1.1', [b'Host: t', b'X : y']), ('GET / HTTP/1.1', [b'Host: t', b' folded']),
    ('GET / HTTP/1.1', [b'Host: t', b'Content_Length: 1']), ('GET / HTTP/1.1', [b'Host: a b']),
    ('GET /1\nX HTTP/1.1', HOST), ('GET / HTTP/1.1', [b'Host: t\rX: y']),
    ('GET /plain/x HTTP/1.1', [b'Host: redirects']), ('GET /set HTTP/1.1', [b'Host: dates']),
    ('POST / HTTP/1.1', [b'Host: t', b'Content-Length: 1', b'Transfer-Encoding: chunked']),
    ('POST / HTTP/1.1', [b'Host: t', b'Expect: something'])]]
n_own = len(heads)
with open(sends, 'rb') as f:
    while size := f.read(4):
        text = f.read(struct.unpack('=I', size)[0])
        head, end, _ = text.partition(b'\r\n\r\n')
        # Arguments have no NUL; weirctl takes 128 headers; HTTP/2's preface
        # begins no request.
        lines = head.split(b'\r\n')
        if (end and b' ' in lines[0] and head != b'PRI * HTTP/2.0'
                and b'\0' not in head and len(lines) < 129
                and (lines[0], lines[1:]) not in heads):
            heads.append((lines[0], lines[1:]))
def logged():
    with open(log, 'rb') as f: return f.read().splitlines()
def within_tls(s, data):
    """Sends it, and that no more comes: which ssl's own sockets cannot."""
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = tls.wrap_bio(came, goes, server_hostname='t')
    for do in o.do_handshake, lambda: o.write(data), o.unwrap:
        while True:
            try: do()
            except ssl.SSLWantReadError:
                s.sendall(goes.read())
                if do == o.unwrap: return
                came.write(s.recv(65536))
                continue
            s.sendall(goes.read())
            break
def ask(line, fields):
    n = len(logged())
    s = socket.create_connection((host, int(port)), timeout=5)
    data = b'\r\n'.join([line, *fields, b'', b''])
    if tls: within_tls(s, data)
    else: s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    try:
        while s.recv(65536): pass
    except OSError: pass
    s.close()
    for i in range(500):
        if len(logged()) > n: return json.loads(logged()[n])
        time.sleep(0.01)
    return None
def explain(line, fields):
    args = [weirctl, 'explain', '--manifests', site, '--to', to, '-o', 'json']
    for f in fields: args += [b'-H', f]
    p = subprocess.run([*args, line], capture_output=True)
    if not p.stdout: return {'why': '? ' + p.stderr.decode('latin-1')}
    return (json.loads(p.stdout.decode('latin-1'))['answers'] or [{'why': 'nobody is asked'}])[0]
wrong = taken = refused = 0
with ThreadPoolExecutor(8) as pool: all_said = list(pool.map(lambda h: explain(*h), heads))
for (line, fields), said in zip(heads, all_said):
    did = ask(line, fields)
    if did and 'route' in did:
        same = said.get('object') == did['route'] and said.get('rule') == did['rule']
        taken += 1
    else:
        status, _, words = said.get('why', '').partition(': ')
        same = did and str(did['status']) == status and (
            status == '404' or words == did.get('detail'))
        refused += 1
    if not same:
        wrong += 1
        print('#', line[:100], fields[:4], 'does', did, 'says', said)
print(n_own, len(heads) - n_own, taken, refused, wrong)
PY
for to in 127.0.0.30:8080 127.0.0.31:8443; do
	python3 "$dir/client.py" "$bin/../weirctl" "$dir/site" "$dir/log" "$dir/sends" $to >"$dir/said"
	grep '^#' "$dir/said"
	read -r n_own n_cases taken refused wrong < <(tail -n 1 "$dir/said")
	ok "$to: the $n_own request lines and $n_cases heads: explain says what the proxy does ($wrong otherwise)" \
		[ "$wrong" = 0 ]
	ok "many of each kind ($taken taken, $refused refused)" \
		[ "$taken" -gt 100 -a "$refused" -gt 200 ]
done

# explains STATUS TEXT ARGUMENT...: weirctl's, about the port with several names.
explains() {
	local want=$1 text=$2 got
	shift 2
	"$bin/../weirctl" explain --manifests "$dir/site" --to 127.0.0.31:8444 "$@" >"$dir/got" 2>&1
	got=$?
	if [ "$got" != "$want" ] || ! grep -qF "$text" "$dir/got"; then
		sed 's/^/# /' "$dir/got"
		return 1
	fi
}
headers() { # N
	for i in $(seq "$1"); do printf '%s\n' -H "X-$i: y"; done
}
mapfile -t many < <(headers 99)
bad='GET /../x HTTP/1.1'
ok "a listener with a name refuses what it would be asked" explains 1 '400: dot segment' "$bad" -H 'Host: t'
ok "also if who asks does not say for whom" explains 1 '400: no Host' 'GET / HTTP/1.1'
ok "not what nobody there is asked" explains 1 'no listener for this server name' "$bad" -H 'Host: other'
ok "nor what goes through" explains 1 'no TLSRoute for this server name' "$bad" -H 'Host: raw.example'
ok "as many headers as the proxy takes" explains 0 'HTTPRoute default/plain' https://t/ "${many[@]}"
ok "one more" explains 1 '431: too many header lines' https://t/ "${many[@]}" -H 'X: y'
mapfile -t many < <(headers 129)
ok "more than weirctl takes, which it says" explains 2 'explain: --header: 128 of them are the most' https://t/ "${many[@]}"
plan
