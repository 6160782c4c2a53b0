//go:build unix

package main

import (
	"os"
	"syscall"
	"time"
)

// cpuTime returns what the process has used of the processor, which other work
// on the machine disturbs less than the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// mapFile returns the bytes of a file, which stay mapped for good.
func mapFile(name string) []byte {
	f, err := os.Open(name)
	check(err)
	defer f.Close()
	fi, err := f.Stat()
	check(err)
	b, err := syscall.Mmap(int(f.Fd()), 0, int(fi.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	check(err)
	return b
}
