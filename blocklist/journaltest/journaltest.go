// Package journaltest tests implementations of blocklist.Journal.
package journaltest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/staydown/staydown/blocklist"
)

// Run tests a Journal. start is called for each subtest, and returns a function
// that opens the same journal whenever it is called, empty at first. lasts says that
// it can be opened again after Close.
func Run(t *testing.T, lasts bool, start func(t *testing.T) (open func() (blocklist.Journal, error))) {
	for name, test := range map[string]func(*testing.T, *journal){
		"empty":   testEmpty,
		"append":  testAppend,
		"refuses": testRefuses,
		"read":    testRead,
		"rewrite": testRewrite,
		"fails":   testRewriteFails,
		"at once": testAtOnce,
		"closed":  testClosed,
		"list":    testList,
	} {
		t.Run(name, func(t *testing.T) {
			j := &journal{t: t, lasts: lasts, open: start(t)}
			fresh, err := j.open()
			ok(t, err)
			j.Journal = fresh
			test(t, j)
			j.Close()
		})
	}
}

// journal is the one under test.
type journal struct {
	blocklist.Journal
	t     *testing.T
	lasts bool
	open  func() (blocklist.Journal, error)
}

// again closes it and opens it again, if it can be.
func (j *journal) again() bool {
	j.t.Helper()
	if !j.lasts {
		return false
	}
	ok(j.t, j.Journal.Close())
	fresh, err := j.open()
	ok(j.t, err)
	j.Journal = fresh
	return true
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// entry makes an entry; each third one has a target.
func entry(seq uint64, size int) blocklist.Entry {
	e := blocklist.Entry{Seq: seq, Digest: sha256.Sum256(fmt.Append(nil, seq))}
	copy(e.ID[:], e.Digest[8:])
	if seq%3 == 0 {
		e.Target = seq/6 + 1
	}
	e.Data = bytes.Repeat([]byte{byte(seq), byte(seq >> 8), 0}, size/3+1)[:size]
	return e
}

func entries(from, to uint64, size int) (out []blocklist.Entry) {
	for seq := from; seq <= to; seq++ {
		out = append(out, entry(seq, size))
	}
	return out
}

func same(a, b blocklist.Entry) bool {
	return a.Seq == b.Seq && a.ID == b.ID && a.Target == b.Target && a.Digest == b.Digest && bytes.Equal(a.Data, b.Data)
}

// check compares the journal with all entries that it should have.
func (j *journal) check(want []blocklist.Entry) {
	j.t.Helper()
	last, err := j.Last()
	ok(j.t, err)
	if last != uint64(len(want)) {
		j.t.Fatalf("Last is %d, want %d", last, len(want))
	}
	var got []blocklist.Entry
	for {
		some, err := j.Read(uint64(len(got)+1), 7)
		ok(j.t, err)
		if len(some) > 7 {
			j.t.Fatalf("Read gives %d entries, want at most 7", len(some))
		}
		if len(some) == 0 {
			break
		}
		got = append(got, some...)
	}
	if !slices.EqualFunc(want, got, same) {
		j.t.Fatalf("Read gives other entries than were appended: %d, want %d", len(got), len(want))
	}
	ids, targets := [][16]byte{{0xff}}, map[uint64][]uint64{}
	for _, e := range want {
		ids = append(ids, e.ID)
		if e.Target != 0 {
			targets[e.Target] = append(targets[e.Target], e.Seq)
		}
	}
	seqs, err := j.Find(ids...)
	ok(j.t, err)
	for i, seq := range seqs {
		if seq != uint64(i) {
			j.t.Fatalf("Find gives %d for the id of entry %d", seq, i)
		}
	}
	for target := range uint64(len(want)/6 + 3) {
		got, err := j.Targeting(target)
		ok(j.t, err)
		if !slices.Equal(got, targets[target]) {
			j.t.Fatalf("Targeting(%d) gives %v, want %v", target, got, targets[target])
		}
	}
}

func testEmpty(t *testing.T, j *journal) {
	for range 2 {
		meta, err := j.Meta()
		ok(t, err)
		if meta != nil {
			t.Fatalf("a new journal has meta data %x", meta)
		}
		j.check(nil)
		if !j.again() {
			break
		}
	}
	for _, want := range [][]byte{[]byte("what the list knows"), bytes.Repeat([]byte{7}, 1000), {1}} {
		ok(t, j.SetMeta(want))
		got, err := j.Meta()
		ok(t, err)
		if !bytes.Equal(got, want) {
			t.Fatalf("Meta is %x, want %x", got, want)
		}
		if len(got) > 0 {
			got[0]++
		}
	}
	if j.again() {
		got, err := j.Meta()
		ok(t, err)
		if !bytes.Equal(got, []byte{1}) {
			t.Fatalf("Meta is %x when the journal is opened again", got)
		}
	}
}

func testAppend(t *testing.T, j *journal) {
	var want []blocklist.Entry
	for _, n := range []uint64{1, 2, 40, 1, 300} {
		some := entries(uint64(len(want)+1), uint64(len(want))+n, 50)
		want = append(want, entries(uint64(len(want)+1), uint64(len(want))+n, 50)...)
		ok(t, j.Append(some))
		for i := range some {
			clear(some[i].Data) // it belongs to the caller again
		}
	}
	j.check(want)
	if j.again() {
		j.check(want)
		ok(t, j.Append(entries(345, 345, 1)))
		j.check(append(want, entry(345, 1)))
	}
}

func testRefuses(t *testing.T, j *journal) {
	ok(t, j.Append(entries(1, 5, 10)))
	for name, some := range map[string][]blocklist.Entry{
		"a gap":            entries(7, 8, 10),
		"a number again":   entries(5, 6, 10),
		"a gap behind one": {entry(6, 10), entry(8, 10)},
		"zero":             {entry(0, 10)},
	} {
		if err := j.Append(some); !errors.Is(err, blocklist.ErrJournal) {
			t.Errorf("Append of %s: %v, want ErrJournal", name, err)
		}
		j.check(entries(1, 5, 10))
	}
	ok(t, j.Append(entries(6, 6, 10)))
	j.check(entries(1, 6, 10))
}

func testRead(t *testing.T, j *journal) {
	const size = 1 << 20
	want := entries(1, 20, size)
	for i := range want {
		ok(t, j.Append(want[i:i+1]))
	}
	total := 0
	for from := uint64(1); from <= 20; {
		some, err := j.Read(from, 1000)
		ok(t, err)
		if len(some) == 0 {
			t.Fatalf("Read from %d gives nothing", from)
		}
		total = max(total, len(some))
		for _, e := range some {
			if !same(e, want[from-1]) {
				t.Fatalf("entry %d is another one", from)
			}
			clear(e.Data) // it belongs to the caller
			from++
		}
	}
	j.check(want)
	some, err := j.Read(0, 1)
	ok(t, err)
	if len(some) != 1 || some[0].Seq != 1 {
		t.Errorf("Read from 0 gives %d entries, want the first", len(some))
	}
}

// half replaces the data of every second entry.
func half(e blocklist.Entry) ([]byte, error) {
	if e.Seq%2 == 0 {
		return nil, nil
	}
	return fmt.Appendf(nil, "gone %d", e.Seq), nil
}

func halved(all []blocklist.Entry) []blocklist.Entry {
	all = slices.Clone(all)
	for i := range all {
		if data, _ := half(all[i]); data != nil {
			all[i].Data = data
		}
	}
	return all
}

func testRewrite(t *testing.T, j *journal) {
	ok(t, j.SetMeta([]byte("stays")))
	all := entries(1, 2500, 300)
	ok(t, j.Append(all))
	next := uint64(1)
	ok(t, j.Rewrite(t.Context(), func(e blocklist.Entry) ([]byte, error) {
		if !same(e, all[e.Seq-1]) || e.Seq != next {
			return nil, fmt.Errorf("entry %d, in the place of %d, is another one", e.Seq, next)
		}
		next++
		return half(e)
	}))
	want := halved(all)
	j.check(want)
	more := entries(2501, 2600, 30)
	ok(t, j.Append(more))
	want = append(want, more...)
	j.check(want)
	// Nothing to do.
	ok(t, j.Rewrite(t.Context(), func(blocklist.Entry) ([]byte, error) { return nil, nil }))
	j.check(want)
	if j.again() {
		j.check(want)
		ok(t, j.Rewrite(t.Context(), half))
		want = halved(want)
		j.check(want)
	}
	if meta, err := j.Meta(); err != nil || string(meta) != "stays" {
		t.Errorf("Meta is %q, %v", meta, err)
	}
}

func testRewriteFails(t *testing.T, j *journal) {
	all := entries(1, 500, 100)
	ok(t, j.Append(all))
	boom := errors.New("boom")
	if err := j.Rewrite(t.Context(), func(e blocklist.Entry) ([]byte, error) {
		if e.Seq == 400 {
			return nil, boom
		}
		return []byte("gone"), nil
	}); !errors.Is(err, boom) {
		t.Errorf("Rewrite that fails: %v", err)
	}
	j.check(all)
	ctx, cancel := context.WithCancel(t.Context())
	if err := j.Rewrite(ctx, func(e blocklist.Entry) ([]byte, error) {
		if e.Seq == 300 {
			cancel()
		}
		return []byte("gone"), nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("Rewrite with a context that ends: %v", err)
	}
	j.check(all)
	if j.again() {
		j.check(all)
	}
	ok(t, j.Append(entries(501, 510, 10)))
	j.check(append(all, entries(501, 510, 10)...))
}

// testAtOnce appends and reads while the journal is rewritten.
func testAtOnce(t *testing.T, j *journal) {
	all := entries(1, 1000, 200)
	ok(t, j.Append(all))
	var work sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		work.Go(func() {
			for from := uint64(1); ; from = from%900 + 1 {
				select {
				case <-done:
					return
				default:
				}
				some, err := j.Read(from, 50)
				if err != nil || len(some) == 0 || some[0].Seq != from {
					t.Errorf("Read beside Rewrite: %d entries, %v", len(some), err)
					return
				}
				if seqs, err := j.Find(some[0].ID); err != nil || seqs[0] != from {
					t.Errorf("Find beside Rewrite: %v, %v", seqs, err)
					return
				}
			}
		})
	}
	var appended sync.WaitGroup
	appended.Go(func() {
		for seq := uint64(1001); seq <= 1100; seq++ {
			if err := j.Append(entries(seq, seq, 20)); err != nil {
				t.Errorf("Append beside Rewrite: %v", err)
				return
			}
		}
	})
	for range 3 {
		ok(t, j.Rewrite(t.Context(), func(e blocklist.Entry) ([]byte, error) {
			if e.Seq > 1000 {
				return nil, nil
			}
			return half(e)
		}))
	}
	appended.Wait()
	close(done)
	work.Wait()
	want := append(halved(all), entries(1001, 1100, 20)...)
	j.check(want)
	if j.again() {
		j.check(want)
	}
}

func testClosed(t *testing.T, j *journal) {
	ok(t, j.Append(entries(1, 3, 5)))
	for range 2 {
		ok(t, j.Close())
	}
	for name, call := range map[string]func() error{
		"Meta":      func() error { _, err := j.Meta(); return err },
		"SetMeta":   func() error { return j.SetMeta([]byte("x")) },
		"Last":      func() error { _, err := j.Last(); return err },
		"Append":    func() error { return j.Append(entries(4, 4, 5)) },
		"Read":      func() error { _, err := j.Read(1, 1); return err },
		"Find":      func() error { _, err := j.Find([16]byte{1}); return err },
		"Targeting": func() error { _, err := j.Targeting(1); return err },
		"Rewrite":   func() error { return j.Rewrite(t.Context(), half) },
	} {
		if err := call(); !errors.Is(err, blocklist.ErrClosed) {
			t.Errorf("%s of a closed journal: %v, want ErrClosed", name, err)
		}
	}
}

// testList drives a list on the journal, and opens it again.
func testList(t *testing.T, j *journal) {
	dir := t.TempDir()
	var opts blocklist.Options
	opts.CompactAfter, opts.EncryptionKey = -1, &blocklist.EncryptionKey{5}
	l, err := blocklist.New(j.Journal, dir, &opts)
	ok(t, err)
	file := func(n byte) blocklist.Keys { return blocklist.Keys{Bytes: [][32]byte{{n}}} }
	for i := range byte(20) {
		e := blocklist.Event{ID: [16]byte{1, i}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock, Keys: file(i)}}
		if i%4 == 3 {
			e.Type, e.Rule, e.Target = blocklist.EventRevoked, nil, uint64(i)
		}
		if _, err := l.Append(t.Context(), e, e); err != nil {
			t.Fatal(err)
		}
		if i%8 == 7 {
			ok(t, l.Compact(t.Context()))
		}
	}
	check := func() {
		t.Helper()
		for i := range byte(20) {
			n := 0
			l.State().FindBytes([32]byte{i}, func(blocklist.Hit) bool { n++; return true })
			if want := i%4 < 2; (n == 1) != want {
				t.Errorf("file %d is found %d times", i, n)
			}
		}
		ok(t, l.Verify(t.Context()))
	}
	check()
	at := l.State().Position()
	ok(t, l.Close())
	if !j.lasts {
		return
	}
	fresh, err := j.open()
	ok(t, err)
	l, err = blocklist.New(fresh, dir, &opts)
	ok(t, err)
	if got := l.State().Position(); got != at {
		t.Errorf("the list is at %v when it is opened again, and was at %v", got, at)
	}
	check()
	ok(t, l.Close())
}
