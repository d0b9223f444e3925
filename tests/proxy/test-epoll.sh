#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# The proxy over epoll (--io epoll): every scripted exchange, tunnels and ends,
# as the rest of this tier has them over io_uring; and the way there when that is
# refused, in whole or in part.
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

# What the proxy is started under.
cat >"$dir/under" <<'SH'
#!/bin/bash
exec ${UNDER-} "$DRIVER" "$@"
SH
mkdir "$dir/bin"
ln -s "$(realpath "$bin")"/* "$dir/bin"
rm "$dir/bin/weir-proxy-driver"
mv "$dir/under" "$dir/bin/weir-proxy-driver"
chmod +x "$dir/bin/weir-proxy-driver"
DRIVER=$(realpath "$bin/weir-proxy-driver")
export DRIVER
whole=$bin
bin=$dir/bin
backend http:127.0.1.1:9101

# serves WORKERS RINGS [name=value...]: as many of each, and requests answered.
serves() {
	local workers=$1 rings=$2 got r=0
	shift 2
	rm -f "$dir/in" "$dir/out"
	proxy "$here/site" workers="$workers" "$@"
	for _ in $(seq 100); do
		got="$(stat_of workers) $(stat_of rings)"
		[ "$got" != "$workers $rings" ] || break
		sleep 0.02
	done
	[ "$got" = "$workers $rings" ] || { echo "# workers and rings: $got" && r=1; }
	got=$("$bin/weir-load" --connect 127.0.0.30:8080 -c 20 -n 500 --keepalive http://t/bytes/5000 |
		jq -r '"\(.statuses["200"]) \(.errors | length)"')
	[ "$got" = '500 0' ] || { echo "# of 500: $got" && r=1; }
	exec 3>&-
	wait "$driver" || { echo "# the proxy ended with $?" && r=1; }
	driver=
	return $r
}
says() { # LINES: of the log, about io_uring
	[ "$(grep -c 'io_uring: .*: the proxy uses epoll' "$dir/err")" = "$1" ]
}
under() { # COMMAND...: what the proxy is started by from now on
	UNDER="${*:-}"
	export UNDER
}
refused="$here/clients/refused.py"

under
WEIR_TEST_IO=epoll
export WEIR_TEST_IO
ok "epoll, because it is asked for" serves 2 0
ok "and nothing is said of it" says 0
WEIR_TEST_IO=uring
for error in EPERM ENOSYS; do
	under "$refused" $error io_uring_setup
	ok "epoll where making a ring fails with $error" serves 2 0
	ok "which is said once" says 1
done
under "$refused" EPERM io_uring_register
ok "epoll where a ring is made and can be given no buffers" serves 1 0
ok "which is said once" says 1
under "$refused" EPERM io_uring_enter
ok "epoll where a ring is made and does nothing" serves 1 0
ok "which is said once" says 1
WEIR_TEST_IO=auto
under "$refused" EPERM io_uring_setup,io_uring_enter,io_uring_register
ok "auto does so without a warning" serves 2 0
ok "indeed" says 0
under
if serves 1 1 >/dev/null; then
	under prlimit --memlock=0
	ok "a ring, though no memory may be locked" serves 1 1
else
	echo "# no io_uring here: $(cat "$dir/err")"
fi
unset UNDER
WEIR_TEST_IO=epoll
bin=$whole

for p in "${others[@]}"; do kill "$p"; done
others=()
for t in cases relay ends; do
	"$here/test-$t.sh" >"$dir/tap" 2>&1
	r=$?
	sed -n 's/^not ok/# &/p; /^# /p' "$dir/tap" | head -20
	ok "test-$t: $(grep -c '^ok' "$dir/tap")" [ "$r" = 0 ]
done
plan
