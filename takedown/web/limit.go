package web

import (
	"net/netip"
	"sync"
	"time"
)

// limiter counts what networks do: a bucket of tokens for each, which fills again
// over an hour. It is bounded: when too many networks come, those that have used
// least are forgotten.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[limitKey]*bucket
}

type limitKey struct {
	what string
	net  netip.Prefix
}

type bucket struct {
	left float64
	at   time.Time
}

const maxBuckets = 100_000

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, buckets: map[limitKey]*bucket{}}
}

// allow takes one of perHour from the bucket of a network, if there is one.
func (l *limiter) allow(what string, from netip.Addr, perHour int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, key := l.now(), limitKey{what, network(from)}
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) >= maxBuckets {
			l.sweep(now)
		}
		b = &bucket{float64(perHour), now}
		l.buckets[key] = b
	}
	b.left = min(float64(perHour), b.left+max(0, now.Sub(b.at).Hours())*float64(perHour))
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// sweep forgets the buckets that are nearly full again, and if that is not enough
// all of them: a flood from everywhere is not for this limit to stop.
func (l *limiter) sweep(now time.Time) {
	for key, b := range l.buckets {
		if now.Sub(b.at) > time.Hour {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}

// network is what one sender usually has: 256 addresses of IPv4, a /56 of IPv6.
func network(a netip.Addr) netip.Prefix {
	bits := 56
	if a.Is4() {
		bits = 24
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
