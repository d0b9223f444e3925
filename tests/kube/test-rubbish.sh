#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a real API server does not do: it lists well, and answers each watch with
# 200 and rubbish.  It is asked ever more slowly.  It stands behind a path and
# is known by another name (tls-server-name), as behind some gateways.

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/netns/lib.sh

tap_plan 5
work=$(mktemp -d /tmp/weir-rubbish.XXXXXX)
trap 'kill $server $driver 2>/dev/null; rm -rf "$work"' EXIT
server='' driver=''
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=api.example \
	-addext 'subjectAltName=DNS:api.example' -keyout "$work/key" -out "$work/crt" 2>/dev/null
/usr/bin/python3 - "$work" <<'PYTHON' &
import http.server, json, os, ssl, sys

class Handler(http.server.BaseHTTPRequestHandler):
	protocol_version = "HTTP/1.1"

	def do_GET(self):
		watch = "watch=1" in self.path
		asked.write(f"{'watch' if watch else 'list'} {self.path}\n")
		asked.flush()
		known = "/namespaces?" in self.path or "/leases?" in self.path
		body = b"{]\n" if watch else json.dumps({"kind": "List", "apiVersion": "v1",
			"metadata": {"resourceVersion": "7"}, "items": []},
			separators=(",", ":")).encode()
		self.send_response(200 if known else 404)
		self.send_header("content-length", str(len(body)))
		self.end_headers()
		self.wfile.write(body)

	def log_message(self, *_):
		pass

work = sys.argv[1]
asked = open(work + "/asked", "w")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(work + "/crt", work + "/key")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(work + "/port.new", "w") as f:
	f.write(str(server.server_port))
os.rename(work + "/port.new", work + "/port")
server.serve_forever()
PYTHON
server=$!
wait_until 10 test -e "$work/port"
cat >"$work/config" <<END
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters:
- name: c
  cluster:
    server: https://127.0.0.1:$(<"$work/port")/behind/a/path
    tls-server-name: api.example
    certificate-authority: $work/crt
users: [{name: u, user: {token: t}}]
END
mkfifo "$work/in"
"$WEIR_BUILD/tests/weir-kube-driver" "kubeconfig=$work/config" leases=weir node=n \
	<"$work/in" >/dev/null 2>"$work/log" &
driver=$!
exec 3>"$work/in"

count() { # WHAT PATTERN
	grep -c "^$1.*$2" "$work/asked"
}
at_least() { # N WHAT PATTERN
	(($(count "$2" "$3") >= $1))
}
wait_until 30 at_least 6 watch '/namespaces?'
tap_ok $? 'rubbish is asked for again'
wait_until 30 at_least 6 watch '/leases?'
tap_ok $? 'of Leases, too'
[[ -z $(grep -v ' /behind/a/path/api' "$work/asked") ]]
tap_ok $? 'each path begins as the URL of the server does'
# By then the rest is 4 to 8 s.
before=$(count '' '/namespaces?')
leases=$(count '' '/leases?')
sleep 4
before=$(($(count '' '/namespaces?') - before))
leases=$(($(count '' '/leases?') - leases))
echo "# $before and $leases requests in 4 s"
((before <= 4))
tap_ok $? 'but ever more slowly'
((leases <= 4))
tap_ok $? 'Leases, too'
tail -n 3 "$work/log" | cut -c1-200 | sed 's/^/# /'
tap_end
