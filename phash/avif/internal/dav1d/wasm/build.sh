#!/bin/sh
# Builds ../dav1d.wasm.gz from the source of dav1d, which is in the folder given, with
# tolerant.patch: data that end too early are no error, as in the versions up to 1.0,
# and the rows before a fault are kept.
# Debian 12: apt-get install clang lld wasi-libc libclang-rt-dev-wasm32
#
#   ./build.sh dav1d-1.5.4
set -eu
src=$(cd "$1" && pwd)
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cp -r "$src" "$out/dav1d"
src=$out/dav1d
patch -s -p1 -d "$src" <tolerant.patch
cc="clang --target=wasm32-wasi -O3 -msimd128 -DNDEBUG -std=c11 -w -D_GNU_SOURCE -fno-strict-aliasing
 -I. -I$src -I$src/include -I$src/include/dav1d -I$src/src"
names="cdf cpu ctx data decode dequant_tables getbits intra_edge itx_1d lf_mask lib log mem msac obu pal picture qm
 ref refmvs scan tables thread_task warpmv wedge"
by_depth="cdef_apply cdef fg_apply filmgrain ipred_prepare ipred itx lf_apply loopfilter looprestoration lr_apply mc recon"
for n in $names; do
	$cc -c "$src/src/$n.c" -o "$out/$n.o"
done
for depth in 8 16; do
	for n in $by_depth; do
		$cc -DBITDEPTH=$depth -c "$src/src/${n}_tmpl.c" -o "$out/$n$depth.o"
	done
done
$cc -c glue.c -o "$out/glue.o"
# -z stack-size: dav1d takes up to 256 KB for a block.
clang --target=wasm32-wasi -mexec-model=reactor -Wl,--strip-all -Wl,-z,stack-size=1048576 "$out"/*.o -o "$out/dav1d.wasm"
gzip -9n <"$out/dav1d.wasm" >../dav1d.wasm.gz
sha256sum ../dav1d.wasm.gz
