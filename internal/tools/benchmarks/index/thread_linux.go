package main

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

func init() { runtime.LockOSThread() } // main measures, always on one thread

// threadTime returns what this thread has used of the processor.
func threadTime() time.Duration {
	const threadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		check(errno)
	}
	return time.Duration(ts.Nano())
}
