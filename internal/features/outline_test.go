package features

import "testing"

// A match that rests on outlines is not held for a person; one with texture in more than
// one direction, more points, or a hash to bear out is.
func TestBand_Outlines(t *testing.T) {
	t.Parallel()
	disc := Match{Inliers: 31, Places: 27, Coverage: 0.9, Found: 0.2, Agreement: 0.7, Close: 0.5, Pure: 0.3, Agreeing: 140, Rich: 20, Hole: 0.3, Against: 0.3}
	for name, tc := range map[string]struct {
		change func(m *Match)
		want   Band
	}{
		"disc":         {func(*Match) {}, None},
		"texture":      {func(m *Match) { m.Rich = 70 }, Review},
		"points":       {func(m *Match) { m.Found = 0.5 }, Review},
		"bears out":    {func(m *Match) { m.Agreement, m.Pure, m.Hole = 0.95, 0.9, 0.01 }, Review},
		"small corner": {func(m *Match) { m.Rich, m.Coverage = 70, 0.08 }, None},
	} {
		m := disc
		tc.change(&m)
		if got := band(&m); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
