//go:build !amd64 || purego

package phash

const wideLanes = false

func closeAVX2(*byte, int, uint16, uint16, *[256]uint8) int { panic("phash: no AVX2") }
