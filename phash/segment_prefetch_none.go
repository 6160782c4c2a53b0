//go:build !(amd64 || arm64) || purego

package phash

func prefetch(*byte) {}

func prefetchRange(*byte, int) {}
