package feed_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist/feed"
)

// wire is a Bell and a Listener in one process.
type wire chan feed.Note

func (w wire) Ring(_ context.Context, n feed.Note) error {
	select {
	case w <- n:
	default:
	}
	return nil
}

func (w wire) Listen(ctx context.Context, ring func(feed.Note)) error {
	for {
		select {
		case n := <-w:
			ring(n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// afterBell is longer than readers wait with a request that a bell causes.
const afterBell = 800 * time.Millisecond

// A bell does not make readers ask a server that asked them to wait, or that fails,
// and strangers who ring it cause few requests.
func TestBellKeepsWaits(t *testing.T) {
	t.Parallel()
	genuine := make(wire, 100)
	d := newDesk(t, func(d *desk) { d.pub.Bells = []feed.Bell{genuine} })
	d.add(1)
	d.publish()
	<-genuine
	var asked atomic.Int64
	m := &mirror{dir: d.to}
	count := func(w http.ResponseWriter, _ *http.Request, name string) bool {
		if name == "latest" {
			asked.Add(1)
		}
		return false
	}
	m.set(count)
	location := serve(t, m)
	heard := make(wire)
	o := manual(t)
	o.Listeners = []feed.Listener{heard}
	f := follow(t, location, o)
	ringNext := func() {
		d.add(1)
		d.publish()
		n := <-genuine
		n.Delta = nil // it was too big
		heard <- n
	}
	ringNext()
	d.reaches(f)

	// Noise, faster than it is read.
	before, start := asked.Load(), time.Now()
	for range 20_000 {
		heard <- feed.Note{Pointer: []byte("noise")}
	}
	time.Sleep(afterBell)
	if n, most := asked.Load()-before, int64(time.Since(start)/(500*time.Millisecond))+1; n > most {
		t.Errorf("noise caused %d requests in %v, at most %d are meant", n, time.Since(start), most)
	}

	m.set(func(w http.ResponseWriter, r *http.Request, name string) bool {
		count(w, r, name)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	time.Sleep(500 * time.Millisecond)
	before = asked.Load()
	ringNext()
	eventually(t, "a request", func() bool { return asked.Load() > before })
	for range 10 {
		ringNext()
	}
	time.Sleep(afterBell)
	if n := asked.Load() - before; n != 1 {
		t.Errorf("a server that asked to wait for an hour got %d requests", n)
	}
}
