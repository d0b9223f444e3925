#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Thousands of rules: what many requests of one turn get is what each gets
# alone, by the ring (which looks ahead, agent/proxy/upcoming.h) and by epoll.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

hosts=300
mkdir "$dir/site"
python3 "$here/clients/routes.py" site $hosts >"$dir/site/routes.yaml"
site_service one 9101 127.0.1.1
backend http:127.0.1.1:9101

# asked IO: what the client says at last, of a proxy over IO.
asked() {
	: >"$dir/out"
	rm -f "$dir/in"
	WEIR_TEST_IO=$1 proxy "$dir/site" workers=1
	python3 "$here/clients/routes.py" ask $hosts 127.0.0.30 8080 "$pid" >"$dir/said" 2>&1
	grep -v '^differ=' "$dir/said" | head -5 | sed 's/^/# /' >&2
	proxy_end
	tail -n 1 "$dir/said"
}
asked epoll >"$dir/epoll"
asked uring >"$dir/uring"
# So many of the 520 requests name rules of their own.
is_whole() { grep -q '^differ=0 rules=2[0-9][0-9] statuses=200,400,404$' "$1"; }
ok "epoll: $(cat "$dir/epoll")" is_whole "$dir/epoll"
ok "ring: $(cat "$dir/uring")" is_whole "$dir/uring"
ok "both alike" cmp -s "$dir/epoll" "$dir/uring"
plan
