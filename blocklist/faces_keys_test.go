package blocklist_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
)

// The key of a rule that the clock has ended goes with the next compaction, also
// when there is nothing to compact, with the next Publish, and with the next Open.
func TestExpired_KeysGo(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(l *blocklist.List, reopen func() *blocklist.List) (*blocklist.List, error){
		"Compact": func(l *blocklist.List, _ func() *blocklist.List) (*blocklist.List, error) {
			return l, l.Compact(context.Background())
		},
		"Publish": func(l *blocklist.List, _ func() *blocklist.List) (*blocklist.List, error) {
			return l, l.Publish(filepath.Join(t.TempDir(), "p"))
		},
		"Open": func(l *blocklist.List, reopen func() *blocklist.List) (*blocklist.List, error) {
			err := l.Close()
			return reopen(), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, c := t.TempDir(), newClock()
			reopen := func() *blocklist.List {
				return open(t, dir, &blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: &blocklist.EncryptionKey{1}})
			}
			l := reopen()
			var events []blocklist.Event
			for id := uint64(1); id <= 2; id++ {
				e := faceRule(t, l, id, blocklist.FaceLimits{Block: 0.9, Review: 0.8}, faceOf(t, faceModels[0], id, 0, 0))
				if id == 1 {
					e.Rule.End = c.now().Truncate(time.Second).Add(time.Minute).UTC()
				}
				events = append(events, e)
			}
			mustAppend(t, l, events...)
			if err := l.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.sec.Add(59)
			l, err := then(l, reopen)
			if n := len(l.FaceKeys()); n != 2 || err != nil {
				t.Errorf("%d keys before the end, want 2; %v", n, err)
			}
			c.sec.Add(1)
			if l, err = then(l, reopen); err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if diff := cmp.Diff([][16]byte{newID(2)}, l.FaceKeys()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s := l.Info(); s.FacesWithoutKey != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The vectors of rules that have ended leave the memory of a list that goes on
// running, without anybody asking for it.
func TestEndedFacesAreForgotten(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := open(t, t.TempDir(), blocklist.WithForget(blocklist.Options{Now: c.now}, time.Millisecond))
	defer l.Close()
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	x := faceOf(t, faceModels[0], 1, 0, 0)
	timed := faceRule(t, l, 3, limits, x)
	timed.Rule.End = c.now().Truncate(time.Second).Add(time.Minute).UTC()
	mustAppend(t, l, faceRule(t, l, 1, limits, x, x), faceRule(t, l, 2, limits, x), timed)
	want := func(what string, n int) {
		t.Helper()
		for range 1000 {
			if l.State().Counts().Faces == n {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s: %d faces are in memory, want %d; %+v", what, l.State().Counts().Faces, n, l.Info())
	}
	want("all", 4)
	mustAppend(t, l, blocklist.Event{ID: newID(10), Type: blocklist.EventRevoked, Target: 1})
	want("one revoked", 2)
	if len(l.FaceKeys()) != 2 {
		t.Errorf("%d keys", len(l.FaceKeys()))
	}
	// Nothing has come since the compaction but time.
	c.sec.Add(60)
	want("one over", 1)
	if len(l.FaceKeys()) != 1 {
		t.Errorf("%d keys", len(l.FaceKeys()))
	}
}

// A list says which rules have faces that cannot be searched, because the file of
// keys is not the one that belongs to the journal, and does not claim to have
// compared with them. It goes on to say so after a compaction, and in what it
// publishes, and searches the faces that are left.
func TestStatus_LostKeys(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	opts := &blocklist.Options{Now: c.now, CompactAfter: -1}
	l := open(t, dir, opts)
	defer func() { l.Close() }()
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	x := faceOf(t, faceModels[0], 1, 0, 0)
	timed := faceRule(t, l, 3, limits, x)
	timed.Rule.End = c.now().Truncate(time.Second).Add(time.Minute).UTC()
	mustAppend(t, l, faceRule(t, l, 1, limits, x, x), faceRule(t, l, 2, limits, x), timed)
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, faceRule(t, l, 4, limits, x))
	l.Close()
	if err := os.Remove(filepath.Join(dir, "face-keys")); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, opts)
	path := filepath.Join(t.TempDir(), "p")
	want := func(what string, faces int, rules ...uint64) {
		t.Helper()
		if err := l.Publish(path); err != nil {
			t.Fatal(err)
		}
		node, err := blocklist.Load(path, &blocklist.LoadOptions{Now: c.now, EncryptionKey: opts.EncryptionKey})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []*blocklist.List{l, node} {
			v := l.State()
			if s := l.Info(); s.Faces != 0 || s.FacesWithoutKey != faces || len(facesFound(v, x)) != 0 {
				t.Errorf("%s: %+v, want %d faces without key", what, s, faces)
			}
			if diff := cmp.Diff(rules, v.RulesWithoutFaces()); diff != "" {
				t.Errorf("%s: rules without faces (-want +got):\n%s", what, diff)
			}
			if v.SearchesFaces() != (faces == 0) || v.ComparesFaces(faceModels[0]) != (faces == 0) {
				t.Errorf("%s: searches %v, compares %v", what, v.SearchesFaces(), v.ComparesFaces(faceModels[0]))
			}
		}
	}
	want("keys lost", 5, 1, 2, 3, 4)
	for range 2 {
		if err := l.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("keys lost, compacted", 5, 1, 2, 3, 4)
		l.Close()
		l = open(t, dir, opts)
	}
	mustAppend(t, l, blocklist.Event{ID: newID(10), Type: blocklist.EventRevoked, Target: 1})
	want("one revoked", 3, 2, 3, 4)
	c.sec.Add(60)
	mustAppend(t, l, blocklist.Event{ID: newID(11), Type: blocklist.EventRevoked, Target: 4})
	want("one more revoked, and one over", 1, 2)

	// One that came later is found.
	y := faceOf(t, faceModels[0], 2, 0, 0)
	seq := mustAppend(t, l, faceRule(t, l, 20, limits, y))[0]
	if v := l.State(); !facesFound(v, y)[seq] || v.ComparesFaces(faceModels[0]) {
		t.Errorf("found %v, compares %v", facesFound(v, y), v.ComparesFaces(faceModels[0]))
	}
	mustAppend(t, l, blocklist.Event{ID: newID(21), Type: blocklist.EventRevoked, Target: seq})
	mustAppend(t, l, blocklist.Event{ID: newID(12), Type: blocklist.EventRevoked, Target: 2})
	want("all revoked", 0)
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("all revoked, compacted", 0)
}

// A key that was made after a View was taken belongs to no rule that the View
// could show to have ended.
func TestRetain_OldView(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	defer func() { l.Close() }()
	old := l.State()
	x := faceOf(t, faceModels[0], 1, 0, 0)
	mustAppend(t, l, faceRule(t, l, 1, blocklist.FaceLimits{Block: 0.9, Review: 0.8}, x))
	if err := l.RetainFaces(old); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = open(t, dir, nil)
	if diff := cmp.Diff(map[uint64]bool{1: true}, facesFound(l.State(), x)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A file of keys stays when the journal that it belongs to is not there, and
// serves it again when it is back.
func TestFaceKeys_LostJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := &blocklist.Options{EncryptionKey: &blocklist.EncryptionKey{4}}
	l := open(t, dir, opts)
	x := faceOf(t, faceModels[0], 1, 0, 0)
	mustAppend(t, l, faceRule(t, l, 1, blocklist.FaceLimits{Block: 0.9, Review: 0.8}, x))
	l.Close()
	journal := filepath.Join(dir, "journal.db")
	if err := os.Rename(journal, journal+".away"); err != nil {
		t.Fatal(err)
	}
	open(t, dir, opts).Close()
	if err := os.Rename(journal+".away", journal); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, opts)
	defer l.Close()
	if diff := cmp.Diff(map[uint64]bool{1: true}, facesFound(l.State(), x)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A list that is opened with another FaceKey makes no second file of keys, and
// destroys none: not when it has been written to, and not when Rekey was cut
// short. With the right key all faces are found again.
func TestFaceKeys_WrongKey(t *testing.T) {
	t.Parallel()
	encryption := &blocklist.EncryptionKey{5}
	right := &blocklist.Options{CompactAfter: -1, EncryptionKey: encryption, FaceKey: &blocklist.EncryptionKey{7}}
	wrong := &blocklist.Options{CompactAfter: -1, EncryptionKey: encryption, FaceKey: &blocklist.EncryptionKey{8}}
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	dir := t.TempDir()
	l := open(t, dir, right)
	for id := range uint64(3) {
		mustAppend(t, l, faceRule(t, l, id+1, limits, faceOf(t, faceModels[0], id+1, 0, 0)))
	}
	l.Close()
	keys := func(dir string) []string {
		names, err := filepath.Glob(filepath.Join(dir, "face-keys*"))
		check(t, err)
		return names
	}
	look := func(what, dir string, o *blocklist.Options, lost int, seals bool) {
		t.Helper()
		l := open(t, dir, o)
		defer l.Close()
		if s := l.Info(); s.FacesWithoutKey != lost {
			t.Errorf("%s: %d faces without a key, want %d", what, s.FacesWithoutKey, lost)
		}
		if _, err := l.SealFaces(newID(50), limits, faceOf(t, faceModels[0], 50, 0, 0)); !errors.Is(err, blocklist.ErrKey) != seals || seals && err != nil {
			t.Errorf("%s: SealFaces: %v", what, err)
		}
		// Something else can be blocked meanwhile.
		e := blocklist.Event{ID: newID(l.State().Seq() + 1000), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{Bytes: [][32]byte{{1}}}}}
		mustAppend(t, l, e)
	}
	for range 2 {
		look("wrong", dir, wrong, 3, false)
		if err := boltjournal.Rekey(t.Context(), dir, wrong, right, nil); !errors.Is(err, blocklist.ErrKey) {
			t.Errorf("Rekey from the wrong key: %v", err)
		}
	}
	if n := len(keys(dir)); n != 1 {
		t.Errorf("%d files of keys", n)
	}
	look("right again", dir, right, 0, true)

	// Rekey is cut short when it has copied one key of three.
	done := filepath.Join(t.TempDir(), "done")
	check(t, os.CopyFS(done, os.DirFS(dir)))
	check(t, boltjournal.Rekey(t.Context(), done, right, wrong, nil))
	fresh := keys(done)
	if len(fresh) != 1 {
		t.Fatalf("%q", fresh)
	}
	for name, then := range map[string]func(dir string){
		"opened with the old key": func(dir string) {
			look("opened with the old key", dir, right, 0, true)
			if n := len(keys(dir)); n != 1 {
				t.Errorf("%d files of keys", n)
			}
		},
		"opened with the new key": func(dir string) {
			look("opened with the new key", dir, wrong, 2, false)
			look("then with the old one", dir, right, 0, true)
		},
		"done again": func(dir string) {
			check(t, boltjournal.Rekey(t.Context(), dir, right, wrong, nil))
			look("done again", dir, wrong, 0, true)
		},
		"opened with the new key, done again": func(dir string) {
			look("opened with the new key", dir, wrong, 2, false)
			check(t, boltjournal.Rekey(t.Context(), dir, right, wrong, nil))
			look("done again", dir, wrong, 0, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cut := filepath.Join(t.TempDir(), "cut")
			check(t, os.CopyFS(cut, os.DirFS(dir)))
			b := readFile(t, fresh[0])
			check(t, os.WriteFile(filepath.Join(cut, filepath.Base(fresh[0])), b[:8+80], 0o600))
			then(cut)
		})
	}
}

// A key outlives the time in which its event is kept elsewhere, restarts
// included, and goes when the event will not come.
func TestDropFaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, nil)
	defer func() { l.Close() }()
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
	v := faceOf(t, faceModels[0], 1, 0, 0)
	var kept [][]byte
	for id := uint64(1); id <= 4; id++ {
		b, err := faceRule(t, l, id, limits, v).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, b)
	}
	l.Close()
	l = open(t, dir, nil)
	appendKept := func(i int) error {
		var e blocklist.Event
		if err := e.UnmarshalBinary(kept[i]); err != nil {
			t.Fatal(err)
		}
		_, err := l.Append(t.Context(), e)
		return err
	}
	if err := appendKept(0); err != nil {
		t.Fatal(err)
	}
	if err := l.DropFaces(func(id [16]byte) bool { return id == newID(2) }); err != nil {
		t.Fatal(err)
	}
	if err := appendKept(1); err != nil {
		t.Errorf("an event that was kept: %v", err)
	}
	if err := appendKept(2); !errors.Is(err, blocklist.ErrEvent) {
		t.Errorf("an event that was dropped: %v, want ErrEvent", err)
	}
	if err := l.DropFaces(nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uint64]bool{1: true, 2: true}, facesFound(l.State(), v)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	names, err := filepath.Glob(filepath.Join(dir, "face-keys*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	raw, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Trim(string(raw[8+2*80:]), "\x00")); n != 0 {
		t.Errorf("%d bytes are left of keys that were dropped", n)
	}
}

// Faces outlive a new secret and a new encryption key, and their keys do not
// lie about under the old one.
func TestRekey_Faces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := faceOf(t, faceModels[0], 1, 0, 0)
	withdrawn := faceOf(t, faceModels[0], 2, 0, 0)
	all := []*blocklist.Options{{}, {EncryptionKey: &blocklist.EncryptionKey{1}}, {EncryptionKey: &blocklist.EncryptionKey{2}}, {EncryptionKey: &blocklist.EncryptionKey{2}}, {}}
	l := open(t, dir, all[0])
	limits := blocklist.FaceLimits{Block: 0.9, Review: 0.9}
	mustAppend(t, l, faceRule(t, l, 1, limits, x), faceRule(t, l, 2, limits, withdrawn), blocklist.Event{ID: newID(3), Type: blocklist.EventRevoked, Target: 2})
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	// One that is on its way keeps its key too.
	waiting, err := faceRule(t, l, 4, limits, faceOf(t, faceModels[0], 4, 0, 0)).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	readdress := func(blocklist.Event, func(blocklist.AddressKind, string) (blocklist.Digest, error)) ([]blocklist.Address, error) {
		return nil, nil
	}
	old := map[string][]byte{}
	for i := 1; i < len(all); i++ {
		if err := boltjournal.Rekey(t.Context(), dir, all[i-1], all[i], readdress); err != nil {
			t.Fatal(err)
		}
		check := func(what string) {
			t.Helper()
			l := open(t, dir, all[i])
			defer l.Close()
			if diff := cmp.Diff(map[uint64]bool{1: true}, facesFound(l.State(), x)); diff != "" || len(facesFound(l.State(), withdrawn)) > 0 {
				t.Fatalf("%d, %s (-want +got):\n%s", i, what, diff)
			}
			if s := l.Info(); s.Faces != 1 || s.FacesWithoutKey != 0 {
				t.Errorf("%d, %s: %+v", i, what, s)
			}
			names, err := filepath.Glob(filepath.Join(dir, "face-keys*"))
			if err != nil || len(names) != 1 {
				t.Errorf("%d, %s: %v, %v", i, what, names, err)
			}
			if (all[i].EncryptionKey == nil) != (filepath.Base(names[0]) == "face-keys") {
				t.Errorf("%d, %s: %v", i, what, names)
			}
			now := filesOf(t, dir)
			if all[i-1].EncryptionKey != nil && all[i].EncryptionKey != nil && *all[i-1].EncryptionKey == *all[i].EncryptionKey {
				if !slices.Contains(slices.Collect(maps.Keys(old)), names[0]) {
					t.Errorf("%d, %s: the file of keys has another name, with the same key", i, what)
				}
			}
			old = map[string][]byte{names[0]: now[names[0]]}
		}
		before := maps.Clone(old)
		check("rekeyed")
		// A crash after the journal was replaced left the old keys too, and one of
		// another Rekey, before it, new ones.
		for name, b := range before {
			if _, ok := old[name]; !ok {
				if err := os.WriteFile(name, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "face-keys-0123456789abcdef"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		check("after a crash")
	}
	l = open(t, dir, nil)
	var e blocklist.Event
	if err := e.UnmarshalBinary(waiting); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, e)
}

// Rules that are revoked while a snapshot is made are not in it, or are in it
// with their faces: no reader takes these for lost. The clock is asked between
// the View and the keys, so that a revocation can come just then, once or
// whenever the list looks again.
func TestPublish_RevokedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 2, 4, 50} {
		key, c := &blocklist.EncryptionKey{3}, newClock()
		var meanwhile atomic.Pointer[func()]
		l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: -1, EncryptionKey: key, Now: func() time.Time {
			if f := meanwhile.Swap(nil); f != nil {
				(*f)()
			}
			return c.now()
		}})
		defer l.Close()
		limits := blocklist.FaceLimits{Block: 0.9, Review: 0.8}
		x := faceOf(t, faceModels[0], 1, 0, 0)
		mustAppend(t, l, faceRule(t, l, 1, limits, x))
		var rules []uint64
		for id := range uint64(2 * times) {
			rules = append(rules, mustAppend(t, l, faceRule(t, l, 100+id, limits, faceOf(t, faceModels[0], 100+id, 0, 0)))...)
		}
		path := filepath.Join(t.TempDir(), "p")
		for what, write := range map[string]func() error{"Publish": func() error { return l.Publish(path) }, "Compact": func() error { return l.Compact(t.Context()) }} {
			var all sync.WaitGroup
			left, revoked := times, 0
			var revoke func()
			revoke = func() {
				done := make(chan struct{})
				all.Go(func() {
					defer close(done)
					left, revoked = left-1, revoked+1
					e := blocklist.Event{ID: newID(rules[0] + 1000), Type: blocklist.EventRevoked, Time: c.now().Truncate(time.Second), Target: rules[0]}
					rules = rules[1:]
					if _, err := l.Append(context.Background(), e); err != nil {
						t.Error(err)
					}
					if left > 0 {
						meanwhile.Store(&revoke)
					}
				})
				select {
				case <-done:
				case <-time.After(100 * time.Millisecond): // the list looks between commits
				}
			}
			meanwhile.Store(&revoke)
			err := write()
			meanwhile.Store(nil)
			all.Wait()
			meanwhile.Store(nil)
			if err != nil || revoked == 0 {
				t.Fatalf("%s, %d times: %d revoked, %v", what, times, revoked, err)
			}
			readers := map[string]*blocklist.List{"desk": l}
			if what == "Publish" {
				if readers["node"], err = blocklist.Load(path, &blocklist.LoadOptions{EncryptionKey: key, Now: c.now}); err != nil {
					t.Fatal(err)
				}
			}
			for who, l := range readers {
				if s := l.Info(); s.FacesWithoutKey != 0 || !l.State().SearchesFaces() || !facesFound(l.State(), x)[1] {
					t.Errorf("%s, %d times: the %s says %d faces without key, rules %v; searches %v", what, times, who, s.FacesWithoutKey, l.State().RulesWithoutFaces(), l.State().SearchesFaces())
				}
			}
		}
	}
}
