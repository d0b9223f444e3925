#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weirctl explain says of any request line what the proxy does with it: the head
# of every scripted exchange, and lines that no URL stands for, through both.
# timeout: 300
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

if ! command -v python3 >/dev/null; then
	echo "1..0 # SKIP python3 is not installed"
	exit 0
fi
proxy "$here/site" access_log="$dir/log"
backend A=http:127.0.1.1:9101
"$bin/weir-proxy-cases" --sends "$here"/cases/*.case >"$dir/sends"
python3 - "$bin/../weirctl" "$here/site" "$dir/log" "$dir/sends" >"$dir/said" <<'PY'
import json, socket, struct, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
weirctl, site, log, sends = sys.argv[1:]
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
        # Arguments have no NUL; weirctl takes 64 headers; HTTP/2's preface
        # begins no request.
        lines = head.split(b'\r\n')
        if (end and b' ' in lines[0] and head != b'PRI * HTTP/2.0'
                and b'\0' not in head and len(lines) < 60
                and (lines[0], lines[1:]) not in heads):
            heads.append((lines[0], lines[1:]))
def logged():
    with open(log, 'rb') as f: return f.read().splitlines()
def ask(line, fields):
    n = len(logged())
    s = socket.create_connection(('127.0.0.30', 8080), timeout=5)
    s.sendall(b'\r\n'.join([line, *fields, b'', b'']))
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
    args = [weirctl, 'explain', '--manifests', site, '--to', '127.0.0.30:8080', '-o', 'json']
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
grep '^#' "$dir/said"
read -r n_own n_cases taken refused wrong < <(tail -n 1 "$dir/said")
ok "the $n_own request lines and $n_cases heads: explain says what the proxy does ($wrong otherwise)" \
	[ "$wrong" = 0 ]
ok "many of each kind ($taken taken, $refused refused)" \
	[ "$taken" -gt 100 -a "$refused" -gt 200 ]
plan
