package blocklist_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/fsx/crashfs"
)

// history drives a list and the model side by side through a fixed course of
// events, compactions and publications.
type history struct {
	t         *testing.T
	u         *universe
	m         *model
	l         *blocklist.List
	rng       *rand.Rand
	next      uint64
	newID     func() [16]byte // nil for the next number
	faces     bool            // some rules have faces
	broken    bool            // Append failed; what it appended is durable
	published uint64          // sequence number of the last Publish that returned
	started   uint64          // of the last Publish that began
}

func (h *history) append(n int) {
	h.t.Helper()
	if h.broken {
		return
	}
	events := make([]blocklist.Event, n)
	for i := range events {
		events[i] = h.event()
	}
	got, err := h.l.Append(context.Background(), events...)
	if errors.Is(err, crashfs.ErrInjected) || errors.Is(err, crashfs.ErrCrashed) {
		// The keys of faces are out of reach. If one could not be destroyed, the
		// list is broken, and what the journal says holds; otherwise nothing was
		// appended.
		h.broken = errors.Is(err, blocklist.ErrBroken)
		if !h.broken {
			return
		}
		err, got = nil, nil
	}
	if err != nil {
		h.t.Fatalf("Append: %v", err)
	}
	want := make([]uint64, n)
	for i := range events {
		want[i] = h.m.apply(events[i])
	}
	if h.broken {
		return
	}
	if got[0] != want[0] {
		h.t.Fatalf("Append gave number %d, want %d", got[0], want[0])
	}
}

// event makes an event of any kind that mostly refers to what is there.
func (h *history) event() (e blocklist.Event) {
	h.next++
	binary.LittleEndian.PutUint64(e.ID[:], h.next)
	if h.newID != nil {
		e.ID = h.newID()
	}
	keys := func(addresses bool) (k blocklist.Keys) {
		i := h.rng.IntN(len(h.u.addresses))
		if addresses {
			d, err := h.l.Digest(blocklist.ImageAddress, h.u.addresses[i])
			if err != nil {
				h.t.Fatal(err)
			}
			k.Addresses = []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}
		}
		k.Bytes = [][32]byte{h.u.files[i]}
		k.Hashes = []blocklist.HashKey{{Hash: h.u.hashes[i], Variant: uint8(h.next)}}
		return k
	}
	switch n := h.rng.IntN(10); {
	case n < 5 || h.m.seq == 0:
		e.Type = blocklist.EventAdded
		e.Rule = &blocklist.Rule{Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Kind: uint8(n), Keys: keys(true)}
		binary.LittleEndian.PutUint64(e.Rule.Case[:], h.next)
		if h.faces && n > 2 {
			// Keys of faces may be out of reach, and then there is no such event.
			i := h.rng.IntN(len(h.u.faces))
			if faces, err := h.m.seal(h.l, e.ID, limitsOf[i%len(limitsOf)], h.u.faces[i]); err == nil {
				e.Rule.Scope, e.Rule.Keys.Faces = blocklist.ScopeFace, faces
			}
		}
		if n == 0 {
			e.Rule.Territories = territories[:2]
		}
		if n == 1 {
			e.Rule.End = h.m.clock.now().Truncate(1e9).Add(1e9 * 60).UTC()
		}
		return e
	case n < 6:
		e.Type = blocklist.EventDerived
		e.Keys = keys(true)
	case n < 7:
		e.Type = blocklist.EventException
		e.Keys = keys(false)
	case n < 9:
		e.Type = blocklist.EventRevoked
	default:
		e.Type = blocklist.EventReverted
	}
	e.Target = 1 + h.rng.Uint64N(h.m.seq)
	return e
}

func (h *history) publish(path string) error {
	h.started = h.m.seq
	err := h.l.Publish(path)
	if err == nil {
		h.published = h.m.seq
	}
	return err
}

// run goes through the course. Faults of the file system of snapshots and keys are
// expected; the journal, which is real, must never fail.
func (h *history) run(dir string) {
	published := filepath.Join(dir, "published.snap")
	h.append(5)
	h.l.Compact(context.Background())
	h.append(5)
	h.publish(published)
	h.append(4)
	h.l.Compact(context.Background())
	h.append(3)
	h.l.Compact(context.Background())
	h.append(1)
	h.publish(published)
}

var crashKey = blocklist.EncryptionKey{7}

// TestCrashAtEveryOperation lets every single operation on the files of snapshots
// and of keys fail, and the machine crash there, and opens the list again from what a disk
// may hold: with only what was synced, and with a random part of the rest. With
// -short it takes every fourth operation.
func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	u := newUniverse(7, 6)
	root := t.TempDir()
	run := func(name string, fsys *crashfs.FS, seed uint64) (*history, string, *blocklist.Options) {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		c := newClock()
		opts := blocklist.WithFS(blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: &crashKey}, fsys)
		h := &history{t: t, faces: true, u: u, m: newModel(c), rng: rand.New(rand.NewPCG(seed, 2))}
		l, err := boltjournal.Open(dir, opts)
		if err != nil {
			if fsys.Ops() > 10 {
				t.Fatalf("%s: %v", name, err)
			}
			return h, dir, opts
		}
		h.l = l
		h.run(dir)
		return h, dir, opts
	}
	undisturbed := &crashfs.FS{}
	h, _, _ := run("undisturbed", undisturbed, 0)
	h.l.Close()
	total := undisturbed.Ops()
	t.Logf("%d operations", total)
	if total < 80 {
		t.Fatalf("only %d operations were counted", total)
	}
	stride := 1
	if testing.Short() {
		stride = 4
	}
	for n := 1; n <= total+1; n += stride {
		for _, mode := range []crashfs.Mode{crashfs.Fail + crashfs.Mode(n%2), crashfs.Crash, crashfs.CrashWithin} {
			name := fmt.Sprintf("%d %v", n, mode)
			fsys := &crashfs.FS{}
			fsys.Arm(n, mode)
			h, dir, opts := run(name, fsys, uint64(n))
			if h.l != nil {
				// What runs on must not have lost anything either.
				compare(t, u, h.m, h.l.State())
				// The file of keys is on the file system that fails.
				if err := h.l.Close(); err != nil && !errors.Is(err, crashfs.ErrInjected) && !errors.Is(err, crashfs.ErrCrashed) {
					t.Fatalf("%s: %v", name, err)
				}
			}
			for _, rng := range []*rand.Rand{nil, rand.New(rand.NewPCG(uint64(n), 3))} {
				after := fsys.AfterCrash(rng)
				l, err := boltjournal.Open(dir, blocklist.WithFS(*opts, after))
				if err != nil {
					t.Fatalf("%s: Open after the crash: %v", name, err)
				}
				compare(t, u, h.m, l.State())
				h.m.checkKeys(t, l)
				if s := l.Info(); s.FacesWithoutKey > 0 {
					t.Fatalf("%s: %d faces without a key", name, s.FacesWithoutKey)
				}
				if s := l.Info(); rng == nil && len(s.Fallbacks) > 0 {
					t.Fatalf("%s: with all that was synced, and nothing else, a snapshot was passed over: %v", name, s.Fallbacks)
				}
				// It goes on as if nothing had been.
				// Without new faces: the journal is shared with the next round, their
				// keys are not.
				h.l, h.broken, h.faces = l, false, false
				h.append(2)
				if err := l.Compact(context.Background()); err != nil {
					t.Fatalf("%s: Compact after the crash: %v", name, err)
				}
				compare(t, u, h.m, l.State())
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				loaded, err := blocklist.Load(filepath.Join(dir, "published.snap"), blocklist.LoadWithFS(blocklist.LoadOptions{EncryptionKey: &crashKey}, after))
				switch {
				case err == nil:
					if s := loaded.State().Seq(); s < h.published || s > h.started {
						t.Fatalf("%s: the published file is at %d; Publish returned at %d and began at %d", name, s, h.published, h.started)
					}
				case h.published != 0 || !errors.Is(err, fs.ErrNotExist):
					t.Fatalf("%s: Load after the crash: %v", name, err)
				}
			}
		}
	}
}
