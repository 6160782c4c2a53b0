#!/bin/sh
# fetch.sh DIR [LIST] fetches the Debian packages of LIST (default: packages.txt
# beside this script; lines NAME=VERSION, a tab and a kind, without those that
# begin with # or -) and unpacks their
# pictures, and those in the zip archives among their files, to DIR/NAME/. It
# installs nothing. A version that the archive no longer has is an error of
# apt-get: then take the one it has, and expect other figures.
set -eu
dir=$1
list=${2:-$(dirname "$0")/packages.txt}
mkdir -p "$dir"
debs=$(mktemp -d)
trap 'rm -rf "$debs"' EXIT

grep -v '^[#-]' "$list" | while read -r package kind; do
	name=${package%%=*}
	[ -e "$dir/$name" ] && continue
	(cd "$debs" && apt-get -q download "$package" </dev/null >/dev/null)
	mkdir -p "$dir/$name.part"
	for deb in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir/$name.part" --wildcards --ignore-case --no-same-owner \
			'*.png' '*.jpg' '*.jpeg' '*.webp' '*.zip' '*.pk3' '*.jar' '*.sh3f' '*.sh3t' 2>/dev/null || true
		rm "$deb"
	done
	find "$dir/$name.part" -type f | grep -iE '\.(zip|pk3|jar|sh3f|sh3t)$' | while read -r z; do
		unzip -qq -o -C "$z" '*.png' '*.jpg' '*.jpeg' '*.webp' -d "$z.d" </dev/null 2>/dev/null || true
		rm "$z"
	done
	mv "$dir/$name.part" "$dir/$name"
	echo "$name: $(find "$dir/$name" -type f | wc -l) pictures"
done
