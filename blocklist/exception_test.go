package blocklist_test

import (
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// An exception covers the picture that somebody looked at, and not the copies of the
// registered picture beside it: 4 of 256 bits, and 1 of 64.
func TestException_Radius(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), &blocklist.Options{CompactAfter: -1})
	var pdq [32]byte
	for i := range pdq {
		pdq[i] = 0x5a
	}
	const perception = 0x0f1e2d3c4b5a6978
	rule := mustAppend(t, l, blocklist.Event{ID: newID(1), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
		Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock,
		Keys: blocklist.Keys{Hashes: []blocklist.HashKey{{Hash: phash.FromPDQ(pdq)}, {Hash: phash.FromPerception(perception)}}}}})[0]
	mustAppend(t, l, blocklist.Event{ID: newID(2), Type: blocklist.EventException, Target: rule,
		Keys: blocklist.Keys{Hashes: []blocklist.HashKey{{Hash: phash.FromPDQ(pdq)}, {Hash: phash.FromPerception(perception)}}}})
	for bits := range 8 {
		far := pdq
		for i := range bits {
			far[i] ^= 1
		}
		long, short := phash.FromPDQ(far), phash.FromPerception(perception^(1<<bits-1))
		if got := l.State().HasException(blocklist.Hit{Rule: rule}, nil, []phash.Hash{long}); got != (bits <= 4) {
			t.Errorf("%d of 256 bits away: excepted: %t", bits, got)
		}
		if got := l.State().HasException(blocklist.Hit{Rule: rule}, nil, []phash.Hash{short}); got != (bits <= 1) {
			t.Errorf("%d of 64 bits away: excepted: %t", bits, got)
		}
	}
}
