//go:build !linux

package arena

func mapHuge(int) (b, mapping []byte) { return nil, nil }

func discard([]byte) {}

func unmap([]byte) {}
