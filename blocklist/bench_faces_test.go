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
	"github.com/staydown/staydown/internal/fsx"
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
// dimensions, a rule each. A million of them take 3 GB and some minutes, and are
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
	// Limits that a big list needs: nobody here is similar by 0.3.
	limits := []blocklist.FaceLimits{{Block: 0.5, Review: 0.4}, {Block: 0.5, Review: 0.3}, {Block: 0.4, Review: 0.25}}
	dir := b.TempDir()
	key := &blocklist.EncryptionKey{1}
	opts := blocklist.WithFS(blocklist.Options{CompactAfter: -1, EncryptionKey: key}, unsynced{})
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, dimensions)
	queries := make([]blocklist.FaceVector, 32)
	for i := range queries {
		queries[i] = benchFace(b, r, x)
	}
	path := filepath.Join(dir, "published")
	for _, limits := range limits {
		folder := filepath.Join(dir, fmt.Sprintf("list-%v", limits.Review))
		made := false
		build := func() *blocklist.List {
			l, err := blocklist.Open(folder, opts)
			if err != nil {
				b.Fatal(err)
			}
			if made {
				return l
			}
			made = true
			events := make([]blocklist.Event, 0, 1000)
			for i := range n {
				e := blocklist.Event{ID: newID(uint64(i + 1)), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Width: blocklist.WidthFace, Effect: blocklist.EffectBlock}}
				e.Rule.Keys.Faces, err = l.SealFaces(e.ID, limits, benchFace(b, r, x))
				if err != nil {
					b.Fatal(err)
				}
				if events = append(events, e); len(events) == cap(events) || i == n-1 {
					mustAppend(b, l, events...)
					events = events[:0]
				}
			}
			return l
		}
		search := func(b *testing.B, v *blocklist.View) {
			b.ReportAllocs()
			if v.FaceCount() != n {
				b.Fatalf("%d faces, want %d", v.FaceCount(), n)
			}
			found := 0
			count := func(blocklist.Hit) bool { found++; return true }
			var took []float64
			i := 0
			for b.Loop() {
				start := cpuTime()
				v.FindFaces(queries[i%len(queries)], count)
				took = append(took, float64(cpuTime()-start)/float64(time.Millisecond))
				i++
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2], "cpu-ms-median")
		}
		if limits.Review == 0.4 && n <= 100_000 {
			b.Run("search what came since", func(b *testing.B) {
				l := build()
				defer l.Close()
				search(b, l.View())
			})
		}
		if limits.Review == 0.4 {
			b.Run("compact", func(b *testing.B) {
				l := build()
				defer l.Close()
				start := cpuTime()
				for i := uint64(0); b.Loop(); i++ {
					mustAppend(b, l, blocklist.Event{ID: newID(uint64(n) + 1 + i), Type: blocklist.EventRevoked, Target: 1 << 40})
					if err := l.Compact(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpuTime()-start)/1e9/float64(b.N), "cpu-s/op")
			})
			b.Run("open", func(b *testing.B) {
				start := cpuTime()
				for b.Loop() {
					l := build()
					l.Close()
				}
				b.ReportMetric(float64(cpuTime()-start)/1e9/float64(b.N), "cpu-s/op")
			})
			b.Run("publish", func(b *testing.B) {
				l := build()
				defer l.Close()
				start := cpuTime()
				for b.Loop() {
					if err := l.Publish(path); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpuTime()-start)/1e9/float64(b.N), "cpu-s/op")
			})
			b.Run("load", func(b *testing.B) {
				start := cpuTime()
				for b.Loop() {
					if _, err := blocklist.Load(path, &blocklist.LoadOptions{EncryptionKey: key}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpuTime()-start)/1e9/float64(b.N), "cpu-s/op")
			})
		}
		var loaded *blocklist.List
		b.Run(fmt.Sprintf("search review=%v", limits.Review), func(b *testing.B) {
			if loaded == nil {
				l := build()
				if err := l.Publish(path); err != nil {
					b.Fatal(err)
				}
				l.Close()
				before := memoryInUse()
				var err error
				if loaded, err = blocklist.Load(path, &blocklist.LoadOptions{EncryptionKey: key}); err != nil {
					b.Fatal(err)
				}
				b.Logf("a face takes %.0f B of memory", float64(memoryInUse()-before)/float64(n))
			}
			search(b, loaded.View())
		})
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
