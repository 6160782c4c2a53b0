package blocklist_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/fsx/crashfs"
	"github.com/staydown/staydown/phash"
)

// secrets are what a rule is made of, in the forms in which files could hold it.
type secrets map[string][]byte

// marked makes keys of every kind that are found again wherever they lie.
func marked(tb testing.TB, l *blocklist.List, n byte) (k blocklist.Keys, s secrets) {
	tb.Helper()
	s = secrets{}
	fill := func(what string, p []byte) {
		r := rand.New(rand.NewPCG(uint64(n), uint64(len(p))))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		s[fmt.Sprint(what, " of ", n)] = slices.Clone(p[:min(len(p), 12)])
	}
	var sha [32]byte
	var sha1 [20]byte
	var md5 [16]byte
	fill("SHA-256", sha[:])
	fill("SHA-1", sha1[:])
	fill("MD5", md5[:])
	d, err := l.Digest(blocklist.ImageAddress, fmt.Sprintf("https://example.com/%d", n))
	if err != nil {
		tb.Fatal(err)
	}
	s[fmt.Sprint("address of ", n)] = slices.Clone(d[:])
	var w [4]uint64
	for i := range w {
		w[i] = uint64(n)*0x9e3779b97f4a7c15 + uint64(i)*0xbf58476d1ce4e5b9
	}
	h, err := phash.FromWords(phash.AlgPDQ, w)
	if err != nil {
		tb.Fatal(err)
	}
	s[fmt.Sprint("hash of ", n)] = binary.LittleEndian.AppendUint64(nil, w[2])
	set := featuresOf(tb, uint64(n)).Compact()
	raw, _ := set.MarshalBinary()
	s[fmt.Sprint("features of ", n)] = raw[32:64]
	s[fmt.Sprint("thumbnail of ", n)] = raw[len(raw)-40:]
	return blocklist.Keys{
		Addresses: []blocklist.Address{{Kind: blocklist.ImageAddress, Digest: d}}, Bytes: [][32]byte{sha}, SHA1: [][20]byte{sha1},
		MD5: [][16]byte{md5}, Hashes: []blocklist.HashKey{{Hash: h}}, Features: []blocklist.Features{set},
	}, s
}

// found returns which secrets are in contents.
func (s secrets) found(contents [][]byte) (names []string) {
	for name, p := range s {
		if slices.ContainsFunc(contents, func(b []byte) bool { return bytes.Contains(b, p) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// everything returns the content of all files in a folder, of files that are held
// open, and of what the key decrypts.
func everything(tb testing.TB, dir string, held []*os.File, key *blocklist.EncryptionKey, list [16]byte) (contents [][]byte) {
	tb.Helper()
	for path, b := range filesOf(tb, dir) {
		contents = append(contents, b)
		if key != nil {
			contents = append(contents, decrypt(tb, path, b, *key, list)...)
		}
	}
	for _, f := range held {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
		if err != nil {
			tb.Fatal(err)
		}
		contents = append(contents, b)
	}
	return contents
}

func hold(t *testing.T, dir string) (held []*os.File) {
	t.Helper()
	for path := range filesOf(t, dir) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		held = append(held, f)
	}
	return held
}

// What a revoked rule was made of is in no file of the list after Erase, nor in one
// that somebody has open since before; everything else is there, in order, and
// proves it.
func TestErase(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]*blocklist.EncryptionKey{"plain": nil, "encrypted": {3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, dir := context.Background(), t.TempDir()
			opts := &blocklist.Options{CompactAfter: -1, EncryptionKey: key}
			l := open(t, dir, opts)
			gone, stays := secrets{}, secrets{}
			id := uint64(0)
			add := func(e blocklist.Event, into secrets, n byte) uint64 {
				t.Helper()
				id++
				e.ID = newID(id)
				if into != nil {
					k, s := marked(t, l, n)
					for name, p := range s {
						into[name] = p
					}
					switch e.Type {
					case blocklist.EventAdded:
						e.Rule = &blocklist.Rule{Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Keys: k}
					case blocklist.EventException:
						e.Keys = blocklist.Keys{Bytes: k.Bytes, Hashes: k.Hashes}
						for _, kind := range []string{"SHA-1", "MD5", "address", "features", "thumbnail"} {
							delete(into, fmt.Sprint(kind, " of ", n))
						}
					default:
						e.Keys = k
					}
				}
				return mustAppend(t, l, e)[0]
			}
			rule := add(blocklist.Event{Type: blocklist.EventAdded}, gone, 1)
			other := add(blocklist.Event{Type: blocklist.EventAdded}, stays, 2)
			add(blocklist.Event{Type: blocklist.EventDerived, Target: rule}, gone, 3)
			add(blocklist.Event{Type: blocklist.EventException, Target: rule}, gone, 4)
			add(blocklist.Event{Type: blocklist.EventDerived, Target: other}, stays, 5)
			undone := add(blocklist.Event{Type: blocklist.EventDerived, Target: other}, stays, 6) // until EraseAfter
			add(blocklist.Event{Type: blocklist.EventException}, stays, 7)
			if err := l.Compact(ctx); err != nil {
				t.Fatal(err)
			}
			last := add(blocklist.Event{Type: blocklist.EventAdded}, gone, 8)
			add(blocklist.Event{Type: blocklist.EventReverted, Target: undone}, nil, 0)
			if n, err := l.Erase(ctx, rule); n != 0 || !errors.Is(err, blocklist.ErrEvent) {
				t.Errorf("Erase of a rule in force: %d, %v, want ErrEvent", n, err)
			}
			add(blocklist.Event{Type: blocklist.EventRevoked, Target: rule}, nil, 0)
			add(blocklist.Event{Type: blocklist.EventRevoked, Target: last}, nil, 0)
			if err := l.Compact(ctx); err != nil {
				t.Fatal(err)
			}
			before, at := journalSize(t, dir), l.State().Position()
			held := hold(t, dir)
			all := secrets{}
			for _, s := range []secrets{gone, stays} {
				for name, p := range s {
					all[name] = p
				}
			}
			if n := len(all.found(everything(t, dir, held, key, l.ID()))); n != len(all) {
				t.Fatalf("%d of %d secrets are found before", n, len(all))
			}
			node := filepath.Join(t.TempDir(), "p")
			if err := l.Publish(node); err != nil {
				t.Fatal(err)
			}
			loaded, err := blocklist.Load(node, &blocklist.LoadOptions{EncryptionKey: key})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := l.Erase(ctx, rule, last); n != 4 || err != nil {
				t.Fatalf("Erase = %d, %v, want 4 events", n, err)
			}
			check := func(when string) {
				t.Helper()
				contents := everything(t, dir, held, key, l.ID())
				if names := gone.found(contents); len(names) > 0 {
					t.Errorf("%s: there is %v", when, names)
				}
				if n := len(stays.found(contents)); n != len(stays) {
					t.Errorf("%s: %d of %d others are there", when, n, len(stays))
				}
				if now := l.State().Position(); now != at {
					t.Errorf("%s: the list is at %v, and was at %v", when, now, at)
				}
				if err := l.Verify(ctx); err != nil {
					t.Errorf("%s: %v", when, err)
				}
				if len(blocked(t, l.State(), "https://example.com/2")) != 1 || len(blocked(t, l.State(), "https://example.com/1")) != 0 {
					t.Errorf("%s: another rule blocks", when)
				}
				var erased []uint64
				if err := l.Follow(ctx, blocklist.Position{}, func(e blocklist.Event, p blocklist.Position) bool {
					if e.IsErased() {
						erased = append(erased, e.Seq)
						if e.Rule != nil || e.Keys.Len() > 0 || e.Type == 0 || e.ID == [16]byte{} {
							t.Errorf("%s: event %d is %+v", when, e.Seq, e)
						}
					}
					return p.Seq < at.Seq
				}); err != nil {
					t.Errorf("%s: %v", when, err)
				}
				if diff := cmp.Diff([]uint64{1, 3, 4, 8}, erased); diff != "" {
					t.Errorf("%s: erased (-want +got):\n%s", when, diff)
				}
				if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 2 {
					t.Errorf("%s: files %v", when, names)
				}
			}
			check("after Erase")
			if now := journalSize(t, dir); now > before*2/3 {
				t.Errorf("the journal had %d bytes, and has %d", before, now)
			}
			if n, err := l.Erase(ctx, rule, 999); n != 0 || err != nil {
				t.Errorf("Erase again = %d, %v", n, err)
			}
			l.Close()
			l = open(t, dir, opts)
			check("opened again")
			// An event that was erased is there, for who appends it again.
			k, _ := marked(t, l, 1)
			again := blocklist.Event{ID: newID(1), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Keys: k}}
			if seqs := mustAppend(t, l, again); seqs[0] != rule {
				t.Errorf("an event that was erased was added again as %d", seqs[0])
			}
			check("appended again")
			for _, name := range []string{"snapshot-*"} {
				files, _ := filepath.Glob(filepath.Join(dir, name))
				for _, f := range files {
					os.Remove(f)
				}
			}
			l.Close()
			l = open(t, dir, opts)
			if err := l.Compact(ctx); err != nil {
				t.Fatal(err)
			}
			check("from the journal alone")
			if err := l.Publish(node); err != nil {
				t.Fatal(err)
			}
			if _, err := loaded.Reload(); err != nil || loaded.State().Position() != at {
				t.Errorf("Reload of a node: %v", err)
			}
			if err := loaded.Publish(node + "2"); err != nil {
				t.Error(err)
			}
			if _, err := loaded.Erase(ctx); !errors.Is(err, blocklist.ErrReadOnly) {
				t.Errorf("Erase of a loaded list: %v", err)
			}
			l.Close()
			if _, err := l.Erase(ctx); !errors.Is(err, blocklist.ErrClosed) {
				t.Errorf("Erase of a closed list: %v", err)
			}
		})
	}
}

func journalSize(t *testing.T, dir string) int64 {
	t.Helper()
	fi, err := os.Stat(filepath.Join(dir, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// By itself a list erases what ended before EraseAfter: rules that were revoked or
// whose time is over, what was learned and excepted for a time or undone, and events
// that never had an effect. What ended later stays.
func TestErase_ByTime(t *testing.T) {
	t.Parallel()
	c := newClock()
	dir := t.TempDir()
	opts := &blocklist.Options{Now: c.now, EraseAfter: 100 * time.Second, CompactAfter: -1}
	l := open(t, dir, opts)
	at := func(sec int64) time.Time { return time.Unix(1_750_000_000+sec, 0).UTC() }
	id := uint64(0)
	add := func(e blocklist.Event) {
		t.Helper()
		id++
		e.ID = newID(id)
		if e.Rule != nil {
			e.Rule.Scope, e.Rule.Effect, e.Rule.Keys.Bytes = blocklist.ScopeBytes, blocklist.EffectBlock, [][32]byte{{byte(id)}}
		} else if e.Type == blocklist.EventDerived || e.Type == blocklist.EventException {
			e.Keys.Bytes = [][32]byte{{byte(id)}}
		}
		mustAppend(t, l, e)
	}
	rule := func(end int64) blocklist.Event {
		r := &blocklist.Rule{}
		if end > 0 {
			r.End = at(end)
		}
		return blocklist.Event{Type: blocklist.EventAdded, Rule: r}
	}
	add(rule(0))                                                                                          // 1 stays
	add(rule(50))                                                                                         // 2 ends at 50
	add(rule(0))                                                                                          // 3 is revoked at 0
	add(blocklist.Event{Type: blocklist.EventDerived, Target: 1, Until: at(20)})                          // 4
	add(blocklist.Event{Type: blocklist.EventDerived, Target: 2})                                         // 5 with 2
	add(blocklist.Event{Type: blocklist.EventException, Until: at(30)})                                   // 6
	add(blocklist.Event{Type: blocklist.EventException, Target: 1})                                       // 7 undone
	add(blocklist.Event{Type: blocklist.EventDerived, Target: 99})                                        // 8 of nothing
	add(blocklist.Event{Type: blocklist.EventDerived, Target: 4})                                         // 9 of no rule
	add(blocklist.Event{Type: blocklist.EventRevoked, Target: 3})                                         // 10
	add(blocklist.Event{Type: blocklist.EventReverted, Target: 7})                                        // 11
	add(blocklist.Event{Type: blocklist.EventException, Target: 1})                                       // 12 stays
	add(blocklist.Event{Type: blocklist.EventRevoked, Target: 12})                                        // 13 of no rule: nothing
	add(blocklist.Event{Type: blocklist.EventReverted, Target: 1})                                        // 14 of a rule: nothing
	add(blocklist.Event{Type: blocklist.EventDerived, Target: 3})                                         // 15 of a rule that had ended
	add(blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Start: at(500), End: at(600)}}) // 16 to come

	erased := func() (out []uint64) {
		t.Helper()
		if err := l.Events(1, func(e blocklist.Event) bool {
			if e.IsErased() {
				out = append(out, e.Seq)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, tt := range []struct {
		at   int64
		want []uint64
	}{
		{0, nil}, {99, nil},
		{101, []uint64{3, 7, 8, 9, 15}},
		{121, []uint64{3, 4, 7, 8, 9, 15}},
		{131, []uint64{3, 4, 6, 7, 8, 9, 15}},
		{151, []uint64{2, 3, 4, 5, 6, 7, 8, 9, 15}},
		{599, []uint64{2, 3, 4, 5, 6, 7, 8, 9, 15}},
		{701, []uint64{2, 3, 4, 5, 6, 7, 8, 9, 15, 16}},
	} {
		c.sec.Store(at(tt.at).Unix())
		had := len(erased())
		n, err := l.Erase(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got := erased()
		if diff := cmp.Diff(tt.want, got); diff != "" || n != len(got)-had {
			t.Errorf("at %d: %d erased (-want +got):\n%s", tt.at, n, diff)
		}
		for _, seq := range []uint64{1, 2} {
			_, _, ok := l.State().Rule(seq)
			if want := !slices.Contains(got, seq); ok != want {
				t.Errorf("at %d: rule %d is there: %t", tt.at, seq, ok)
			}
		}
		if err := l.Verify(context.Background()); err != nil {
			t.Errorf("at %d: %v", tt.at, err)
		}
	}
	l.Close()
	// A rule that the clock ended, by name and at once; and for ever kept otherwise.
	opts.EraseAfter = -1
	l = open(t, dir, opts)
	add(rule(800)) // 17
	add(rule(800)) // 18
	c.sec.Store(at(801).Unix())
	if n, err := l.Erase(context.Background()); n != 0 || err != nil {
		t.Errorf("Erase of nothing = %d, %v", n, err)
	}
	if n, err := l.Erase(context.Background(), 17); n != 1 || err != nil {
		t.Errorf("Erase of an expired rule = %d, %v", n, err)
	}
	_, _, there := l.State().Rule(17)
	if _, state, ok := l.State().Rule(18); there || !ok || state != blocklist.RuleExpired {
		t.Errorf("rule 17 is there: %t; 18: %t, %v", there, ok, state)
	}
}

// A list that is open erases by itself.
func TestErase_InTheBackground(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClock()
	l := open(t, dir, blocklist.WithForget(blocklist.Options{Now: c.now, EraseAfter: time.Second}, 5*time.Millisecond))
	k, s := marked(t, l, 1)
	rule := mustAppend(t, l, blocklist.Event{ID: newID(1), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Keys: k}})[0]
	mustAppend(t, l, blocklist.Event{ID: newID(2), Type: blocklist.EventRevoked, Target: rule})
	c.sec.Add(5)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := s.found(everything(t, dir, nil, nil, l.ID()))
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("there still is %v; status %+v", left, l.Info())
		}
	}
	if err := l.Info().Failing[blocklist.OpErase]; err != nil {
		t.Error(err)
	}
}

// Readers and writers go on beside Erase.
func TestErase_Concurrent(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), blocklist.WithoutSync(blocklist.Options{CompactAfter: -1}))
	var work sync.WaitGroup
	work.Go(func() {
		for i := range uint64(300) {
			rule := mustAppend(t, l, addedRule(t, l, 2*i+1, fmt.Sprintf("https://example.com/%d", i)))[0]
			if i%2 == 0 {
				mustAppend(t, l, blocklist.Event{ID: newID(2*i + 2), Type: blocklist.EventRevoked, Target: rule})
			}
		}
	})
	done := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := l.Events(1, func(blocklist.Event) bool { return true }); err != nil {
				t.Errorf("Events beside Erase: %v", err)
				return
			}
		}
	})
	ended := func() (rules []uint64) {
		l.Events(1, func(e blocklist.Event) bool {
			if e.Type == blocklist.EventRevoked {
				rules = append(rules, e.Target)
			}
			return true
		})
		return rules
	}
	for range 8 {
		if _, err := l.Erase(context.Background(), ended()...); err != nil {
			t.Error(err)
		}
	}
	work.Wait()
	if _, err := l.Erase(context.Background(), ended()...); err != nil {
		t.Error(err)
	}
	close(done)
	readers.Wait()
	if err := l.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	for i := range 300 {
		if n := len(blocked(t, l.State(), fmt.Sprintf("https://example.com/%d", i))); n != i%2 {
			t.Errorf("address %d is blocked %d times", i, n)
		}
	}
	erased := 0
	l.Events(1, func(e blocklist.Event) bool {
		if e.IsErased() {
			erased++
		}
		return true
	})
	if erased != 150 {
		t.Errorf("%d events are erased, want 150", erased)
	}
}

// Every single operation of Erase fails, or the machine crashes there. The list
// opens with all that is in force, and another Erase ends what the first one began:
// nothing is left then in any file. With -short it takes every third operation.
func TestErase_CrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	ctx := context.Background()
	prepare := func(name string, fs *journalFS) (l *blocklist.List, dir string, opts *blocklist.Options, s secrets) {
		dir = filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		opts = blocklist.WithFS(blocklist.Options{CompactAfter: -1, EraseAfter: -1}, fs)
		l = open(t, dir, opts)
		k, s := marked(t, l, 1)
		mustAppend(t, l, blocklist.Event{ID: newID(1), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Keys: k}}, addedRule(t, l, 2, "https://example.com/stays"))
		if err := l.Compact(ctx); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, blocklist.Event{ID: newID(3), Type: blocklist.EventRevoked, Target: 1})
		if n := len(s.found(contentsOn(t, fs, dir))); n != len(s) {
			t.Fatalf("%d of %d secrets are found before", n, len(s))
		}
		return l, dir, opts, s
	}
	quiet := &journalFS{FS: &crashfs.FS{}}
	l, _, _, _ := prepare("undisturbed", quiet)
	before := quiet.Ops()
	if n, err := l.Erase(ctx, 1); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	total := quiet.Ops() - before
	t.Logf("%d operations", total)
	if total < 15 {
		t.Fatalf("only %d operations were counted", total)
	}
	stride := 1
	if testing.Short() {
		stride = 3
	}
	for n := 1; n <= total; n += stride {
		for i, mode := range []crashfs.Mode{crashfs.Fail, crashfs.FailOn, crashfs.Crash, crashfs.CrashWithin, crashfs.CrashWithin} {
			name := fmt.Sprintf("%d %d %v", n, i, mode)
			fs := &journalFS{FS: &crashfs.FS{}, late: i == 4}
			l, dir, opts, s := prepare(name, fs)
			at := l.State().Position()
			fs.Arm(n, mode)
			_, failed := l.Erase(ctx, 1)
			if failed == nil && mode != crashfs.Fail && mode != crashfs.CrashWithin {
				t.Fatalf("%s: Erase says that all is well", name)
			}
			if len(blocked(t, l.State(), "https://example.com/stays")) != 1 {
				t.Fatalf("%s: the list that runs on has lost a rule", name)
			}
			if mode == crashfs.Fail {
				// It runs on, and can do it again.
				if _, err := l.Append(ctx, blocklist.Event{ID: newID(4), Type: blocklist.EventRevoked, Target: 77}); err != nil {
					t.Fatalf("%s: Append after %v: %v", name, failed, err)
				}
				at = l.State().Position()
				if _, err := l.Erase(ctx, 1); err != nil {
					t.Fatalf("%s: Erase again after %v: %v", name, failed, err)
				}
			}
			l.Close()
			if mode != crashfs.Fail {
				if failed != nil && fs.pending != nil && n%2 == 0 {
					fs.pending() // a rename that was not synced is not on the disk
				}
				fs = &journalFS{FS: fs.AfterCrash(rand.New(rand.NewPCG(uint64(n), 3)))}
				opts = blocklist.WithFS(*opts, fs)
			}
			l, err := boltjournal.Open(dir, opts)
			if err != nil {
				t.Fatalf("%s: Open after %v: %v", name, failed, err)
			}
			if l.State().Position() != at || len(blocked(t, l.State(), "https://example.com/stays")) != 1 || len(blocked(t, l.State(), "https://example.com/1")) != 0 {
				t.Fatalf("%s: the list is at %v, want %v, or blocks something else", name, l.State().Position(), at)
			}
			if _, err := l.Erase(ctx, 1); err != nil {
				t.Fatalf("%s: Erase after %v: %v", name, failed, err)
			}
			if err := l.Verify(ctx); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if left := s.found(contentsOn(t, fs, dir)); len(left) > 0 {
				t.Fatalf("%s: after %v there is %v", name, failed, left)
			}
			if err := l.Close(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// contentsOn returns the content of all files of a list: of the journal, which is on
// the disk, and of the others, also of those that have no name any more.
func contentsOn(t *testing.T, fs *journalFS, dir string) [][]byte {
	t.Helper()
	contents := everything(t, dir, nil, nil, [16]byte{})
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		contents = append(contents, fs.Bytes(filepath.Join(dir, name)))
	}
	return append(contents, fs.Nameless()...)
}
