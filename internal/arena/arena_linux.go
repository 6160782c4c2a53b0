package arena

import (
	"math"
	"syscall"
	"unsafe"
)

// mapHuge returns n bytes, aligned to a huge page, and the mapping that holds
// them; nil if the kernel gives none.
func mapHuge(n int) (b, mapping []byte) {
	if n > math.MaxInt-2*hugePage {
		return nil, nil
	}
	// Kernels before 6.7 align a mapping to a small page only.
	size := (n+hugePage-1)/hugePage*hugePage + hugePage
	mapping, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil
	}
	skip := -int(uintptr(unsafe.Pointer(&mapping[0]))) & (hugePage - 1)
	b = mapping[skip : skip+n : skip+n]
	// An error means that the kernel has no huge pages: small ones do as well.
	_ = syscall.Madvise(mapping[skip:size-hugePage+skip], syscall.MADV_HUGEPAGE)
	return b, mapping
}

func discard(b []byte) {
	page := syscall.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (page - 1)
	if n := (len(b) - skip) / page * page; n > 0 {
		_ = syscall.Madvise(b[skip:skip+n], syscall.MADV_DONTNEED)
	}
}

func unmap(mapping []byte) { _ = syscall.Munmap(mapping) }
