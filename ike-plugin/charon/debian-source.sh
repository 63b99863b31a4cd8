#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetches strongSwan's source, the tarball of its authors, out of Debian's source package. apt gets lists of its own for it; the machine's
# stay as they are.
#   debian-source.sh FOLDER         of the version that is installed
#   debian-source.sh FOLDER SUITE   of another suite's version, such as trixie or sid
set -eu
mkdir -p "$1/apt/parts" "$1/apt/lists/partial" "$1/apt/cache/archives/partial"
folder=$(cd "$1" && pwd)
suite=${2:-}
here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

apt="-q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$folder/apt/parts -o Dir::State::lists=$folder/apt/lists -o Dir::Cache=$folder/apt/cache"

# This machine's archives, as archives of sources.
ours() {
	for file in /etc/apt/sources.list.d/*.sources; do
		test ! -e "$file" || sed 's/^Types:.*/Types: deb-src/' "$file"
		echo
	done >"$folder/apt/parts/src.sources"
	sed -n 's/^deb /deb-src /p' /dev/null $(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null) >"$folder/apt/parts/src.list"
}

# Of these, those that have the suite $1 of this release, with the suite $2 in its place.
others() {
	ours
	awk -v RS= -v ORS='\n\n' -v from="$1" -v to="$2" '
		match($0, /(^|\n)Suites:[^\n]*/) {
			count = split(substr($0, RSTART, RLENGTH), suites, /[ \t]+/)
			for (i = 2; i <= count; i++) if (suites[i] == from) { sub(/(^|\n)Suites:[^\n]*/, "\nSuites: " to); print; next }
		}' "$folder/apt/parts/src.sources" >"$folder/apt/others"
	mv "$folder/apt/others" "$folder/apt/parts/src.sources"
	sed -n "s/ $1 / $2 /p" "$folder/apt/parts/src.list" >"$folder/apt/others"
	mv "$folder/apt/others" "$folder/apt/parts/src.list"
	test -s "$folder/apt/parts/src.sources" || test -s "$folder/apt/parts/src.list"
}

fetch() {
	# An archive that does not answer, or has no such suite, may not be the one that has it.
	apt-get $apt update || true
	(cd "$folder" && apt-get $apt source --download-only --tar-only "$1")
}

if [ -z "$suite" ]; then
	installed=$(dpkg-query -W -f '${source:Version}' libstrongswan 2>/dev/null) || {
		echo "strongSwan is not installed: run \`make deps\`" >&2
		exit 1
	}
	ours
	fetch "strongswan=$installed" || (cd "$folder" && apt-get $apt source --download-only --tar-only strongswan) || true
	ls "$folder/strongswan_${installed%%-*}".orig.tar.* >/dev/null 2>&1 || {
		echo "strongSwan $installed is installed, but its source package is not to be had, or is of another version: upgrade strongSwan" >&2
		exit 1
	}
else
	# What the security archive has, the other may not have yet. Only stable releases have one.
	{ others "$here-security" "$suite-security" && fetch strongswan; } || { others "$here" "$suite" && fetch strongswan; } || {
		echo "the source package of strongSwan in Debian's suite \`$suite\` is not to be had: expected an archive of Debian \`$here\` in /etc/apt" \
			"that has \`$suite\`, too" >&2
		exit 1
	}
fi
rm -rf "$folder/apt"
