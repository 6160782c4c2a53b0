package takedown

import (
	"encoding/binary"
	"slices"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/counts"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
)

// A match weakly is usually a copy that was changed a lot, and sometimes
// another picture. How many different pictures a rule matches so, in a day, is
// what tells the two apart; see docs/decisions/match-budget.md.
//
// The enforcer counts on its queries: without a lock, and without memory but for
// what it takes once a day. For each rule it keeps 64 bits, one of which every
// picture sets by its hash. How many are set tells how many pictures there were,
// as in linear counting (Whang, Vander-Zanden and Taylor 1990); a picture that
// comes again sets none, and the counts of several nodes are their bits, ored.

// maxPending is the number of rules that one picture is counted for.
const maxPending = 8

// pictureKey tells pictures apart: by a PDQ hash, else by another one, else by
// the file.
func pictureKey(file *[32]byte, hashes []phash.Hash) (key uint64, ok bool) {
	var own phash.Hash
	for _, h := range hashes {
		if own.IsZero() || h.Algorithm() == phash.AlgPDQ && own.Algorithm() != phash.AlgPDQ {
			own = h
		}
	}
	w := own.Words()
	if own.IsZero() {
		if *file == ([32]byte{}) {
			return 0, false
		}
		for i := range w {
			w[i] = binary.LittleEndian.Uint64(file[8*i:])
		}
	}
	for _, x := range w {
		key = counts.Mix(key ^ x)
	}
	return key, true
}

// weakMatch is a rule that was matched weakly, and the list that has it.
type weakMatch struct {
	rule uint64
	list int
}

// note notes whether a hit is a weak one, or shows that the picture is one that
// was asked for.
func (w *weighing) note(weak bool, h *blocklist.Hit) {
	m := weakMatch{h.Rule, w.index}
	switch {
	case !weak:
		w.known = true
	case !radius.Budgeted(h.Kind):
	case w.pending < maxPending && !slices.Contains(w.out[:w.pending], m):
		w.out[w.pending] = m
		w.pending++
	}
}

// count counts a picture for the rules that it matched weakly, unless it is known
// to be one that was asked for. It is no method of w: what w points to would
// then escape to the heap with the counter.
func (e *Enforcer) count(w *weighing, file *[32]byte, hashes []phash.Hash) {
	if w.pending == 0 || w.known {
		return
	}
	key, ok := pictureKey(file, hashes)
	if !ok {
		return
	}
	now := e.now()
	for _, m := range w.out[:w.pending] {
		e.sources[m.list].counter.Add(now, m.rule, key)
	}
}

// MatchCounts counts the different pictures that the rules of one list have
// matched weakly, today and yesterday, in one enforcer. A node reports them to the
// desk that owns the list: see desk.Desk.AddMatchCounts. It names rules by their
// public ids, and holds only 64 bits about pictures for each rule. It can be
// stored and sent. The zero value has no list and counts nothing.
type MatchCounts struct{ c counts.Counts }

// MatchCounts returns the counts of the enforcer, one value for each list, in the
// order of the lists. They are cumulative within a day. No report is counted
// twice, and the next report replaces a lost one.
func (e *Enforcer) MatchCounts() []MatchCounts {
	all := make([]MatchCounts, len(e.sources))
	for i := range e.sources {
		s := &e.sources[i]
		all[i] = MatchCounts{s.counter.Counts(s.list.State().ID())}
	}
	return all
}

// MarshalBinary returns at most 2.1 MB for UnmarshalBinary, in this version of the
// library and in later ones: 16 bytes for each rule.
func (t MatchCounts) MarshalBinary() ([]byte, error) { return t.c.MarshalBinary() }

// ErrMatchCounts is returned for bytes that are not match counts, or not of a
// version that this library reads.
var ErrMatchCounts = counts.ErrFormat

// UnmarshalBinary reads the bytes of MarshalBinary. For other bytes the error
// wraps [ErrMatchCounts].
func (t *MatchCounts) UnmarshalBinary(b []byte) error { return t.c.UnmarshalBinary(b) }

// MarshalText returns the binary form in base64.
func (t MatchCounts) MarshalText() ([]byte, error) {
	b, err := t.MarshalBinary()
	return base64Text(b), err
}

// UnmarshalText reads what MarshalText wrote.
func (t *MatchCounts) UnmarshalText(text []byte) error {
	b, err := fromBase64(text, 4<<20)
	if err != nil {
		return err
	}
	return t.UnmarshalBinary(b)
}
