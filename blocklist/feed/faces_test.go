package feed_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
)

func face(tb testing.TB, seed uint64) (v blocklist.FaceVector) {
	tb.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	x := make([]float32, 64)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	if err := v.Set(blocklist.FaceModel{Name: "model", Dimensions: len(x)}, x); err != nil {
		tb.Fatal(err)
	}
	return v
}

func (d *desk) addFace(v blocklist.FaceVector, end time.Time) uint64 {
	d.tb.Helper()
	e := blocklist.Event{ID: [16]byte{byte(d.next), 'f'}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeFace, Effect: blocklist.EffectBlock, End: end,
	}}
	d.next++
	faces, err := d.list.SealFaces(e.ID, blocklist.FaceLimits{Block: 0.9, Review: 0.8}, v)
	if err != nil {
		d.tb.Fatal(err)
	}
	e.Rule.Keys.Faces = faces
	return d.append(e)[0]
}

func knowsFace(f *feed.Feed, v blocklist.FaceVector) (yes bool) {
	f.List().State().FindFaces(v, func(blocklist.Hit) bool { yes = true; return false })
	return yes
}

// Faces travel in snapshots only. When one ends, by a decision or by the clock, the
// snapshots with its key are gone at once, here and at the readers, and so they are
// before their lifetime is over.
func TestFaces(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	now := clock()
	d := newDesk(t, func(d *desk) {
		d.opts.EncryptionKey, d.opts.Now, d.pub.Now = &blocklist.EncryptionKey{3}, now.now, now.now
		d.opts.FaceLifetime = 10 * time.Hour
	})
	d.add(3)
	d.publish()
	o := manual(t)
	o.EncryptionKey, o.Now = d.opts.EncryptionKey, now.now
	f := follow(t, d.to, o)
	update := func() {
		t.Helper()
		d.publish()
		if err := f.Poll(ctx); err != nil {
			t.Fatal(err)
		}
		if f.List().State().Position() != d.list.State().Position() || !f.List().State().SearchesFaces() {
			t.Fatalf("the reader is at %v and searches faces: %t", f.List().State().Position(), f.List().State().SearchesFaces())
		}
	}
	bases := func(dir string) (names []string) {
		all, err := filepath.Glob(filepath.Join(dir, "base-*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			names = append(names, filepath.Base(n))
		}
		return names
	}
	a, b, c := face(t, 1), face(t, 2), face(t, 3)
	rule := d.addFace(a, time.Time{})
	update()
	if !knowsFace(f, a) || knowsFace(f, b) {
		t.Fatal("the first face is not found, or another one is")
	}
	// Other rules need no snapshot.
	before := f.Info().Bases
	d.add(5)
	update()
	if f.Info().Bases != before {
		t.Error("rules without faces need a snapshot")
	}
	d.addFace(b, now.now().Add(time.Hour).Truncate(time.Second))
	update()
	published := bases(d.to)
	held, err := os.Open(filepath.Join(d.to, published[len(published)-1]))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	own := bases(o.Dir)
	if len(published) != 1 || len(own) != 1 || !knowsFace(f, a) || !knowsFace(f, b) {
		t.Fatalf("there are %v and %v", published, own)
	}
	gone := func(what string, old []string) {
		t.Helper()
		update()
		if p, o := bases(d.to), bases(o.Dir); len(p) != 1 || len(o) != 1 || p[0] == old[0] || o[0] != p[0] {
			t.Errorf("%s: %v was published, there are %v and %v", what, old, p, o)
		}
	}
	d.append(blocklist.Event{ID: [16]byte{1, 2, 3}, Type: blocklist.EventRevoked, Target: rule})
	gone("a face was withdrawn", published)
	if knowsFace(f, a) || !knowsFace(f, b) {
		t.Error("the withdrawn face is found, or the other one is not")
	}
	// Who has the old file open has nothing of it.
	rest := make([]byte, 1<<16)
	if n, err := held.ReadAt(rest, 0); n == 0 || len(bytes.Trim(rest[:n], "\x00")) != 0 {
		t.Errorf("the old file still has bytes: %v", err)
	}
	published = bases(d.to)
	now.add(3700)
	gone("the clock ended a rule", published)
	if knowsFace(f, b) {
		t.Error("the face of a rule that has ended is found")
	}
	d.addFace(c, time.Time{})
	update()
	published = bases(d.to)
	now.add(6 * 3600)
	gone("half of the lifetime is over", published)
	if !knowsFace(f, c) {
		t.Error("the face is not found")
	}
	// Without news the faces are shut when their time is over.
	now.add(11 * 3600)
	if knowsFace(f, c) || f.List().State().SearchesFaces() {
		t.Error("the face is found after its time")
	}
	for _, name := range d.names() {
		if strings.HasPrefix(name, "delta-") {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(d.to, name)); err != nil || strings.HasPrefix(name, "base-") && bytes.Contains(b, []byte("model")) {
			t.Errorf("%s is not encrypted: %v", name, err)
		}
	}
	// A list that is not encrypted cannot publish faces.
	plain := newDesk(t)
	plain.addFace(a, time.Time{})
	if err := plain.p.Publish(ctx); !errors.Is(err, blocklist.ErrFacesUnencrypted) {
		t.Errorf("faces without encryption: %v", err)
	}
}
