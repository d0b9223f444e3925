#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 1 GiB each way, with constant memory; Go's client.  timeout: 300
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/../proxy/lib.sh"
# shellcheck source=tests/proxy/clients/lib.sh
. "$here/clients/lib.sh"

open_site
proxy "$dir/site" workers=2
backend A=http:127.0.1.1:9101
gib=$((1 << 30))

rss() { awk '/^VmRSS/ {print $2}' "/proc/$pid/status"; }
peak() { awk '/^VmHWM/ {print $2}' "/proc/$pid/status"; }
# grows TEXT COMMAND...: the command's success, and the peak of memory, KiB.
grows() {
	local text=$1 before r grown
	shift
	before=$(rss)
	echo 5 >"/proc/$pid/clear_refs" # the peak begins again
	"$@"
	r=$?
	grown=$(($(peak) - before))
	ok "$text" [ $r = 0 ]
	ok "$text: the proxy grew by $grown KiB (2048)" [ $grown -lt 2048 ]
}
up() { # curl's options
	head -c "$gib" /dev/zero | curl -s -m 120 -H 'Expect:' -T - "$@" "$url/up" -o "$dir/got" &&
		grep -q "\"body_bytes\":$gib" "$dir/got"
}
down() { # PATH
	[ "$(curl -s -m 120 "$url/bytes/$gib$1" | wc -c)" = "$gib" ]
}
# Warm, so that what grows is the body's.
curl -s -m 20 "$url/bytes/1000000" -o "$dir/got"
head -c 1000000 /dev/zero | curl -s -m 20 -T - "$url/up" -o "$dir/got"

grows "1 GiB up, in chunks" up
grows "1 GiB up, with a length" up -H "Content-Length: $gib" -H 'Transfer-Encoding:'
grows "1 GiB down, with a length" down ''
grows "1 GiB down, in chunks" down /chunked
grows "1 GiB down, until the end" down /eof
slow() { curl -s -m 6 --limit-rate 20M "$url/bytes/$gib" -o /dev/null; [ $? = 28 ]; }
grows "1 GiB to a client that reads 20 MB a second, for 6 s" slow

if client_is go "command -v go"; then
	(cd "$dir" && go build -o nethttp "$here/clients/nethttp.go") || echo "# go build failed"
	client net/http "$dir/nethttp" "$url"
fi
ok "nothing is left in flight" settles in_flight 0
plan
