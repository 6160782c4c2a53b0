package blocklist_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/sharedtest"
)

var faceModels = []blocklist.FaceModel{{Name: "test@1", Dimensions: 64}, {Name: "test@2", Dimensions: 96}}

// faceOf returns a vector that a seed chooses, drawn towards another one by a
// share of its length.
func faceOf(tb interface{ Fatal(...any) }, model blocklist.FaceModel, seed, near uint64, share float32) (v blocklist.FaceVector) {
	r, s := rand.New(rand.NewPCG(seed, 7)), rand.New(rand.NewPCG(near, 7))
	x := make([]float32, model.Dimensions)
	for i := range x {
		x[i] = (1-share)*float32(r.NormFloat64()) + share*float32(s.NormFloat64())
	}
	if err := v.Set(model, x); err != nil {
		tb.Fatal(err)
	}
	return v
}

// faceRule returns the event that adds a rule with faces.
func faceRule(tb testing.TB, l *blocklist.List, id uint64, limits blocklist.FaceLimits, vectors ...blocklist.FaceVector) blocklist.Event {
	tb.Helper()
	e := blocklist.Event{ID: newID(id), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeFace, Effect: blocklist.EffectBlock}}
	faces, err := l.SealFaces(e.ID, limits, vectors...)
	if err != nil {
		tb.Fatal(err)
	}
	e.Rule.Keys.Faces = faces
	return e
}

// facesFound are the rules that a view finds a face under, and how.
func facesFound(v *blocklist.State, x blocklist.FaceVector) map[uint64]bool {
	got := map[uint64]bool{}
	v.FindFaces(x, func(h blocklist.Hit) bool {
		got[h.Rule] = got[h.Rule] || h.AtBlock
		return true
	})
	return got
}

// Faces are found wherever they are, with their own limits, as long as their
// rule holds, and never by a vector of another model.
func TestView_FindFaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClock()
	opts := &blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: &blocklist.EncryptionKey{3}}
	l := open(t, dir, opts)
	defer func() { l.Close() }()

	const people = 300
	var persons []blocklist.FaceVector
	rules := make([]uint64, people)
	want := func(i int) map[uint64]bool { return map[uint64]bool{rules[i]: true} }
	var events []blocklist.Event
	for i := range people {
		v := faceOf(t, faceModels[i%2], uint64(i), 0, 0)
		persons = append(persons, v)
		e := faceRule(t, l, uint64(i+1), blocklist.FaceLimits{Block: 0.9, Review: 0.8}, v)
		if i == 5 {
			e.Rule.End = c.now().Truncate(time.Second).Add(time.Minute).UTC()
		}
		events = append(events, e)
	}
	for i, seq := range mustAppend(t, l, events...) {
		rules[i] = seq
	}
	check := func(what string, v *blocklist.State, gone ...int) {
		t.Helper()
		if !v.SearchesFaces() {
			t.Fatalf("%s: faces are not searched", what)
		}
		for i, x := range persons {
			wanted := want(i)
			if slices.Contains(gone, i) {
				wanted = map[uint64]bool{}
			}
			if diff := cmp.Diff(wanted, facesFound(v, x)); diff != "" {
				t.Fatalf("%s, person %d (-want +got):\n%s", what, i, diff)
			}
		}
	}
	check("as they came", l.State())
	if s := l.Info(); s.Faces != people || s.FacesWithoutKey != 0 {
		t.Errorf("Status: %+v", s)
	}
	mustAppend(t, l, blocklist.Event{ID: newID(9001), Type: blocklist.EventRevoked, Target: rules[3]})
	check("one revoked", l.State(), 3)
	if s := l.Info(); s.Faces != people-1 {
		t.Errorf("Status after one was revoked: %+v", s)
	}
	l.Close()
	l = open(t, dir, opts)
	check("after a restart", l.State(), 3)
	if s := l.Info(); s.Faces != people-1 || s.FacesWithoutKey != 0 {
		t.Errorf("Status after a restart: %+v", s)
	}
	compacted := func() {
		t.Helper()
		if err := l.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	compacted()
	check("compacted", l.State(), 3)
	if n := l.State().Counts().Faces; n != people-1 {
		t.Errorf("%d faces after a compaction, want %d", n, people-1)
	}
	mustAppend(t, l, blocklist.Event{ID: newID(9002), Type: blocklist.EventRevoked, Target: rules[4]})
	// One comes again, under another rule, with two photographs and for both
	// models.
	again := faceRule(t, l, 9003, blocklist.FaceLimits{Block: 0.95, Review: 0.9}, persons[3], faceOf(t, faceModels[1], 9003, 0, 0), faceOf(t, faceModels[0], 9004, 3, 0.9))
	rules[3] = mustAppend(t, l, again)[0]
	check("more since", l.State(), 4)
	path := filepath.Join(t.TempDir(), "p")
	load := func() *blocklist.List {
		t.Helper()
		if err := l.Publish(path); err != nil {
			t.Fatal(err)
		}
		loaded, err := blocklist.Load(path, &blocklist.LoadOptions{Now: c.now, EncryptionKey: opts.EncryptionKey})
		if err != nil {
			t.Fatal(err)
		}
		return loaded
	}
	loaded := load()
	check("loaded", loaded.State(), 4)
	if n := loaded.State().Counts().Faces; n != people+1 {
		t.Errorf("%d faces in the loaded list, want %d", n, people+1)
	}
	if err := loaded.Publish(path + "2"); !errors.Is(err, blocklist.ErrReadOnly) {
		t.Errorf("Publish of a loaded list: %v, want ErrReadOnly", err)
	}
	compacted()
	check("compacted again", l.State(), 4)
	l.Close()
	l = open(t, dir, opts)
	check("after another restart", l.State(), 4)

	// The clock ends a rule.
	c.sec.Add(61)
	check("one ended", l.State(), 4, 5)
	check("loaded, one ended", loaded.State(), 4, 5)
	if n := load().State().Counts().Faces; n != people {
		t.Errorf("%d faces in a list that was published after one ended, want %d", n, people)
	}
	l.Close()
	l = open(t, dir, opts)
	check("after one ended, and a restart", l.State(), 4, 5)
	if s := l.Info(); s.FacesWithoutKey != 0 || len(s.Fallbacks) > 0 {
		t.Errorf("%+v", s)
	}

	// A snapshot that nobody renews says nothing about faces any more.
	c.sec.Add(7*86400 - 61 - 1)
	check("loaded, a second before the end", loaded.State(), 4, 5)
	c.sec.Add(1)
	check("list that is open for writing", l.State(), 4, 5)
	if v := loaded.State(); v.SearchesFaces() || len(facesFound(v, persons[0])) != 0 {
		t.Error("faces of a snapshot are searched after its time")
	}
	if late, err := blocklist.Load(path, &blocklist.LoadOptions{Now: func() time.Time { return c.now().Add(7 * 86400 * time.Second) }, EncryptionKey: opts.EncryptionKey}); err != nil {
		t.Error(err)
	} else if v := late.State(); v.SearchesFaces() || v.Counts().Faces != 0 || len(facesFound(v, persons[0])) != 0 {
		t.Error("faces of a snapshot are opened after its time")
	}
	if changed, err := loaded.Reload(); err != nil || !changed {
		t.Fatalf("Reload: %t, %v", changed, err)
	}
	c.sec.Add(7 * 86400)
	if changed, err := loaded.Reload(); err != nil || changed || loaded.State().Counts().Faces != 0 || loaded.State().SearchesFaces() {
		t.Errorf("Reload of a snapshot after its time: %t, %v, %d faces", changed, err, loaded.State().Counts().Faces)
	}
	load()
	if changed, err := loaded.Reload(); err != nil || !changed {
		t.Fatalf("Reload: %t, %v", changed, err)
	}
	check("reloaded", loaded.State(), 4, 5)
}

// Without an encryption key faces stay in the folder of the list.
func TestPublish_Faces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, &blocklist.Options{CompactAfter: -1})
	defer l.Close()
	v := faceOf(t, faceModels[0], 1, 0, 0)
	mustAppend(t, l, faceRule(t, l, 1, blocklist.FaceLimits{Block: 0.9, Review: 0.9}, v))
	path := filepath.Join(t.TempDir(), "p")
	if err := l.Publish(path); !errors.Is(err, blocklist.ErrFacesUnencrypted) {
		t.Errorf("Publish: %v, want ErrFacesUnencrypted", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that was not to be: %v", err)
	}
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The file of a compaction has no keys: it loads, and says that it does not
	// search faces.
	names, _ := filepath.Glob(filepath.Join(dir, "snapshot-*"))
	loaded, err := blocklist.Load(names[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if x := loaded.State(); x.SearchesFaces() || x.Counts().Faces != 0 || len(facesFound(x, v)) != 0 {
		t.Error("a snapshot without keys searches faces")
	}
	mustAppend(t, l, blocklist.Event{ID: newID(2), Type: blocklist.EventRevoked, Target: 1})
	if err := l.Publish(path); err != nil {
		t.Errorf("Publish when no face is left: %v", err)
	}
	for _, d := range []time.Duration{-1, time.Second, blocklist.MaxFaceLifetime + 1} {
		if _, err := boltjournal.Open(t.TempDir(), &blocklist.Options{FaceLifetime: d}); !errors.Is(err, blocklist.ErrLimit) {
			t.Errorf("FaceLifetime %v: %v, want ErrLimit", d, err)
		}
	}
}

// A Reload forgets faces whose time is over, whatever else comes of it: the
// publisher may be gone for good.
func TestReload_ForgetsFaces(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(path string) error{
		"missing":  os.Remove,
		"damaged":  func(path string) error { return os.Truncate(path, 200) },
		"the same": func(string) error { return nil },
	} {
		c := newClock()
		key := &blocklist.EncryptionKey{3}
		l := open(t, t.TempDir(), &blocklist.Options{Now: c.now, EncryptionKey: key})
		defer l.Close()
		x := faceOf(t, faceModels[0], 1, 0, 0)
		mustAppend(t, l, faceRule(t, l, 1, blocklist.FaceLimits{Block: 0.9, Review: 0.8}, x))
		path := filepath.Join(t.TempDir(), "p")
		if err := l.Publish(path); err != nil {
			t.Fatal(err)
		}
		node, err := blocklist.Load(path, &blocklist.LoadOptions{Now: c.now, EncryptionKey: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := breakIt(path); err != nil {
			t.Fatal(err)
		}
		reload := func(what string, faces int) {
			t.Helper()
			changed, err := node.Reload()
			if changed || (err == nil) != (name == "the same") || node.State().Counts().Faces != faces || node.State().SearchesFaces() != (faces > 0) {
				t.Errorf("%s, %s: %t, %v; %d faces, searched %t", name, what, changed, err, node.State().Counts().Faces, node.State().SearchesFaces())
			}
		}
		reload("in time", 1)
		c.sec.Add(7*86400 - 1)
		reload("a second before the end", 1)
		c.sec.Add(1)
		reload("after it", 0)
		if _, state, ok := node.State().Rule(1); !ok || state != blocklist.RuleInForce {
			t.Errorf("%s: the rule is %v, %t", name, state, ok)
		}
	}
}

// A list with faces that was closed says so, and not that a file is.
func TestClose_Faces(t *testing.T) {
	t.Parallel()
	for name, faces := range map[string]bool{"with faces": true, "without": false} {
		dir := t.TempDir()
		l := open(t, dir, &blocklist.Options{EncryptionKey: &blocklist.EncryptionKey{3}})
		limits, x := blocklist.FaceLimits{Block: 0.9, Review: 0.8}, faceOf(t, faceModels[0], 1, 0, 0)
		e := addedRule(t, l, 2)
		if faces {
			mustAppend(t, l, faceRule(t, l, 1, limits, x))
			e = faceRule(t, l, 2, limits, x)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		_, appended := l.Append(t.Context(), e)
		_, sealed := l.SealFaces(newID(3), limits, x)
		for what, err := range map[string]error{
			"Append": appended, "SealFaces": sealed, "DropFaces": l.DropFaces(nil), "Publish": l.Publish(filepath.Join(dir, "p")), "Compact": l.Compact(t.Context()),
		} {
			if !errors.Is(err, blocklist.ErrClosed) {
				t.Errorf("%s: %s: %v, want ErrClosed", name, what, err)
			}
		}
		if got := len(facesFound(l.State(), x)); got != map[bool]int{true: 1}[faces] {
			t.Errorf("%s: the last View finds %d", name, got)
		}
	}
}

// What a face is worth is for its own limits to say.
func TestView_FindFaces_Limits(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: -1})
	defer l.Close()
	m := faceModels[0]
	registered := faceOf(t, m, 1, 0, 0)
	seen := faceOf(t, m, 2, 1, 0.6) // somewhat similar
	similarity, _ := registered.Similarity(seen)
	if similarity < 0.5 || similarity > 0.95 {
		t.Fatalf("similarity %v", similarity)
	}
	limits := []blocklist.FaceLimits{
		{Block: similarity, Review: similarity},
		{Block: math.Nextafter(similarity, 1), Review: similarity},
		{Block: 1, Review: math.Nextafter(similarity, 1)},
		{Block: 1, Review: -1},
		{Block: -1, Review: -1},
	}
	var events []blocklist.Event
	for i, x := range limits {
		events = append(events, faceRule(t, l, uint64(i+1), x, registered))
	}
	seqs := mustAppend(t, l, events...)
	got := map[uint64]bool{}
	l.State().FindFaces(seen, func(h blocklist.Hit) bool {
		if h.Similarity != similarity {
			t.Errorf("similarity %v, want %v", h.Similarity, similarity)
		}
		got[h.Rule] = h.AtBlock
		return true
	})
	want := map[uint64]bool{seqs[0]: true, seqs[1]: false, seqs[3]: false, seqs[4]: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAppend_RefusesFaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	defer l.Close()
	other := open(t, t.TempDir(), nil)
	defer other.Close()
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	v := faceOf(t, faceModels[0], 1, 0, 0)
	seal := func(l *blocklist.List, id uint64) []blocklist.Face {
		faces, err := l.SealFaces(newID(id), limits, v)
		if err != nil {
			t.Fatal(err)
		}
		return faces
	}
	whole := seal(l, 1)[0]
	changed := func(f func(*blocklist.Face)) []blocklist.Face {
		x := whole
		x.Sealed = slices.Clone(x.Sealed)
		f(&x)
		return []blocklist.Face{x}
	}
	added := func(faces []blocklist.Face) blocklist.Event {
		return blocklist.Event{ID: newID(1), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeFace, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{Faces: faces}}}
	}
	otherWidth := added([]blocklist.Face{whole})
	otherWidth.Rule.Scope = blocklist.ScopeDuplicate
	otherEvent := added([]blocklist.Face{whole})
	otherEvent.ID = newID(2)
	seal(l, 2)
	unsealed := added([]blocklist.Face{whole})
	unsealed.ID = newID(3)
	for name, e := range map[string]blocklist.Event{
		"learned":             {ID: newID(1), Type: blocklist.EventDerived, Target: 1, Keys: blocklist.Keys{Faces: []blocklist.Face{whole}}},
		"excepted":            {ID: newID(1), Type: blocklist.EventException, Target: 1, Keys: blocklist.Keys{Faces: []blocklist.Face{whole}}},
		"of another scope":    otherWidth,
		"too many":            added(slices.Repeat([]blocklist.Face{whole}, blocklist.MaxFaces+1)),
		"no model":            added(changed(func(f *blocklist.Face) { f.Model.Name = "" })),
		"too many dimensions": added(changed(func(f *blocklist.Face) { f.Model.Dimensions = 1 << 16 })),
		"other dimensions":    added(changed(func(f *blocklist.Face) { f.Model.Dimensions++ })),
		"other model":         added(changed(func(f *blocklist.Face) { f.Model.Name = "test@9" })),
		"no limit":            added(changed(func(f *blocklist.Face) { f.Limits.Block = math.NaN() })),
		"limits crossed":      added(changed(func(f *blocklist.Face) { f.Limits.Review = 0.95 })),
		"limit above 1":       added(changed(func(f *blocklist.Face) { f.Limits.Block = 1.1 })),
		"nothing sealed":      added(changed(func(f *blocklist.Face) { f.Sealed = nil })),
		"changed":             added(changed(func(f *blocklist.Face) { f.Sealed[40] ^= 1 })),
		"of another event":    otherEvent,
		"without a key":       unsealed,
		"of another list":     added(seal(other, 1)),
	} {
		if _, err := l.Append(t.Context(), e); !errors.Is(err, blocklist.ErrEvent) {
			t.Errorf("%s: %v, want ErrEvent", name, err)
		}
	}
	mustAppend(t, l, added([]blocklist.Face{whole}))
	mustAppend(t, l, added([]blocklist.Face{whole})) // again is no error

	for name, f := range map[string]func() ([]blocklist.Face, error){
		"no vector":   func() ([]blocklist.Face, error) { return l.SealFaces(newID(7), limits) },
		"zero vector": func() ([]blocklist.Face, error) { return l.SealFaces(newID(7), limits, blocklist.FaceVector{}) },
		"no ID":       func() ([]blocklist.Face, error) { return l.SealFaces([16]byte{}, limits, v) },
		"limits crossed": func() ([]blocklist.Face, error) {
			return l.SealFaces(newID(7), blocklist.FaceLimits{Block: 0.1, Review: 0.2}, v)
		},
		"too many": func() ([]blocklist.Face, error) {
			return l.SealFaces(newID(7), limits, slices.Repeat([]blocklist.FaceVector{v}, 17)...)
		},
		"event that is in": func() ([]blocklist.Face, error) { return l.SealFaces(newID(1), limits, v) },
	} {
		if _, err := f(); !errors.Is(err, blocklist.ErrEvent) {
			t.Errorf("SealFaces, %s: %v, want ErrEvent", name, err)
		}
	}
}

// Searches of the list give what a plain scan of the registered vectors gives,
// in the base, in runs and in the tail, with many limits, some rules revoked.
func TestFindFaces_AgainstScan(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: -1})
	defer l.Close()
	m := blocklist.FaceModel{Name: "scan@1", Dimensions: 256}
	limits := []blocklist.FaceLimits{{Block: 0.6, Review: 0.45}, {Block: 0.5, Review: 0.5}, {Block: 0.4, Review: 0.3}}
	type registered struct {
		v      blocklist.FaceVector
		limits blocklist.FaceLimits
	}
	rules := map[uint64][]registered{}
	const people = 900
	id, seed := uint64(0), uint64(0)
	add := func(n int) {
		var events []blocklist.Event
		var faces [][]registered
		for range n {
			id++
			e := blocklist.Event{ID: newID(id), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeFace, Effect: blocklist.EffectBlock}}
			var of []registered
			for range 1 + id%2 {
				seed++
				of = append(of, registered{faceOf(t, m, seed, 1_000_000+id%300, 0.55), limits[seed%3]})
				sealed, err := l.SealFaces(e.ID, of[len(of)-1].limits, of[len(of)-1].v)
				if err != nil {
					t.Fatal(err)
				}
				e.Rule.Keys.Faces = append(e.Rule.Keys.Faces, sealed...)
			}
			events, faces = append(events, e), append(faces, of)
		}
		for i, seq := range mustAppend(t, l, events...) {
			rules[seq] = faces[i]
		}
	}
	hits, missed := 0, 0
	check := func(what string) {
		t.Helper()
		v := l.State()
		for q := range uint64(60) {
			x := faceOf(t, m, 2_000_000+q, 1_000_000+q*5, 0.3+float32(q%5)/10)
			want, got := map[uint64]float64{}, map[uint64]float64{}
			for rule, faces := range rules {
				for _, f := range faces {
					if s, _ := x.Similarity(f.v); s >= f.limits.Review {
						want[rule] = max(want[rule], s)
					}
				}
			}
			v.FindFaces(x, func(h blocklist.Hit) bool {
				got[h.Rule] = max(got[h.Rule], h.Similarity)
				return true
			})
			hits += len(want)
			for rule, s := range want {
				if _, ok := got[rule]; !ok {
					missed++
					delete(want, rule)
					t.Logf("%s: query %d does not find rule %d, similar by %v", what, q, rule, s)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s, query %d (-want +got):\n%s", what, q, diff)
			}
		}
	}
	add(people)
	check("runs")
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("base")
	add(people / 3)
	for seq := range rules {
		if seq%7 == 0 {
			id++
			mustAppend(t, l, blocklist.Event{ID: newID(id), Type: blocklist.EventRevoked, Target: seq})
			delete(rules, seq)
		}
	}
	check("base, runs and some revoked")
	// The rotations of the sketches are fixed, so this is the same every time.
	if hits < 300 || missed > hits/10_000 {
		t.Errorf("%d of %d hits were missed", missed, hits)
	}
	t.Logf("%d hits, %d missed", hits, missed)
}

func TestFindFaces_DoesNotAllocate(t *testing.T) {
	l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: -1})
	defer l.Close()
	add := func(from, to uint64) {
		var events []blocklist.Event
		for id := from; id < to; id++ {
			events = append(events, faceRule(t, l, id, blocklist.FaceLimits{Block: 0.9, Review: 0.2}, faceOf(t, faceModels[0], id, 0, 0)))
		}
		mustAppend(t, l, events...)
	}
	add(1, 300)
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(300, 500) // a run and a tail
	x, hits := faceOf(t, faceModels[0], 1, 0, 0), 0
	if n := sharedtest.AllocsPerRun(20, func() {
		l.State().FindFaces(x, func(h blocklist.Hit) bool { hits++; return h.AtBlock || hits > 0 })
	}); n != 0 || hits < 21 {
		t.Errorf("FindFaces allocates %v times, %d hits", n, hits)
	}
}

// An ID is taken once, by the first of the events that have it.
func TestAppend_FacesUnderOneID(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	defer l.Close()
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	first, second := faceOf(t, faceModels[0], 1, 0, 0), faceOf(t, faceModels[0], 2, 0, 0)
	seqs := mustAppend(t, l, faceRule(t, l, 1, limits, first), faceRule(t, l, 1, limits, second))
	if diff := cmp.Diff([]uint64{1, 1}, seqs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if v := l.State(); len(facesFound(v, first)) != 1 || len(facesFound(v, second)) != 0 {
		t.Errorf("found %v and %v", facesFound(v, first), facesFound(v, second))
	}
}

// Readers beside everything that a writer does always find a face that stays,
// and never one that was revoked before they took the View.
func TestFindFaces_Concurrent(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: 40, EncryptionKey: &blocklist.EncryptionKey{1}})
	defer l.Close()
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	stays, comes := faceOf(t, faceModels[0], 1, 0, 0), faceOf(t, faceModels[0], 2, 0, 0)
	rule := mustAppend(t, l, faceRule(t, l, 1, limits, stays))[0]
	var gone atomic.Uint64 // the last rule that was revoked
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				over := gone.Load()
				v := l.State()
				if !facesFound(v, stays)[rule] {
					t.Error("a face that stays is not found")
					return
				}
				for r := range facesFound(v, comes) {
					if r <= over {
						t.Errorf("rule %d is found, which was revoked", r)
						return
					}
				}
			}
		})
	}
	path := filepath.Join(t.TempDir(), "p")
	for id := uint64(10); id < 210; id += 2 {
		r := mustAppend(t, l, faceRule(t, l, id, limits, comes, stays))[0]
		if !facesFound(l.State(), comes)[r] {
			t.Error("a face that came is not found")
		}
		mustAppend(t, l, blocklist.Event{ID: newID(id + 1), Type: blocklist.EventRevoked, Target: r})
		gone.Store(r)
		if id%50 == 0 {
			if err := l.Publish(path); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	readers.Wait()
	if s := l.Info(); s.Failing[blocklist.OpCompact] != nil || s.SnapshotSeq == 0 || s.Faces != 1 || len(l.FaceKeys()) != 1 {
		t.Errorf("%+v, %d keys", s, len(l.FaceKeys()))
	}
}
