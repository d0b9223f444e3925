#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every scripted exchange in cases/ through the proxy, on loopback addresses.
# Needs no privilege.  WEIR_BIN: where weir-proxy-driver and weir-proxy-cases
# are (default: tests in WEIR_BUILD).
set -u
# shellcheck source=tests/proxy/lib.sh
. "$(dirname "$0")/lib.sh"

proxy "$here/site" head_timeout_ms=3000 connect_timeout_ms=1000
files=("${@:-}")
[ -n "${files[0]}" ] || files=("$here"/cases/*.case)
"$bin/weir-proxy-cases" 127.0.0.30:8080 127.0.1.1:9101 "${files[@]}"
status=$?
# Nothing may be left open or counted as in flight.
echo stats >&3
exec 3>&-
wait "$driver" || { echo "# proxy ended with $?"; tail -5 "$dir/err" | sed 's/^/# /'; status=1; }
driver=
grep -q ' in_flight=0 ' "$dir/out" || { echo "# left in flight: $(tail -1 "$dir/out")"; status=1; }
exit $status
