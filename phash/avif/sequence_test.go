package avif_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/phash/avif"
)

// All frames of a sequence are looked at, each with its time.
func TestSequence(t *testing.T) {
	data := read(t, "testdata", "sequence.avif")
	var hashes []phash.Hash
	for p, err := range phash.DecodeFrames(bytes.NewReader(data), options) {
		if err != nil {
			t.Fatal(err)
		}
		f := p.Frame()
		if f.Index != len(hashes) || f.Duration != 200*time.Millisecond || f.Start != time.Duration(f.Index)*f.Duration {
			t.Errorf("frame %d: %+v", len(hashes), f)
		}
		h, _ := p.PDQ()
		hashes = append(hashes, h)
	}
	if len(hashes) != 2 {
		t.Fatalf("%d frames", len(hashes))
	}
	if d, _ := hashes[0].Distance(hashes[1]); d < 60 {
		t.Errorf("the frames are %d bits apart", d)
	}
	first, err := phash.Decode(bytes.NewReader(data), options)
	if err != nil {
		t.Fatal(err)
	}
	if h, _ := first.PDQ(); h != hashes[0] {
		t.Error("Decode gives another picture than the first frame")
	}
	// With fewer frames than there are, the rest is reported.
	few := *options
	few.MaxFrames = 1
	n := 0
	for _, err := range phash.DecodeFrames(bytes.NewReader(data), &few) {
		var left *phash.LeftOutError
		if n++; n == 2 && (!errors.As(err, &left) || left.LeftOut != 1) {
			t.Errorf("behind the first frame: %v", err)
		}
	}
	if n != 2 {
		t.Errorf("%d steps with one frame", n)
	}
}

// What does not fit into the memory is refused before it is decoded, or when it is.
func TestLimited(t *testing.T) {
	data := read(t, "testdata", "plain.avif")
	for _, memory := range []int64{-1, 0, 1 << 20, 2 << 20, 2<<20 + 1000} {
		if _, err := avif.Limited(memory)(data, 1<<20); !errors.Is(err, phash.ErrTooLarge) {
			t.Errorf("%d bytes: %v", memory, err)
		}
	}
	if _, err := avif.Limited(16<<20)(data, 1<<20); err != nil {
		t.Error(err)
	}
}

// Calls share the compiled module and nothing else; the context is honoured.
func TestConcurrent(t *testing.T) {
	data := read(t, "testdata", "plain.avif")
	want, err := phash.Decode(bytes.NewReader(data), options)
	if err != nil {
		t.Fatal(err)
	}
	own, _ := want.PDQ()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			p, err := phash.Decode(bytes.NewReader(data), options)
			if err != nil {
				t.Error(err)
				return
			}
			if h, _ := p.PDQ(); h != own {
				t.Error("another hash")
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := phash.DecodeContext(ctx, bytes.NewReader(data), options); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context: %v", err)
	}
}
