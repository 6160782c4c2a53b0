//go:build unix

package sharedtest

import (
	"syscall"
	"time"
)

// CPUTime is the processor time that the process has used.
func CPUTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
