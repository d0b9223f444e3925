# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For the checks in this directory: sourced.  Goes to the top of the source.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bad=0

# Files that are or will be committed: what is ignored is not looked at.  A
# pattern's * matches slashes too.  Without git (a release archive): all files.
files() { # PATTERN...
	local f p
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "$@"
	else
		find . -path ./build -prune -o -type f -printf '%P\n' |
			while read -r f; do
				for p in "${@:-*}"; do
					# shellcheck disable=SC2053 # a pattern
					if [[ $f == $p || $f == $p/* ]]; then
						echo "$f"
					fi
				done
			done
	fi | sort -u | while read -r f; do
		[[ ! -f $f ]] || echo "$f"
	done
}

scripts() { # every shell script, by its ending or its first line
	files '*.sh'
	files scripts tests .ci deploy | grep -v '\.[a-z]*$' |
		xargs -r awk 'FNR == 1 && /^#!.*sh/ { print FILENAME } { nextfile }'
}

fail() {
	bad=1
}

complain() { # FILE:LINE TEXT
	echo "$1: $2"
	fail
}

finish() {
	exit $bad
}
