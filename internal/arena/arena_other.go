//go:build !linux

package arena

func mapHuge(int) (b, mapping []byte) { return nil, nil }

func unmap([]byte) {}
