package blocklist_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
)

// A folder that was restored from a backup goes on with other events. Nodes that
// have what it lost refuse it, whatever its number is; the list that went on is
// taken.
func TestReload_Fork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := uint64(0)
	add := func(l *blocklist.List, n int) {
		t.Helper()
		for range n {
			id++
			mustAppend(t, l, addedRule(t, l, id, "https://example.com/a"))
		}
	}
	real, restored, path := filepath.Join(dir, "real"), filepath.Join(dir, "restored"), filepath.Join(dir, "p")
	l := open(t, real, nil)
	add(l, 5)
	l.Close()
	if err := os.CopyFS(restored, os.DirFS(real)); err != nil {
		t.Fatal(err)
	}
	l = open(t, real, nil)
	add(l, 5)
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	node, err := blocklist.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := node.State().Position()
	if at != l.State().Position() || at.Seq != 10 {
		t.Fatalf("the node is at %v, the list at %v", at, l.State().Position())
	}
	fork := open(t, restored, nil)
	for _, tt := range []struct {
		more int
		want error
	}{{0, blocklist.ErrRollback}, {3, blocklist.ErrRollback}, {2, blocklist.ErrFork}, {1, blocklist.ErrFork}, {9, blocklist.ErrFork}} {
		add(fork, tt.more)
		for range 2 { // also from a snapshot that stands on another one
			if err := fork.Publish(path); err != nil {
				t.Fatal(err)
			}
			if changed, err := node.Reload(); changed || !errors.Is(err, tt.want) {
				t.Errorf("Reload of a fork at %v: %t, %v, want %v", fork.State().Position(), changed, err, tt.want)
			}
			if _, err := blocklist.Load(path, &blocklist.LoadOptions{After: at}); !errors.Is(err, tt.want) {
				t.Errorf("Load of a fork at %v: %v, want %v", fork.State().Position(), err, tt.want)
			}
			if err := fork.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if node.State().Position() != at {
			t.Fatal("the node has moved")
		}
		if err := fork.Follow(context.Background(), at, func(blocklist.Event, blocklist.Position) bool { return true }); !errors.Is(err, tt.want) {
			t.Errorf("Follow of a fork: %v, want %v", err, tt.want)
		}
	}
	add(l, 20)
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	add(l, 3)
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	if _, err := blocklist.Load(path, &blocklist.LoadOptions{After: at}); err != nil {
		t.Errorf("Load of what it became: %v", err)
	}
	if changed, err := node.Reload(); !changed || err != nil || node.State().Position() != l.State().Position() {
		t.Errorf("Reload of what it became: %t, %v", changed, err)
	}
	// Made anew, it is a successor, and what it was before is not.
	if err := l.Publish(filepath.Join(dir, "before")); err != nil {
		t.Fatal(err)
	}
	l.Close()
	readdress := func(blocklist.Event, func(blocklist.AddressKind, string) (blocklist.Digest, error)) ([]blocklist.Address, error) {
		return []blocklist.Address{{Kind: blocklist.ImageAddress}}, nil
	}
	if err := boltjournal.Rekey(context.Background(), real, nil, nil, readdress); err != nil {
		t.Fatal(err)
	}
	l = open(t, real, nil)
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	if changed, err := node.Reload(); !changed || err != nil || node.State().Position().Epoch != 1 {
		t.Errorf("Reload after Rekey: %t, %v", changed, err)
	}
	if err := os.Rename(filepath.Join(dir, "before"), path); err != nil {
		t.Fatal(err)
	}
	if changed, err := node.Reload(); changed || !errors.Is(err, blocklist.ErrRollback) {
		t.Errorf("Reload of what was before Rekey: %t, %v", changed, err)
	}
}

// A list remembers the digests of 65,536 events. Who is further behind is told
// from a fork by its number only.
func TestSucceeds(t *testing.T) {
	t.Parallel()
	const events = 3 * 65536
	digest := func(seq uint64) (d [32]byte) {
		d[0], d[1], d[2], d[31] = byte(seq), byte(seq>>8), byte(seq>>16), 1
		return d
	}
	h := blocklist.NewHistory(events, digest)
	now := blocklist.Position{Seq: events, Digest: digest(events)}
	if n := h.Len(); n != 65536 {
		t.Errorf("%d digests are written", n)
	}
	for _, behind := range []uint64{0, 1, 2, 1000, 65535, 65536, 2 * 65536, events - 1, events} {
		p := blocklist.Position{Seq: events - behind, Digest: digest(events - behind)}
		if err := h.Succeeds(now, p); err != nil {
			t.Errorf("%d behind: %v", behind, err)
		}
		p.Digest[5]++
		err := h.Succeeds(now, p)
		if known := behind < 65536 && behind != events; known != errors.Is(err, blocklist.ErrFork) {
			t.Errorf("%d behind, with another digest: %v", behind, err)
		}
	}
	ahead := now
	ahead.Seq++
	if err := h.Succeeds(now, ahead); !errors.Is(err, blocklist.ErrRollback) {
		t.Errorf("ahead: %v", err)
	}
}

// A snapshot in the folder whose history is not that of the journal is passed over,
// and Verify names it.
func TestFallback_Fork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	l := open(t, a, nil)
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"))
	l.Close()
	if err := os.CopyFS(b, os.DirFS(a)); err != nil {
		t.Fatal(err)
	}
	l = open(t, a, nil)
	mustAppend(t, l, addedRule(t, l, 2, "https://example.com/a"))
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = open(t, b, nil)
	mustAppend(t, l, addedRule(t, l, 3, "https://example.com/b"), addedRule(t, l, 4, "https://example.com/c"))
	l.Close()
	names, err := filepath.Glob(filepath.Join(a, "snapshot-*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b, filepath.Base(names[0])), data, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, b, nil)
	if s := l.Info(); len(s.Fallbacks) != 1 || !errors.Is(s.Fallbacks[0], blocklist.ErrFork) {
		t.Errorf("status %+v", s)
	}
	if len(blocked(t, l.State(), "https://example.com/b")) != 1 || len(blocked(t, l.State(), "https://example.com/a")) != 0 {
		t.Error("the list is that of the snapshot")
	}
	if err := l.Verify(context.Background()); !errors.Is(err, blocklist.ErrFork) || !strings.Contains(err.Error(), "snapshot 2") {
		t.Errorf("Verify: %v", err)
	}
}

// A journal in which one event was replaced by another sound one does not verify,
// and a list that has to read it does not open.
func TestOpen_ReplacedEvent(t *testing.T) {
	t.Parallel()
	j := blocklist.NewMemoryJournal()
	l, err := blocklist.New(unclosed{j}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(5) {
		mustAppend(t, l, addedRule(t, l, i+1, "https://example.com/1"))
	}
	l.Close()
	if err := j.Rewrite(t.Context(), func(e blocklist.Entry) ([]byte, error) {
		if e.Seq != 3 {
			return nil, nil
		}
		x, err := blocklist.ParseRecord(e.Data)
		x.Rule.Kind = 9
		return blocklist.AppendRecord(nil, &x), err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := blocklist.New(unclosed{j}, "", nil); !errors.Is(err, blocklist.ErrJournal) {
		t.Errorf("New: %v, want ErrJournal", err)
	}
}

// unclosed is a journal that outlives its list.
type unclosed struct{ blocklist.Journal }

func (unclosed) Close() error { return nil }

// failing is a journal whose next Append fails: before it has written, or after.
type failing struct {
	blocklist.Journal
	before, after error
}

func (f *failing) Append(entries []blocklist.Entry) error {
	if err := f.before; err != nil {
		f.before = nil
		return err
	}
	err := f.Journal.Append(entries)
	if f.after != nil {
		err = f.after
	}
	return err
}

// A write that fails with nothing written is told, and the next one succeeds. After
// one of which that is not known the list takes no more events.
func TestAppend_JournalFails(t *testing.T) {
	t.Parallel()
	ctx, boom := context.Background(), errors.New("boom")
	f := &failing{Journal: blocklist.NewMemoryJournal()}
	l, err := blocklist.New(unclosed{f}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mustAppend(t, l, addedRule(t, l, 1, "https://example.com/1"))
	f.before = boom
	if _, err := l.Append(ctx, addedRule(t, l, 2, "https://example.com/2")); !errors.Is(err, boom) || !errors.Is(err, blocklist.ErrNotWritten) || errors.Is(err, blocklist.ErrBroken) {
		t.Fatalf("Append: %v, want ErrNotWritten", err)
	}
	if err := l.Info().Failing[blocklist.OpAppend]; !errors.Is(err, boom) {
		t.Errorf("Info says: %v", err)
	}
	if seqs := mustAppend(t, l, addedRule(t, l, 2, "https://example.com/2")); seqs[0] != 2 || len(l.Info().Failing) != 0 {
		t.Errorf("number %d, failing %v", seqs[0], l.Info().Failing)
	}
	if err := l.Verify(ctx); err != nil {
		t.Error(err)
	}
	f.after = boom
	for i := range uint64(2) {
		if _, err := l.Append(ctx, addedRule(t, l, 3+i, "https://example.com/3")); !errors.Is(err, blocklist.ErrBroken) {
			t.Fatalf("Append: %v, want ErrBroken", err)
		}
		f.after = nil
	}
	if len(blocked(t, l.State(), "https://example.com/3")) != 0 {
		t.Error("what may be lost is shown")
	}
	again, err := blocklist.New(unclosed{f}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.State().Seq() != 3 {
		t.Errorf("opened again, the list is at %d", again.State().Seq())
	}
}

// away is a journal that may be out of reach, as a database that restarts, and whose
// transactions a caller may use.
type away struct {
	blocklist.Journal
	err error
}

func (a *away) Last() (uint64, error) {
	last, err := a.Journal.Last()
	return last, errors.Join(err, a.err)
}

func (a *away) Find(ids ...[16]byte) ([]uint64, error) {
	seqs, err := a.Journal.Find(ids...)
	return seqs, errors.Join(err, a.err)
}

// A list whose journal was out of reach goes on when it is back, unless something was
// written that the list does not know.
func TestAppend_JournalAway(t *testing.T) {
	t.Parallel()
	ctx, boom := context.Background(), errors.New("boom")
	j := &away{Journal: blocklist.NewMemoryJournal()}
	l, err := blocklist.New(unclosed{j}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rule := addedRule(t, l, 1, "https://example.com/1")
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, boom) || len(blocked(t, l.State(), "https://example.com/1")) > 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	j.err = boom
	_, err = l.Append(ctx, rule)
	refused("out of reach before the write", err)
	j.err = nil
	// Within the write, so that nobody can be asked what was written.
	_, err = l.AppendWith(ctx, func([]blocklist.Entry) error { j.err = boom; return boom }, rule)
	refused("out of reach in the write", err)
	_, err = l.Append(ctx, rule)
	refused("still out of reach", err)
	j.err = nil
	if seqs := mustAppend(t, l, rule); seqs[0] != 1 || len(l.Info().Failing) > 0 {
		t.Errorf("back again: number %d, failing %v", seqs[0], l.Info().Failing)
	}
	if _, err = l.AppendWith(ctx, func(entries []blocklist.Entry) error {
		return errors.Join(j.Append(entries), boom)
	}, addedRule(t, l, 2, "https://example.com/2")); err != nil || len(blocked(t, l.State(), "https://example.com/2")) == 0 {
		t.Errorf("an error after the commit: %v", err)
	}
	_, err = l.AppendWith(ctx, func(entries []blocklist.Entry) error {
		j.err = boom
		return errors.Join(j.Append(entries), boom)
	}, addedRule(t, l, 3, "https://example.com/3"))
	j.err = nil
	for range 2 {
		if !errors.Is(err, blocklist.ErrBroken) {
			t.Errorf("what was written is not known: %v", err)
		}
		_, err = l.Append(ctx, addedRule(t, l, 4, "https://example.com/4"))
	}
}

// The transaction of a caller gets the entries of its events alone, and decides whether
// they are in the list.
func TestAppendWith(t *testing.T) {
	t.Parallel()
	ctx, boom := context.Background(), errors.New("boom")
	j := blocklist.NewMemoryJournal()
	l, err := blocklist.New(j, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	for i := range uint64(200) {
		url := fmt.Sprintf("https://example.com/%d", i)
		rule := addedRule(t, l, i+1, url)
		wg.Go(func() {
			if i%3 == 0 {
				if _, err := l.Append(ctx, rule); err != nil {
					t.Error(err)
				}
				return
			}
			fails := i%3 == 1
			seqs, err := l.AppendWith(ctx, func(entries []blocklist.Entry) error {
				if len(entries) != 1 || entries[0].ID != rule.ID || entries[0].Seq != l.State().Seq()+1 {
					t.Errorf("%d entries, the first is %d of %x", len(entries), entries[0].Seq, entries[0].ID)
				}
				if fails {
					return boom
				}
				return j.Append(entries)
			}, rule)
			if fails != errors.Is(err, blocklist.ErrNotWritten) || fails != errors.Is(err, boom) {
				t.Errorf("event %d: %v", i, err)
			}
			if there := len(blocked(t, l.State(), url)) > 0; there == fails {
				t.Errorf("event %d is in the list: %v", i, there)
			}
			if fails {
				return
			}
			again, err := l.AppendWith(ctx, func([]blocklist.Entry) error { return errors.New("called for an event that is there") }, rule)
			if err != nil || again[0] != seqs[0] {
				t.Errorf("again: %v, %v", again, err)
			}
		})
	}
	wg.Wait()
	if last, err := j.Last(); err != nil || last != 67+66 || l.Verify(ctx) != nil {
		t.Errorf("the journal ends at %d, %v; %v", last, err, l.Verify(ctx))
	}
}
