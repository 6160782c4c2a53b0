package blocklist_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	mustAppend(t, l, addedRule(t, l, 1))
	first := l.State().Position()
	mustAppend(t, l, addedRule(t, l, 2))
	got := make(chan uint64, 100)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() {
		ended <- l.Follow(ctx, first, func(e blocklist.Event, at blocklist.Position) bool {
			if want := e.Digest(first.Digest); at.Seq != e.Seq || at.Digest != want {
				t.Errorf("event %d is at %v", e.Seq, at)
			}
			first = at
			got <- e.Seq
			return true
		})
	}()
	go func() {
		ended <- l.Follow(context.Background(), blocklist.Position{}, func(e blocklist.Event, _ blocklist.Position) bool { return e.Seq < 20 })
	}()
	for i := range 30 {
		mustAppend(t, l, addedRule(t, l, uint64(10+i)))
	}
	for want := uint64(2); want <= 32; want++ {
		if seq := <-got; seq != want {
			t.Fatalf("event %d, want %d", seq, want)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("Follow that was told to stop: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow with a context that ended: %v", err)
	}
	last := l.State().Position()
	all := func(blocklist.Event, blocklist.Position) bool { return true }
	for name, tt := range map[string]struct {
		change func(*blocklist.Position)
		want   error
	}{
		"ahead":         {func(p *blocklist.Position) { p.Seq++ }, blocklist.ErrRollback},
		"another epoch": {func(p *blocklist.Position) { p.Epoch++ }, blocklist.ErrRollback},
		"other events":  {func(p *blocklist.Position) { p.Digest[31] ^= 1 }, blocklist.ErrFork},
	} {
		p := last
		tt.change(&p)
		if err := l.Follow(context.Background(), p, all); !errors.Is(err, tt.want) {
			t.Errorf("Follow from %s: %v, want %v", name, err, tt.want)
		}
	}
	go func() { ended <- l.Follow(context.Background(), last, all) }()
	time.Sleep(10 * time.Millisecond)
	l.Close()
	if err := <-ended; !errors.Is(err, blocklist.ErrClosed) {
		t.Errorf("Follow of a list that was closed: %v", err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	file := func(n byte) blocklist.Keys { return blocklist.Keys{Bytes: [][32]byte{{n}}} }
	id := uint64(0)
	do := func(typ blocklist.EventType, target uint64, keys blocklist.Keys) {
		id++
		e := blocklist.Event{ID: newID(id), Type: typ, Target: target, Keys: keys}
		if typ == blocklist.EventAdded {
			e.Keys, e.Rule = blocklist.Keys{}, &blocklist.Rule{Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock, Keys: keys}
		}
		mustAppend(t, l, e)
	}
	var none blocklist.Keys
	do(blocklist.EventAdded, 0, file(1))     // 1
	do(blocklist.EventAdded, 0, file(2))     // 2
	do(blocklist.EventDerived, 1, file(3))   // 3
	do(blocklist.EventDerived, 1, file(4))   // 4
	do(blocklist.EventException, 2, file(5)) // 5
	do(blocklist.EventReverted, 3, none)     // 6
	do(blocklist.EventReverted, 5, none)     // 7
	do(blocklist.EventRevoked, 1, none)      // 8
	do(blocklist.EventReverted, 2, none)     // 9, of a rule: nothing
	do(blocklist.EventRevoked, 77, none)     // 10, of nothing

	history := func(rule uint64) (out []uint64) {
		t.Helper()
		if err := l.History(rule, func(e blocklist.Event) bool { out = append(out, e.Seq); return true }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if diff := cmp.Diff([][]uint64{nil, {1, 3, 4, 6, 8}, {2, 5, 7, 9}, nil, nil}, [][]uint64{history(0), history(1), history(2), history(3), history(99)}); diff != "" {
		t.Errorf("histories of 0, 1, 2, 3, 99 (-want +got):\n%s", diff)
	}
}
