package takedown_test

import (
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
)

// The order in which callers keep decisions: no answer is no permission, and does
// not hide a block.
func TestStronger(t *testing.T) {
	t.Parallel()
	order := []takedown.Decision{
		{Verdict: takedown.Allow}, {Verdict: takedown.Restricted, Why: takedown.TierURL, Rule: 1}, {Verdict: takedown.Review, Why: takedown.TierURL, Rule: 1},
		{Verdict: takedown.Unknown}, {Verdict: takedown.Block, Why: takedown.TierHash, Distance: 9, Rule: 1},
		{Verdict: takedown.Block, Why: takedown.TierHash, Distance: 3, Rule: 2}, {Verdict: takedown.Block, Why: takedown.TierHash, Distance: 3, Rule: 1},
		{Verdict: takedown.Block, Why: takedown.TierURL, Rule: 9},
	}
	for i, a := range order {
		for k, b := range order {
			if got := a.Stronger(b); got != (i > k) {
				t.Errorf("%v is stronger than %v: %t", a, b, got)
			}
		}
	}
}

// The rules of an import have no kind, and no line of a log has a number for it.
func TestDecision_StringWithoutKind(t *testing.T) {
	t.Parallel()
	d := takedown.Decision{Verdict: takedown.Block, Why: takedown.TierURL, Rule: 3}
	if s := d.String(); strings.Contains(s, "Kind") || !strings.Contains(s, ", scope ") {
		t.Error(s)
	}
}
