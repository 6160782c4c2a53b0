//go:build !unix

package main

import "time"

// cpuTime returns zero: this system is not asked for its processor time.
func cpuTime() time.Duration { return 0 }
