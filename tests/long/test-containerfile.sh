#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# deploy/Containerfile as a builder of images carries it out, from nothing: the
# base is made of Debian's packages here, for a registry may not be reached.
# timeout: 3000

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/netns/lib.sh

tap_plan 4
work=$(mktemp -d /tmp/weir-containerfile.XXXXXX)
builder=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
# shellcheck disable=SC2317 # called by trap
finish() {
	local status=$?
	"${builder[@]}" rm --all >/dev/null 2>&1
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT
for tool in buildah mmdebstrap; do
	if ! command -v $tool >/dev/null; then
		for text in base build run files; do
			tap_skip $text "no $tool here: scripts/setup long"
		done
		tap_end
	fi
done

base() {
	local c
	mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$work/base.tar" &&
		c=$("${builder[@]}" from scratch) && "${builder[@]}" add "$c" "$work/base.tar" / &&
		"${builder[@]}" commit --rm "$c" localhost/debian:12
}
tap_run 'a base image of Debian 12' base
# What is committed, as a stranger has it.
git clone -q . "$work/source" && cp deploy/Containerfile "$work/source/deploy/"
tap_run 'the image is built' "${builder[@]}" bud --isolation chroot --network host \
	--pull-never --build-arg BASE=localhost/debian:12 -f deploy/Containerfile \
	-t localhost/weir "$work/source"
root=$("${builder[@]}" mount "$("${builder[@]}" from --pull-never localhost/weir)")
[[ $(chroot "$root" /weir-agent --version) == weir-agent* && $(chroot "$root" /weirctl --version) == weirctl* ]]
tap_ok $? 'its programs run without anything else'
files() { # DIR
	(cd "$1" && find . -type f ! -name .containerenv | LC_ALL=C sort)
}
scripts/image --build "${WEIR_BUILD:-build}" --rootfs "$work/rootfs" >/dev/null
tap_run 'it has the same files as the one of scripts/image' \
	diff <(files "$root") <(files "$work/rootfs")
tap_end
