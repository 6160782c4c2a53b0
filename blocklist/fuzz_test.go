package blocklist_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// What ParseRecord accepts, AppendRecord writes back byte for byte.
func FuzzRecord(f *testing.F) {
	u := newUniverse(5, 6)
	_, _, l := smallSnapshot(f, u)
	if err := l.Events(1, func(e blocklist.Event) bool {
		f.Add(blocklist.AppendRecord(nil, &e), true)
		return true
	}); err != nil {
		f.Fatal(err)
	}
	_, _, l = faceSnapshot(f, u)
	if err := l.Events(1, func(e blocklist.Event) bool {
		f.Add(blocklist.AppendRecord(nil, &e), true)
		return true
	}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= 4 {
			b = blocklist.SealRecord(slices.Clone(b))
		}
		e, err := blocklist.ParseRecord(b)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		again := blocklist.AppendRecord(nil, &e)
		if !bytes.Equal(b, again) {
			t.Fatalf("%x is read as %+v, which is written as %x", b, e, again)
		}
		e2, err := blocklist.ParseRecord(again)
		if diff := cmp.Diff(e, e2, cmp.AllowUnexported(blocklist.Territory{}, phash.Hash{}), cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// Whatever a snapshot holds, also with checksums that fit, reading it ends in
// a promised error or in a View that can be asked anything.
func FuzzSnapshot(f *testing.F) {
	u := newUniverse(5, 6)
	data, _, _ := smallSnapshot(f, u)
	f.Add(data, true)
	f.Add(data, false)
	f.Add(data[:200], true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		b = slices.Clone(b)
		if seal {
			b = blocklist.Reseal(b)
		}
		v, err := blocklist.LoadBytes(b, newClock().now)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		use(v, u)
		// It can be written, and then says the same.
		out, err := blocklist.SnapshotBytes(v)
		if err != nil {
			return // numbers that no writer gives
		}
		if _, err := blocklist.LoadBytes(out, newClock().now); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}

// FuzzSnapshot_Faces is FuzzSnapshot for what an encrypted snapshot holds, with
// faces and their keys.
func FuzzSnapshot_Faces(f *testing.F) {
	u := newUniverse(5, 6)
	data, _, _ := faceSnapshot(f, u)
	f.Add(data, true)
	f.Add(data, false)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = blocklist.Reseal(slices.Clone(b))
		}
		v, err := blocklist.LoadDecrypted(b, newClock().now)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		use(v, u)
	})
}

func use(v *blocklist.State, u *universe) {
	visit := func(h blocklist.Hit) bool {
		v.InForceIn(h, territories[0])
		v.HasException(h, &u.files[0], u.hashes)
		v.Rule(h.Rule)
		return true
	}
	for i := range u.addresses {
		d, _ := v.Digest(blocklist.ImageAddress, u.addresses[i])
		v.FindAddress(d, visit)
		v.FindBytes(u.files[i], visit)
		v.FindHash(u.hashes[i], 256, visit)
		v.FindHash(u.hashes[i], 20, visit)
		v.Rule(uint64(i))
	}
	for _, x := range u.faces {
		v.FindFaces(x, visit)
	}
	v.SearchesFaces()
}
