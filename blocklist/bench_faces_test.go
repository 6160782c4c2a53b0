package blocklist_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/sharedtest"
)

// unsynced is the file system of the operating system, on which nothing is
// durable: benchmarks are not about that.
type unsynced struct{ fsx.OS }

type unsyncedFile struct{ fsx.File }

func (unsyncedFile) Sync() error { return nil }

func (u unsynced) Create(name string) (fsx.File, error) {
	f, err := u.OS.Create(name)
	return unsyncedFile{f}, err
}

func (u unsynced) Edit(name string) (fsx.File, error) {
	f, err := u.OS.Edit(name)
	return unsyncedFile{f}, err
}

// benchFace returns a vector without preference for any direction, as models
// that were trained for cosine similarity make them.
func benchFace(tb testing.TB, r *rand.Rand, x []float32) (v blocklist.FaceVector) {
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	if err := v.Set(blocklist.FaceModel{Name: "bench@1", Dimensions: len(x)}, x); err != nil {
		tb.Fatal(err)
	}
	return v
}

// BenchmarkFaces opens, publishes and searches a list of faces of 512
// dimensions, a rule each. A million of them take 4 GB and some minutes, and are
// asked for by
//
//	STAYDOWN_LONG=1 GOMAXPROCS=1 taskset -c 1 go test -run '^$' -bench Faces ./blocklist
func BenchmarkFaces(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if os.Getenv("STAYDOWN_LONG") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) { benchmarkFaces(b, n) })
	}
}

func benchmarkFaces(b *testing.B, n int) {
	const dimensions = 512
	dir := b.TempDir()
	key := &blocklist.EncryptionKey{1}
	folder, path := filepath.Join(dir, "list"), filepath.Join(dir, "published")
	opts := blocklist.WithFS(blocklist.Options{CompactAfter: -1, EncryptionKey: key}, unsynced{})
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, dimensions)
	queries := make([]blocklist.FaceVector, 32)
	for i := range queries {
		queries[i] = benchFace(b, r, x)
	}
	id := uint64(0)
	add := func(l *blocklist.List, n int, limits blocklist.FaceLimits) {
		var events []blocklist.Event
		for i := range n {
			id++
			e := blocklist.Event{ID: newID(id), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeFace, Effect: blocklist.EffectBlock}}
			var err error
			if e.Rule.Keys.Faces, err = l.SealFaces(e.ID, limits, benchFace(b, r, x)); err != nil {
				b.Fatal(err)
			}
			if events = append(events, e); len(events) == 1000 || i == n-1 {
				mustAppend(b, l, events...)
				events = events[:0]
			}
		}
	}
	open := func() *blocklist.List {
		l, err := boltjournal.Open(folder, opts)
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	search := func(b *testing.B, v *blocklist.State) {
		b.ReportAllocs()
		if got := v.Counts().Faces; got < n || got > n+2 {
			b.Fatalf("%d faces, want %d", got, n)
		}
		count := func(blocklist.Hit) bool { return true }
		var took []float64
		for i := 0; b.Loop(); i++ {
			start := sharedtest.CPUTime()
			v.FindFaces(queries[i%len(queries)], count)
			took = append(took, float64(sharedtest.CPUTime()-start)/float64(time.Millisecond))
		}
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2], "cpu-ms-median")
	}
	measure := func(b *testing.B, do func()) {
		start := sharedtest.CPUTime()
		for b.Loop() {
			do()
		}
		b.ReportMetric(float64(sharedtest.CPUTime()-start)/1e9/float64(b.N), "cpu-s/op")
	}

	// Limits that a big list needs: nobody here is similar by 0.3.
	l := open()
	add(l, n, blocklist.FaceLimits{Block: 0.5, Review: 0.4})
	if n <= 100_000 {
		b.Run("search what came since", func(b *testing.B) { search(b, l.State()) })
	}
	b.Run("compact", func(b *testing.B) {
		measure(b, func() {
			id++ // or there is nothing to do
			mustAppend(b, l, blocklist.Event{ID: newID(id), Type: blocklist.EventRevoked, Target: 1 << 40})
			if err := l.Compact(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	})
	publish := func() {
		if err := l.Publish(path); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("publish", func(b *testing.B) { measure(b, publish) })
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) { measure(b, func() { open().Close() }) })
	load := func() *blocklist.List {
		l, err := blocklist.Load(path, &blocklist.LoadOptions{EncryptionKey: key})
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	b.Run("load", func(b *testing.B) { measure(b, func() { load() }) })
	before := memoryInUse()
	loaded := load()
	taken := float64(memoryInUse()-before) / float64(n)
	b.Run("search limit=0.4", func(b *testing.B) {
		search(b, loaded.State())
		b.ReportMetric(taken, "B/face")
	})
	// One face with a lower limit makes all searches deeper.
	for _, review := range []float64{0.3, 0.25} {
		l = open()
		add(l, 1, blocklist.FaceLimits{Block: 0.5, Review: review})
		publish()
		l.Close()
		if _, err := loaded.Reload(); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("search limit=%v", review), func(b *testing.B) { search(b, loaded.State()) })
	}
}

// memoryInUse returns the resident memory of the process, after the heap gave
// back what it could; 0 where Linux is not.
func memoryInUse() int64 {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	fmt.Sscan(string(b), &size, &resident)
	return resident * int64(os.Getpagesize())
}
