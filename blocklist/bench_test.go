package blocklist_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/phash"
)

// benchSize is the number of blocked addresses: STAYDOWN_ADDRESSES, by default
// a million. There is a hash of each algorithm for every tenth of them, up to a
// million in all.
func benchSize() int {
	if n, err := strconv.Atoi(os.Getenv("STAYDOWN_ADDRESSES")); err == nil {
		return n
	}
	return 1_000_000
}

func benchURL(buf []byte, n uint64) []byte {
	// 105 bytes, as the addresses of a delivery network are.
	buf = append(buf[:0], "https://images.example-cdn.com/media/2024/07/18/"...)
	buf = fmt.Appendf(buf, "%016x", n*0x9e3779b97f4a7c15)
	return append(buf, "/photo-at-dawn-in-the-fog.jpg?w=1200&h=80"...)
}

func randomPDQ(r *rand.Rand) phash.Hash {
	var b [32]byte
	for j := range 4 {
		binary.BigEndian.PutUint64(b[8*j:], r.Uint64())
	}
	return phash.FromPDQ(b)
}

// snapshotOfSize makes the snapshot once for all benchmarks of a run.
var snapshotOfSize = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "staydown-bench")
	if err != nil {
		panic(err)
	}
	n := benchSize()
	r := rand.New(rand.NewPCG(1, 1))
	v := blocklist.Fill(time.Now, func(v *blocklist.State, add func(*blocklist.Event)) {
		var url []byte
		hashes := min(n/10, 500_000)
		for i := range n {
			url = benchURL(url, uint64(i))
			d, err := v.Digest(blocklist.ImageAddress, string(url))
			if err != nil {
				panic(err)
			}
			e := &blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeURL, Effect: blocklist.EffectBlock, Kind: uint8(i % 5),
				Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}}}}
			binary.LittleEndian.PutUint64(e.Rule.Case[:], r.Uint64())
			if i < hashes {
				e.Rule.Keys.Hashes = []blocklist.HashKey{{Hash: randomPDQ(r)}, {Hash: phash.FromPerception(r.Uint64())}}
			}
			add(e)
		}
	})
	path := filepath.Join(dir, "snap")
	if err := blocklist.WriteSnapshotFile(path, v); err != nil {
		panic(err)
	}
	return path
})

func load(b *testing.B, mapped bool) *blocklist.List {
	b.Helper()
	l, err := blocklist.Load(snapshotOfSize(), &blocklist.LoadOptions{Map: mapped})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// unknown returns addresses that are not in the list.
func unknown(n int) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = string(benchURL(nil, uint64(1)<<40+uint64(i)))
	}
	return urls
}

func benchMiss(b *testing.B, v *blocklist.State, urls []string) {
	b.ReportAllocs()
	i, hits := 0, 0
	for b.Loop() {
		d, err := v.Digest(blocklist.ImageAddress, urls[i&(len(urls)-1)])
		if err != nil {
			b.Fatal(err)
		}
		v.FindAddress(d, func(blocklist.Hit) bool { hits++; return true })
		i++
	}
	if hits > 0 {
		b.Fatal("hit")
	}
}

func BenchmarkUnknownAddress(b *testing.B) {
	urls := unknown(1 << 16)
	b.Run("base", func(b *testing.B) { benchMiss(b, load(b, false).State(), urls) })
	b.Run("mapped", func(b *testing.B) { benchMiss(b, load(b, true).State(), urls) })
	for _, n := range []int{10_000, 100_000} {
		v := blocklist.Continue(load(b, false).State(), func(add func(*blocklist.Event)) {
			for i := range n {
				var d blocklist.Digest
				binary.LittleEndian.PutUint64(d[:], rand.Uint64())
				binary.LittleEndian.PutUint64(d[8:], rand.Uint64())
				add(&blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: 1, Effect: 1, Kind: uint8(i), Keys: blocklist.Keys{
					Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}}}})
			}
		})
		b.Run(fmt.Sprintf("delta=%d", n), func(b *testing.B) { benchMiss(b, v, urls) })
	}
	b.Run("by the parser", func(b *testing.B) {
		for i := range urls {
			urls[i] += "#"
		}
		benchMiss(b, load(b, false).State(), urls)
	})
}

func BenchmarkBlockedAddress(b *testing.B) {
	v := load(b, false).State()
	urls := make([]string, 1<<16)
	for i := range urls {
		urls[i] = string(benchURL(nil, uint64(i*7919%benchSize())))
	}
	b.ReportAllocs()
	i, hits := 0, 0
	for b.Loop() {
		d, _ := v.Digest(blocklist.ImageAddress, urls[i&(len(urls)-1)])
		v.FindAddress(d, func(blocklist.Hit) bool { hits++; return true })
		i++
	}
	if hits != i {
		b.Fatalf("%d hits of %d", hits, i)
	}
	b.ReportMetric(blocklist.BytesPerKey(v), "B/key")
	b.ReportMetric(1e3*blocklist.FilterRate(v, 1<<20), "‰-through-filter")
}

func BenchmarkLoad(b *testing.B) {
	for _, mapped := range []bool{false, true} {
		b.Run(fmt.Sprintf("map=%t", mapped), func(b *testing.B) {
			fi, err := os.Stat(snapshotOfSize())
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				load(b, mapped)
			}
			b.ReportMetric(float64(fi.Size())/1e6, "MB-file")
		})
	}
}

func BenchmarkLoadSecured(b *testing.B) {
	v := load(b, false).State()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key := &blocklist.EncryptionKey{1}
	for _, tt := range []struct {
		name    string
		sign    ed25519.PrivateKey
		key     *blocklist.EncryptionKey
		trusted []ed25519.PublicKey
	}{
		{"signed", private, nil, []ed25519.PublicKey{private.Public().(ed25519.PublicKey)}},
		{"encrypted", nil, key, nil},
	} {
		path := filepath.Join(b.TempDir(), "snap")
		b.Run("write "+tt.name, func(b *testing.B) {
			for b.Loop() {
				if err := blocklist.WriteSnapshotFileWith(path, v, tt.sign, tt.key); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(tt.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := blocklist.Load(path, &blocklist.LoadOptions{TrustedKeys: tt.trusted, EncryptionKey: tt.key}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWriteSnapshot(b *testing.B) {
	v := load(b, false).State()
	path := filepath.Join(b.TempDir(), "snap")
	for b.Loop() {
		if err := blocklist.WriteSnapshotFile(path, v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			l := open(b, b.TempDir(), &blocklist.Options{CompactAfter: -1})
			id := uint64(0)
			for b.Loop() {
				events := make([]blocklist.Event, n)
				for i := range events {
					id++
					events[i] = addedRule(b, l, id*0x9e3779b97f4a7c15, string(benchURL(nil, id)))
				}
				mustAppend(b, l, events...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(id), "ns/event")
		})
	}
}

// BenchmarkUnderWriters asks for unknown addresses while 1,000 address rules a
// second, or 25 opt-outs with eight variants of two hashes, are appended, each
// rule in a call of its own, and reports the slowest answer and the longest
// time from Append to visible.
func BenchmarkUnderWriters(b *testing.B) {
	for _, kind := range []string{"addresses", "opt-outs"} {
		b.Run(kind, func(b *testing.B) {
			l := open(b, b.TempDir(), nil)
			stop := make(chan struct{})
			var writers sync.WaitGroup
			var mu sync.Mutex
			var took []time.Duration
			rate, workers := 1000, 20
			if kind == "opt-outs" {
				rate, workers = 25, 5
			}
			for w := range workers {
				writers.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), 1))
					tick := time.NewTicker(time.Second * time.Duration(workers) / time.Duration(rate))
					defer tick.Stop()
					for {
						select {
						case <-stop:
							return
						case <-tick.C:
						}
						e := addedRule(b, l, r.Uint64(), string(benchURL(nil, r.Uint64())))
						if kind == "opt-outs" {
							for range 8 {
								e.Rule.Keys.Hashes = append(e.Rule.Keys.Hashes, blocklist.HashKey{Hash: randomPDQ(r)}, blocklist.HashKey{Hash: phash.FromPerception(r.Uint64())})
							}
						}
						t := time.Now()
						if _, err := l.Append(context.Background(), e); err != nil {
							b.Error(err)
							return
						}
						mu.Lock()
						took = append(took, time.Since(t))
						mu.Unlock()
					}
				})
			}
			urls := unknown(1 << 12)
			var reads []time.Duration
			i := 0
			start := time.Now()
			for b.Loop() {
				t := time.Now()
				v := l.State()
				d, _ := v.Digest(blocklist.ImageAddress, urls[i&(len(urls)-1)])
				v.FindAddress(d, func(blocklist.Hit) bool { return true })
				reads = append(reads, time.Since(t))
				i++
			}
			elapsed := time.Since(start)
			close(stop)
			writers.Wait()
			slices.Sort(reads)
			slices.Sort(took)
			b.ReportMetric(float64(reads[len(reads)/2]), "ns-read-p50")
			b.ReportMetric(float64(reads[len(reads)*999/1000]), "ns-read-p99.9")
			b.ReportMetric(float64(reads[len(reads)-1])/1e6, "ms-read-max")
			if n := len(took); n > 0 {
				b.ReportMetric(float64(took[n/2])/1e6, "ms-append-p50")
				b.ReportMetric(float64(took[n*99/100])/1e6, "ms-append-p99")
				b.ReportMetric(float64(n)/elapsed.Seconds(), "rules/s")
			}
		})
	}
}

// BenchmarkUnderCompaction asks for unknown addresses in a list of
// STAYDOWN_ADDRESSES rules, while 1,000 rules a second are appended and
// compactions follow each other without a pause. The journal is not synced, so
// that the disk has no part in the times.
func BenchmarkUnderCompaction(b *testing.B) {
	l := open(b, b.TempDir(), blocklist.WithoutSync(blocklist.Options{CompactAfter: -1}))
	for i := 0; i < benchSize(); i += 5000 {
		events := make([]blocklist.Event, 5000)
		for j := range events {
			events[j] = addedRule(b, l, uint64(i+j+1), string(benchURL(nil, uint64(i+j))))
		}
		mustAppend(b, l, events...)
	}
	if err := l.Compact(context.Background()); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	var took, compactions []time.Duration
	work.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for id := uint64(1) << 40; ctx.Err() == nil; id++ {
			<-tick.C
			e := addedRule(b, l, id, string(benchURL(nil, id)))
			t := time.Now()
			if _, err := l.Append(context.Background(), e); err != nil {
				b.Error(err)
			}
			took = append(took, time.Since(t))
		}
	})
	work.Go(func() {
		for ctx.Err() == nil {
			t := time.Now()
			if err := l.Compact(ctx); err == nil {
				compactions = append(compactions, time.Since(t))
			}
			time.Sleep(20 * time.Millisecond) // until there is something to compact
		}
	})
	urls := unknown(1 << 12)
	reads := make([]time.Duration, 0, 1<<26)
	i := 0
	for b.Loop() {
		t := time.Now()
		v := l.State()
		d, _ := v.Digest(blocklist.ImageAddress, urls[i&(len(urls)-1)])
		v.FindAddress(d, func(blocklist.Hit) bool { return true })
		if len(reads) < cap(reads) {
			reads = append(reads, time.Since(t))
		}
		i++
	}
	cancel()
	work.Wait()
	slices.Sort(reads)
	slices.Sort(took)
	b.ReportMetric(float64(reads[len(reads)/2]), "ns-read-p50")
	b.ReportMetric(float64(reads[len(reads)*9999/10000]), "ns-read-p99.99")
	b.ReportMetric(float64(reads[len(reads)-1])/1e6, "ms-read-max")
	if n := len(took); n > 0 {
		b.ReportMetric(float64(took[n/2])/1e6, "ms-append-p50")
		b.ReportMetric(float64(took[n*99/100])/1e6, "ms-append-p99")
		b.ReportMetric(float64(took[n-1])/1e6, "ms-append-max")
	}
	if n := len(compactions); n > 0 {
		slices.Sort(compactions)
		b.ReportMetric(compactions[n/2].Seconds(), "s-compaction")
	}
}

// BenchmarkOpen opens a folder with STAYDOWN_ADDRESSES events and a snapshot of
// them, the structure of the journal checked.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	opts := blocklist.WithoutSync(blocklist.Options{CompactAfter: -1})
	l := open(b, dir, opts)
	for i := 0; i < benchSize(); i += 5000 {
		events := make([]blocklist.Event, 5000)
		for j := range events {
			events[j] = addedRule(b, l, uint64(i+j+1), string(benchURL(nil, uint64(i+j))))
		}
		mustAppend(b, l, events...)
	}
	if err := l.Compact(context.Background()); err != nil {
		b.Fatal(err)
	}
	l.Close()
	fi, err := os.Stat(filepath.Join(dir, "journal.db"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := boltjournal.Open(dir, opts)
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
	b.ReportMetric(float64(fi.Size())/1e6, "MB-journal")
}
