//go:build unix && !386 && !arm && !mips && !mipsle

package blocklist

import (
	"runtime"
	"syscall"

	"github.com/staydown/staydown/internal/fsx"
)

// mapFile returns the bytes of a file, mapped for reading; nil if the file is
// none of the operating system or cannot be mapped. The mapping stays when the
// file is closed, renamed or removed.
func mapFile(f fsx.File, size int64) *memory {
	fd, ok := f.(interface{ Fd() uintptr })
	if !ok || size == 0 {
		return nil
	}
	data, err := syscall.Mmap(int(fd.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil
	}
	m := &memory{data: data}
	c := runtime.AddCleanup(m, func(data []byte) { syscall.Munmap(data) }, data)
	m.unmap = func() {
		c.Stop()
		syscall.Munmap(data)
	}
	return m
}
