package blocklist_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
)

// BenchmarkFeatures opens and writes a list of 20,000 pictures with local
// features, a rule each, and adds one picture to it.
func BenchmarkFeatures(b *testing.B) {
	const pictures = 20_000
	one, err := featuresOf(b, 1).Compact().MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	points := int(binary.LittleEndian.Uint16(one[8:]))
	r := rand.New(rand.NewPCG(1, 2))
	rule := func(v *blocklist.State) *blocklist.Event {
		// An eighth of the bits of each descriptor turned over makes another picture.
		set := bytes.Clone(one)
		for d := set[16:][:32*points]; len(d) > 0; d = d[8:] {
			binary.LittleEndian.PutUint64(d, binary.LittleEndian.Uint64(d)^r.Uint64()&r.Uint64()&r.Uint64())
		}
		f, err := features.Open(set)
		if err != nil {
			b.Fatal(err)
		}
		d, err := v.Digest(blocklist.ImageAddress, string(benchURL(nil, r.Uint64())))
		if err != nil {
			b.Fatal(err)
		}
		e := &blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock,
			Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}, Features: []blocklist.Features{f}}}}
		binary.LittleEndian.PutUint64(e.Rule.Case[:], r.Uint64())
		return e
	}
	v := blocklist.Fill(time.Now, func(v *blocklist.State, add func(*blocklist.Event)) {
		for range pictures {
			add(rule(v))
		}
	})
	path := filepath.Join(b.TempDir(), "snap")
	write := func(b *testing.B, v *blocklist.State) {
		b.ReportAllocs()
		for b.Loop() {
			if err := blocklist.WriteSnapshotFile(path, v); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("write from runs", func(b *testing.B) { write(b, v) })
	fi, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, mapped := range []bool{false, true} {
		b.Run(fmt.Sprintf("load map=%t", mapped), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := blocklist.Load(path, &blocklist.LoadOptions{Map: mapped}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(fi.Size())/1e6, "MB-file")
		})
	}
	l, err := blocklist.Load(path, nil)
	if err != nil {
		b.Fatal(err)
	}
	if v = l.State(); v.Counts().Features != pictures {
		b.Fatalf("%d pictures, want %d", v.Counts().Features, pictures)
	}
	b.Run("write from base", func(b *testing.B) { write(b, v) })
	b.Run("add", func(b *testing.B) {
		e := rule(v)
		for b.Loop() {
			blocklist.Continue(v, func(add func(*blocklist.Event)) { add(e) })
		}
	})
}
