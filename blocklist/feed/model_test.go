package feed_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
)

var chaos = flag.Int("chaos", 0, "number of kills, partitions, damaged and withheld files of TestChaos; 0 means 100, and 30 with -short")

// A clock that tests move.
type testClock struct{ ahead atomic.Int64 }

func clock() *testClock                { return &testClock{} }
func (c *testClock) now() time.Time    { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *testClock) add(seconds int64) { c.ahead.Add(seconds * int64(time.Second)) }

// A gate is between a reader and the files: it damages, withholds and repeats.
type gate struct {
	dir     string
	r       *rand.Rand
	mu      sync.Mutex
	trouble int    // percent of requests
	stale   []byte // an older pointer
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	content, err := os.ReadFile(filepath.Join(g.dir, name))
	g.mu.Lock()
	kind := -1
	if g.r.IntN(100) < g.trouble {
		kind = g.r.IntN(7)
	}
	at := 0
	if len(content) > 0 {
		at = g.r.IntN(len(content))
	}
	stale := g.stale
	if name == "latest" && err == nil && g.r.IntN(10) == 0 {
		g.stale = content
	}
	g.mu.Unlock()
	switch {
	case err != nil || kind == 0:
		http.NotFound(w, r)
	case kind == 1:
		panic(http.ErrAbortHandler)
	case kind == 2: // damaged
		content[at] ^= 1
		w.Write(content)
	case kind == 3: // cut
		w.Write(content[:at])
	case kind == 4: // stale
		w.Write(stale)
	case kind == 5:
		w.WriteHeader(http.StatusServiceUnavailable)
	case kind == 6:
		w.WriteHeader(http.StatusNotModified)
	default:
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader(string(content)))
	}
}

// bells ring for some readers, and lose, repeat and reorder notes.
type bells struct {
	mu    sync.Mutex
	r     *rand.Rand
	kept  []feed.Note
	rings map[int]func(feed.Note)
}

func (b *bells) Ring(_ context.Context, n feed.Note) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, n)
	for _, ring := range b.rings {
		switch b.r.IntN(4) {
		case 0:
			ring(n)
		case 1:
			ring(b.kept[b.r.IntN(len(b.kept))])
		case 2:
			bad := n
			bad.Delta = append([]byte("x"), n.Delta...)
			ring(bad)
		}
	}
	if b.r.IntN(5) == 0 {
		return errors.New("the bell is broken")
	}
	return nil
}

type listener struct {
	b *bells
	i int
}

func (l listener) Listen(ctx context.Context, ring func(feed.Note)) error {
	l.b.mu.Lock()
	l.b.rings[l.i] = ring
	l.b.mu.Unlock()
	<-ctx.Done()
	l.b.mu.Lock()
	delete(l.b.rings, l.i)
	l.b.mu.Unlock()
	return nil
}

// TestChaos kills and partitions readers and publisher, and damages, withholds and
// repeats what is between them, at random. In the end every reader has the list of
// the desk, by its digest.
func TestChaos(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	troubles := *chaos
	if troubles == 0 {
		if troubles = 100; testing.Short() {
			troubles = 30
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	b := &bells{r: rand.New(rand.NewPCG(seed, 2)), rings: map[int]func(feed.Note){}}
	d := newDesk(t, func(d *desk) {
		d.pub.Bells = []feed.Bell{b}
		d.pub.Grace = 50 * time.Millisecond
		d.pub.Heartbeat = 20 * time.Millisecond
	})
	d.add(50)
	d.publish()

	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		p := d.p
		go func() { ended <- p.Run(ctx) }()
		return func() {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		}
	}
	stop := run()
	const readers = 6
	var gates [readers]*gate
	var feeds [readers]*feed.Feed
	var options [readers]*feed.Options
	var locations [readers]string
	start := func(i int) {
		for {
			f, err := feed.Follow(ctx, locations[i], options[i])
			if err == nil {
				feeds[i] = f
				return
			}
		}
	}
	for i := range readers {
		gates[i] = &gate{dir: d.to, r: rand.New(rand.NewPCG(seed, uint64(10+i))), trouble: 20}
		locations[i] = serve(t, gates[i])
		options[i] = quick(t)
		if i%2 == 0 {
			options[i].Listeners = []feed.Listener{listener{b, i}}
		}
		start(i)
	}
	revoked := map[uint64]bool{}
	for range troubles {
		switch k := r.IntN(10); {
		case k < 3:
			i := r.IntN(readers)
			feeds[i].Close()
			start(i)
		case k < 5:
			g := gates[r.IntN(readers)]
			g.mu.Lock()
			g.trouble = []int{0, 20, 60, 100}[r.IntN(4)]
			g.mu.Unlock()
		case k < 6: // the publisher ends, and starts again
			stop()
			d.list.Close()
			d.open()
			stop = run()
		case k < 7:
			if id := 1 + r.Uint64N(d.next-1); !revoked[id] && id <= 50 {
				revoked[id] = true
				e := blocklist.Event{Type: blocklist.EventRevoked, Target: id}
				copy(e.ID[:], fmt.Sprintf("revoked %d", id))
				d.append(e)
			}
		default:
			d.add(1 + r.IntN(3))
		}
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		for i, f := range feeds {
			if at := f.List().State().Position(); at.Seq > d.list.State().Seq() {
				t.Fatalf("reader %d is at %v, the desk at %v", i, at, d.list.State().Position())
			}
		}
	}
	for i, f := range feeds {
		gates[i].mu.Lock()
		gates[i].trouble = 0
		gates[i].mu.Unlock()
		d.reaches(f)
		for id := uint64(1); id < d.next; id++ {
			if got := isBlocked(t, f.List(), address(id)); got == revoked[id] {
				t.Errorf("reader %d: address %d: blocked is %t, revoked is %t", i, id, got, revoked[id])
			}
		}
		if got, want := f.List().Info().Counts.Rules, d.list.Info().Counts.Rules; got != want {
			t.Errorf("reader %d has %d rules, the desk %d", i, got, want)
		}
	}
	stop()
	for _, f := range feeds {
		f.Close()
	}
}
