//go:build (amd64 || arm64) && !purego

package phash

// prefetch asks the processor to have the cache line of p ready soon. It does
// not wait and does not fault.
//
//go:noescape
func prefetch(p *byte)

// prefetchRange is prefetch for the lines of the n bytes from p on; at least one.
//
//go:noescape
func prefetchRange(p *byte, n int)
