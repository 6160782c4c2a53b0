//go:build !unix

package main

import (
	"os"
	"time"
)

func cpuTime() time.Duration { return time.Since(start) }

func mapFile(name string) []byte {
	b, err := os.ReadFile(name)
	check(err)
	return b
}
