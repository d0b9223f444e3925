#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make install and uninstall into a directory: what is there, that it is
# active nowhere, and that configuration which was changed survives both.
# timeout: 120

set -u
cd "$(dirname "$0")/../.." || exit 1
build=${WEIR_BUILD:-build}
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
. tests/netns/lib.sh

run() { # TARGET
	make -s --no-print-directory B="$build" DESTDIR="$dest" "$1" >"$dest.log" 2>&1 ||
		sed 's/^/# /' "$dest.log"
	rm -f "$dest.log"
}

tap_plan 9
run install
[ -x "$dest/usr/local/sbin/weir-agent" ] && [ -x "$dest/usr/local/bin/weirctl" ]
tap_ok $? 'both programs are installed'
unit=$dest/etc/systemd/system/weir-agent.service
grep -q '^ExecStart=/usr/local/sbin/weir-agent --manifests /etc/weir/manifests' "$unit"
tap_ok $? 'the unit starts the installed program with the installed directory'
! grep -q '@[A-Z]*@' "$unit"
tap_ok $? 'nothing in it is left to fill in'
[ -s "$dest/usr/local/share/bash-completion/completions/weirctl" ]
tap_ok $? 'completion is there'
tap_run 'the directory is valid as it comes' \
	"$build/weirctl" check --strict "$dest/etc/weir/manifests"
for f in "$dest"/etc/weir/manifests/*.example; do
	cp "$f" "${f%.example}"
done
tap_run 'and its examples are, once they are taken' \
	"$build/weirctl" check --strict "$dest/etc/weir/manifests"
rm "$dest"/etc/weir/manifests/*.yaml

echo 'WEIR_OPTIONS=--node-name edge-1' >"$dest/etc/weir/weir-agent.env"
run install
grep -q edge-1 "$dest/etc/weir/weir-agent.env"
tap_ok $? 'a second install leaves changed configuration'
run uninstall
[ "$(find "$dest" -type f)" = "$dest/etc/weir/weir-agent.env" ]
tap_ok $? 'uninstall removes everything but that'
rm "$dest/etc/weir/weir-agent.env"
run install
run uninstall
[ -z "$(find "$dest" -type f)" ]
tap_ok $? 'and all of it where nothing was changed'
tap_end
