package blocklist_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
)

// What is new to a sweep is what a search of all faces finds without the hits that are
// old, wherever the faces lie: in a snapshot, in runs or in the tail.
func TestState_NewFaces(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := open(t, t.TempDir(), &blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: &blocklist.EncryptionKey{3}})
	defer l.Close()
	limits := blocklist.FaceLimits{Block: 0.8, Review: 0.6}
	model := faceModels[0]
	const people = 420
	seqs := make([]uint64, people)
	began := c.now()
	for i := range people {
		e := faceRule(t, l, uint64(i+1), limits, faceOf(t, model, uint64(i), 0, 0))
		if i%50 == 7 { // it begins later
			e.Rule.Start = began.Add(time.Duration(i) * time.Hour).Truncate(time.Second)
		}
		mustAppend(t, l, e)
		seqs[i] = l.State().Seq()
		if i == 200 {
			if err := l.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustAppend(t, l, blocklist.Event{ID: newID(9000), Type: blocklist.EventRevoked, Target: seqs[410]})
	for _, days := range []int{0, 5, 30} {
		now := began.Add(time.Duration(days) * 24 * time.Hour)
		state := l.State()
		for _, since := range []uint64{0, seqs[100], seqs[200], seqs[350], seqs[419], seqs[419] + 9} {
			fresh := state.NewFaces(since, now)
			for i := range people {
				x := faceOf(t, model, uint64(i), 5, 0.2)
				q := blocklist.Query{Since: since, SinceTime: now}
				q.Reset(state)
				q.Since, q.SinceTime = since, now
				found := func(find func(func(blocklist.Hit) bool) bool) map[uint64]float64 {
					got := map[uint64]float64{}
					find(func(h blocklist.Hit) bool {
						if !h.Old {
							got[h.Rule] = h.Similarity
						}
						return true
					})
					return got
				}
				all := found(func(y func(blocklist.Hit) bool) bool { return q.FindFaces(x, y) })
				got := found(func(y func(blocklist.Hit) bool) bool { return q.FindNewFaces(fresh, x, y) })
				if !maps.Equal(all, got) {
					t.Fatalf("since %d, %d days, person %d: %v, in all faces %v", since, days, i, got, all)
				}
			}
			if since >= seqs[419] && days == 30 && fresh.Len() != 0 {
				t.Errorf("%d faces are new after the last event", fresh.Len())
			}
		}
	}
}

// BenchmarkNewFaces is what a later sweep does for a face of the index: with a search
// of all registered faces, and with the ten that are new.
func BenchmarkNewFaces(b *testing.B) {
	l := open(b, b.TempDir(), &blocklist.Options{CompactAfter: -1, EncryptionKey: &blocklist.EncryptionKey{3}})
	defer l.Close()
	model := faceModels[0]
	limits := blocklist.FaceLimits{Block: 0.5, Review: 0.4}
	var since uint64
	for i := range 1000 {
		if i == 999 {
			since = l.State().Seq()
		}
		var faces []blocklist.FaceVector
		for k := range 10 {
			faces = append(faces, faceOf(b, model, uint64(10*i+k), 0, 0))
		}
		mustAppend(b, l, faceRule(b, l, uint64(i+1), limits, faces...))
	}
	if err := l.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	state := l.State()
	fresh := state.NewFaces(since, time.Time{})
	var q blocklist.Query
	q.Reset(state)
	q.Since = since
	x := faceOf(b, model, 77_777, 0, 0)
	take := func(blocklist.Hit) bool { return true }
	b.Run(fmt.Sprintf("all of %d", state.Counts().Faces), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q.FindFaces(x, take)
		}
	})
	b.Run(fmt.Sprintf("%d new", fresh.Len()), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q.FindNewFaces(fresh, x, take)
		}
	})
}
