package blocklist_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
)

// The same from what came since the base, from a base, and from both.
func TestView_Transitions(t *testing.T) {
	t.Parallel()
	at := func(min int) time.Time { return time.Unix(1_000_000_000, 0).Add(time.Duration(min) * time.Minute) }
	l, err := boltjournal.Open(t.TempDir(), &blocklist.Options{Now: func() time.Time { return at(0) }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	next := byte(0)
	add := func(e blocklist.Event) uint64 {
		t.Helper()
		next++
		e.ID[0] = next
		seqs, err := l.Append(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		return seqs[0]
	}
	file := func(b byte) blocklist.Keys { return blocklist.Keys{Bytes: [][32]byte{{b}}} }
	rule := func(start, end time.Time) uint64 {
		return add(blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock, Start: start, End: end, Keys: file(1),
		}})
	}
	rule(time.Time{}, time.Time{})                                                               // 1
	rule(at(1), at(5))                                                                           // 2
	rule(at(2), time.Time{})                                                                     // 3
	add(blocklist.Event{Type: blocklist.EventDerived, Target: 2, Keys: file(2), Until: at(3)})   // 4
	add(blocklist.Event{Type: blocklist.EventDerived, Target: 2, Keys: file(3), Until: at(9)})   // 5: ends with its rule
	add(blocklist.Event{Type: blocklist.EventException, Target: 1, Keys: file(4), Until: at(4)}) // 6
	revoked := rule(at(1), at(2))                                                                // 7
	add(blocklist.Event{Type: blocklist.EventRevoked, Target: revoked})                          // 8

	check := func(what string, want []string) {
		t.Helper()
		var got []string
		l.State().Transitions(at(0), at(5), func(x blocklist.Transition) bool {
			got = append(got, fmt.Sprintf("minute %v: type %d, rule %d, event %d", x.Time.Sub(at(0)).Minutes(), x.Type, x.Rule, x.Event))
			return true
		})
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want := []string{
		"minute 1: type 1, rule 2, event 2",
		"minute 2: type 1, rule 3, event 3",
		"minute 3: type 3, rule 2, event 4",
		"minute 4: type 4, rule 1, event 6",
		"minute 5: type 2, rule 2, event 2",
	}
	check("since the base", want)
	if err := l.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("from the base", want)
	rule(at(4), time.Time{}) // 9
	check("from both", slices.Insert(slices.Clone(want), 3, "minute 4: type 1, rule 9, event 9"))
	l.State().Transitions(at(5), at(100), func(x blocklist.Transition) bool {
		t.Errorf("after the last one: %+v", x)
		return true
	})
	n := 0
	l.State().Transitions(at(0), at(5), func(blocklist.Transition) bool { n++; return false })
	if n != 1 {
		t.Errorf("%d transitions after the first was enough", n)
	}
}
