package counts_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/staydown/staydown/internal/counts"
)

func TestPictures(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 8: 8, 26: 33, 60: 170} {
		if got := counts.Pictures[n]; got != want {
			t.Errorf("%d bits are %d pictures, want %d", n, got, want)
		}
	}
}

// The count agrees with a plain one: what is counted was hit, on the day on
// which it was, for any rules, pictures and days.
func TestCounter_Model(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type key struct {
			day  int64
			rule uint64
		}
		var c counts.Counter
		want := map[key]map[uint64]bool{}
		day := int64(20000)
		for range rapid.IntRange(0, 200).Draw(t, "hits") {
			if rapid.IntRange(0, 50).Draw(t, "a day passes") == 0 {
				day += int64(rapid.IntRange(1, 3).Draw(t, "days"))
			}
			k := key{day, uint64(rapid.IntRange(1, 20).Draw(t, "rule"))}
			picture := rapid.Uint64().Draw(t, "picture")
			c.Add(time.Unix(day*86400+int64(rapid.IntRange(0, 86399).Draw(t, "second")), 0), k.rule, picture)
			if want[k] == nil {
				want[k] = map[uint64]bool{}
			}
			want[k][picture>>58] = true
		}
		var days []int64
		for k := range want {
			if !slices.Contains(days, k.day) {
				days = append(days, k.day)
			}
		}
		slices.Sort(days)
		for k := range want {
			if !slices.Contains(days[max(0, len(days)-2):], k.day) {
				delete(want, k)
			}
		}
		got := map[key]map[uint64]bool{}
		x := c.Counts([16]byte{1})
		if len(x.Days) > 2 {
			t.Fatalf("%d days are kept", len(x.Days))
		}
		for _, d := range x.Days {
			for _, r := range d.Rows {
				set := map[uint64]bool{}
				for i := range 64 {
					if r.Bits>>i&1 == 1 {
						set[uint64(i)] = true
					}
				}
				got[key{d.Day, r.Rule}] = set
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// However many rules are hit: memory is bounded, and the match counts says that it is
// full.
func TestCounter_Full(t *testing.T) {
	t.Parallel()
	var c counts.Counter
	for rule := range uint64(100_000) {
		c.Add(time.Unix(20000*86400, 0), rule+1, rule)
	}
	d := c.Counts([16]byte{1}).Days[0]
	if n := len(d.Rows); n > 1<<16 || n < 1<<15 || !d.Full {
		t.Errorf("%d rules, full %v", n, d.Full)
	}
}
