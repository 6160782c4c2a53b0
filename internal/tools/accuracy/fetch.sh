#!/usr/bin/env bash
# fetch.sh DIR fetches the packages of heldout.tsv and others.tsv with apt-get and
# npm, without installing them, and puts their pictures into DIR/originals, DIR/list
# (registered besides) and DIR/innocent (asked). Pictures that are there already are not fetched again. A picture
# whose digest is another one than in heldout.tsv is an error.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
mkdir -p "$dir/originals" "$dir/innocent" "$dir/list"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# unpack PACKAGE VERSION prints the folder with the files of the package.
unpack() {
	local name=${1#*:} out
	out=$tmp/$(echo "$1" | tr -c 'a-z0-9-' _)
	if [ ! -d "$out" ]; then
		mkdir "$out" "$out.get"
		case $1 in
		deb:*)
			(cd "$out.get" && apt-get -q download "$name=$2" >/dev/null)
			dpkg-deb --fsys-tarfile "$out.get"/*.deb | tar -x -C "$out" --no-same-owner
			;;
		npm:*)
			(cd "$out.get" && npm pack --silent "$name@$2" >/dev/null)
			tar -xzf "$out.get"/*.tgz -C "$out" --no-same-owner --strip-components=1
			;;
		esac
	fi
	echo "$out"
}

tail -n +2 "$here/heldout.tsv" | while IFS=$'\t' read -r name package version file _ sha _; do
	[ -e "$dir/originals/$name" ] && continue
	from=$(unpack "$package" "$version" </dev/null)
	echo "$sha  $from/$file" | sha256sum --check --quiet
	cp "$from/$file" "$dir/originals/$name"
done
tail -n +2 "$here/others.tsv" | while IFS=$'\t' read -r role package version files _; do
	prefix=$(echo "${package#*:}" | tr -c 'a-z0-9\n' - | sed 's/^-//')_$(basename "$(dirname "$files")" | tr -c 'a-z0-9\n' -)
	compgen -G "$dir/$role/$prefix-*" >/dev/null && continue
	from=$(unpack "$package" "$version" </dev/null)
	find "$from/$(dirname "$files")" -maxdepth 1 -type f -name "$(basename "$files")" -size +8k | while read -r f; do
		cp "$f" "$dir/$role/$prefix-$(basename "$f" | tr 'A-Z ' 'a-z-')"
	done
done
for d in originals list innocent; do echo "$d: $(find "$dir/$d" -type f | wc -l) pictures"; done
