package blocklist_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// everywhere runs check against the list as it was appended, compacted, opened
// again, and published and loaded.
func everywhere(t *testing.T, l *blocklist.List, dir string, opts *blocklist.Options, check func(where string, v *blocklist.State)) {
	t.Helper()
	check("appended", l.State())
	path := filepath.Join(dir, "published")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	r, err := blocklist.Load(path, &blocklist.LoadOptions{Now: opts.Now})
	if err != nil {
		t.Fatal(err)
	}
	check("loaded", r.State())
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	check("compacted", l.State())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, filepath.Join(dir, "l"), opts)
	check("opened again", again.State())
}

// Rules and learned keys begin and end to the second, exceptions end so.
func TestTimes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClock()
	base := c.sec.Load()
	opts := &blocklist.Options{Now: c.now, CompactAfter: -1}
	l := open(t, filepath.Join(dir, "l"), opts)
	at := func(sec int64) time.Time { return time.Unix(base+sec, 0).UTC() }
	add := func(id byte, start, end time.Time) {
		e := addedRule(t, l, uint64(id))
		e.Rule.Keys.Bytes = [][32]byte{{id}}
		e.Rule.Start, e.Rule.End = start, end
		mustAppend(t, l, e)
	}
	add(1, at(10), at(20))
	add(2, time.Time{}, at(15))
	add(3, at(15), time.Time{})
	add(4, time.Time{}, time.Time{})
	learn := func(id byte, rule uint64, until time.Time) {
		mustAppend(t, l, blocklist.Event{ID: newID(uint64(id)), Type: blocklist.EventDerived, Target: rule, Until: until, Keys: blocklist.Keys{Bytes: [][32]byte{{id}}}})
	}
	learn(5, 1, at(12))      // ends before its rule
	learn(6, 1, at(99))      // ends with its rule
	learn(7, 4, at(18))      // of a rule without end
	learn(8, 2, time.Time{}) // with its rule
	mustAppend(t, l, blocklist.Event{ID: newID(9), Type: blocklist.EventException, Target: 4, Until: at(17), Keys: blocklist.Keys{Bytes: [][32]byte{{4}}}})

	// The seconds, from and until just before, in which each file is found.
	inForce := map[byte][2]int64{1: {10, 20}, 2: {-100, 15}, 3: {15, 200}, 4: {-100, 200}, 5: {10, 12}, 6: {10, 20}, 7: {-100, 18}, 8: {-100, 15}}
	everywhere(t, l, dir, opts, func(where string, v *blocklist.State) {
		for sec := int64(-1); sec <= 100; sec++ {
			c.sec.Store(base + sec)
			want, got := map[byte]bool{}, map[byte]bool{}
			for id, span := range inForce {
				want[id] = sec >= span[0] && sec < span[1]
				got[id] = false
				v.FindBytes([32]byte{id}, func(h blocklist.Hit) bool {
					got[id] = true
					if sha := [32]byte{4}; v.HasException(h, &sha, nil) != (h.Rule == 4 && sec < 17) {
						t.Errorf("%s: second %d: rule %d excepted: %t", where, sec, h.Rule, !(h.Rule == 4 && sec < 17))
					}
					return true
				})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: second %d (-want +got):\n%s", where, sec, diff)
			}
		}
	})
}

// An excepted picture is left alone by its rule and by no other, by file or by
// a hash within four bits, until the exception is undone or its rule ends.
func TestExceptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := &blocklist.Options{CompactAfter: -1}
	l := open(t, filepath.Join(dir, "l"), opts)
	pdq := func(bits ...int) phash.Hash {
		var b [32]byte
		for i := range b {
			b[i] = 0x5a
		}
		for _, k := range bits {
			b[31-k/8] ^= 1 << (k % 8)
		}
		return phash.FromPDQ(b)
	}
	file := [32]byte{1}
	for id := uint64(1); id <= 3; id++ {
		e := addedRule(t, l, id)
		e.Rule.Keys = blocklist.Keys{Bytes: [][32]byte{file}, Hashes: []blocklist.HashKey{{Hash: pdq()}}}
		mustAppend(t, l, e)
	}
	except := func(rule uint64, keys blocklist.Keys) uint64 {
		return mustAppend(t, l, blocklist.Event{ID: newID(100 + rule + uint64(len(keys.Bytes))*10), Type: blocklist.EventException, Target: rule, Keys: keys})[0]
	}
	excepted := func(v *blocklist.State, sha *[32]byte, hashes ...phash.Hash) (rules []uint64) {
		v.FindBytes(file, func(h blocklist.Hit) bool {
			if v.HasException(h, sha, hashes) {
				rules = append(rules, h.Rule)
			}
			return true
		})
		return rules
	}
	except(1, blocklist.Keys{Bytes: [][32]byte{file}})
	byHash := except(2, blocklist.Keys{Hashes: []blocklist.HashKey{{Hash: pdq()}, {Hash: phash.FromPerception(0xff00)}}})
	other := [32]byte{2}
	check := func(where string, v *blocklist.State) {
		for name, tt := range map[string]struct {
			sha    *[32]byte
			hashes []phash.Hash
			want   []uint64
		}{
			"nothing known":        {nil, nil, nil},
			"the file":             {&file, nil, []uint64{1}},
			"another file":         {&other, nil, nil},
			"the hash":             {&other, []phash.Hash{pdq()}, []uint64{2}},
			"four bits":            {nil, []phash.Hash{pdq(0, 70, 140, 255)}, []uint64{2}},
			"five bits":            {nil, []phash.Hash{pdq(0, 70, 140, 255, 9)}, nil},
			"the other hash":       {nil, []phash.Hash{pdq(1, 2, 3, 4, 5, 6), phash.FromPerception(0xff01)}, []uint64{2}},
			"another algorithm":    {nil, []phash.Hash{phash.FromPerception(0x5a5a5a5a5a5a5a5a)}, nil},
			"the file and a hash":  {&file, []phash.Hash{pdq(7)}, []uint64{1, 2}},
			"no hash is no matter": {nil, []phash.Hash{{}}, nil},
		} {
			if diff := cmp.Diff(tt.want, excepted(v, tt.sha, tt.hashes...)); diff != "" {
				t.Errorf("%s: %s: rules (-want +got):\n%s", where, name, diff)
			}
		}
	}
	everywhere(t, l, dir, opts, check)

	l = open(t, t.TempDir(), opts)
	for id := uint64(1); id <= 3; id++ {
		e := addedRule(t, l, id)
		e.Rule.Keys = blocklist.Keys{Bytes: [][32]byte{file}, Hashes: []blocklist.HashKey{{Hash: pdq()}}}
		mustAppend(t, l, e)
	}
	except(1, blocklist.Keys{Bytes: [][32]byte{file}})
	byHash = except(2, blocklist.Keys{Hashes: []blocklist.HashKey{{Hash: pdq()}}})
	for step, act := range []func(){
		func() {},
		func() {
			if err := l.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			mustAppend(t, l, blocklist.Event{ID: newID(500), Type: blocklist.EventReverted, Target: byHash})
		},
		func() { mustAppend(t, l, blocklist.Event{ID: newID(501), Type: blocklist.EventRevoked, Target: 1}) },
	} {
		act()
		want := [][]uint64{{1, 2}, {1, 2}, {1}, nil}[step]
		if diff := cmp.Diff(want, excepted(l.State(), &file, pdq())); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", step, diff)
		}
	}
}

// Rules that share a picture are counted one by one: what one covers stays
// when another goes.
func TestSharedKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := &blocklist.Options{CompactAfter: -1}
	l := open(t, filepath.Join(dir, "l"), opts)
	const url = "https://example.com/shared.jpg"
	for id := uint64(1); id <= 20; id++ {
		mustAppend(t, l, addedRule(t, l, id, url, fmt.Sprintf("https://example.com/%d", id)))
		if id == 10 {
			if err := l.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for id := uint64(1); id <= 20; id++ {
		v := l.State()
		if got, want := len(blocked(t, v, url)), int(21-id); got != want {
			t.Errorf("%d rules cover it before rule %d goes, want %d", got, id, want)
		}
		mustAppend(t, l, blocklist.Event{ID: newID(100 + id), Type: blocklist.EventRevoked, Target: id})
		if len(blocked(t, l.State(), fmt.Sprintf("https://example.com/%d", id))) != 0 || len(blocked(t, v, url)) != int(21-id) {
			t.Errorf("rule %d: the new View must not show it, the old one must", id)
		}
	}
	everywhere(t, l, dir, opts, func(where string, v *blocklist.State) {
		if len(blocked(t, v, url)) != 0 {
			t.Errorf("%s: still blocked", where)
		}
	})
}
