#!/usr/bin/env bash
# Runs every fuzz target of every module for the given time.
#
#   scripts/fuzz.sh 6m/all       six minutes for all of them: what .ci/run does
#   scripts/fuzz.sh 10m ./phash  ten minutes for each target of one package
#   scripts/fuzz.sh 2h           a night
#
# Stops at nothing: the last line names the targets that found something. Go
# keeps what they found below testdata/fuzz of the package: commit it with the
# fix.
set -u
cd "$(dirname "$0")/.."
usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; }
case ${1-} in
-h | --help) usage; exit 0 ;;
[0-9]*) time=$1 ;;
*) usage >&2; exit 2 ;;
esac
shift
[ $# -gt 0 ] || set -- work
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs one target. The go command sometimes reports the end of its own time as
# "context deadline exceeded" of the target (golang/go#75804): that is no
# finding as long as it names no input.
run() {
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 20x "$1" >"$log" 2>&1
	local rc=$?
	tail -n 15 "$log"
	[ $rc -eq 0 ] && return 0
	grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic:|testdata/fuzz/' "$log"
}

# Package and name of each target, one a line.
targets=$(go test -list '^Fuzz' "$@" | awk '/^Fuzz/ { names[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 } /^\?/ { n = 0 }')
[ -n "$targets" ] || { echo "fuzz: no target found"; exit 1; }
ran=$(wc -l <<<"$targets")
case $time in
*s/all) time=$((${time%s/all} / ran)) ;;
*m/all) time=$((${time%m/all} * 60 / ran)) ;;
esac
case $time in
*[a-z]) ;;
*) time=$((time > 2 ? time : 2))s ;;
esac
failed=()
while read -r package target; do
	echo "-- $package $target"
	run "$package" "$target" </dev/null || failed+=("$package $target")
done <<<"$targets"
if [ ${#failed[@]} -ne 0 ]; then
	printf 'fuzz: %d of %d targets found something:\n' ${#failed[@]} "$ran"
	printf '  %s\n' "${failed[@]}"
	exit 1
fi
echo "fuzz: $ran targets, $time each, nothing found"
