//go:build !unix

package sharedtest

import "time"

// CPUTime returns 0: nobody knows.
func CPUTime() time.Duration { return 0 }
