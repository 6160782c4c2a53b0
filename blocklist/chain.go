package blocklist

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Position is the sequence number of a list, together with its history. Lists with
// the same Position have the same events.
type Position struct {
	// Epoch counts how often Rekey made the list anew with other digests. Digests
	// of different epochs cannot be compared.
	Epoch uint32
	// Seq is the number of the last event.
	Seq uint64
	// Digest is the running digest of all events up to Seq: docs/format/record.md.
	Digest [32]byte
}

// String returns epoch, number and the first digits of the digest.
func (p Position) String() string {
	return fmt.Sprintf("%d/%d/%s", p.Epoch, p.Seq, hex.EncodeToString(p.Digest[:4]))
}

// genesis is the digest of a list without events.
func genesis(id *identity) [32]byte {
	b := append([]byte("staydown list 1\n"), id.ID[:]...)
	b = le.AppendUint32(b, id.List)
	return sha256.Sum256(le.AppendUint32(b, id.Epoch))
}

// link is the digest of a list with one more event, whose header and whose digest
// of salt and payload are given.
func link(before [32]byte, header []byte, body [32]byte) (d [32]byte) {
	h := sha256.New()
	h.Write(before[:])
	h.Write(header)
	h.Write(body[:])
	h.Sum(d[:0])
	return d
}

// linkRecord is link for the parts of a record.
func linkRecord(before [32]byte, form byte, header, body []byte) [32]byte {
	if form == recordErased {
		return link(before, header, [32]byte(body))
	}
	return link(before, header, sha256.Sum256(body))
}

// Digest returns the running digest of a list after e, when before is the one
// before it. The event must have been read from a list.
func (e *Event) Digest(before [32]byte) [32]byte {
	header := appendHeader(nil, e)
	if e.IsErased() {
		return link(before, header, e.Erased)
	}
	return link(before, header, sha256.Sum256(appendPayload(slices.Clone(e.Salt[:]), e)))
}

// maxHistory is of how many events a list remembers the digests, to tell a
// successor of what it was from a fork. Nodes that are further behind can only
// compare numbers.
const maxHistory = 1 << 16

// history holds the beginnings of the running digests of the last events, the
// last one at its end. Like all of a fold it only grows, or is replaced.
type history []uint64

func historyTag(digest [32]byte) uint64 { return le.Uint64(digest[:8]) }

func (h history) append(digest [32]byte) history {
	if len(h) >= 2*maxHistory {
		// The old slice belongs to States.
		h = slices.Clone(h[len(h)-maxHistory+1:])
	}
	return append(h, historyTag(digest))
}

// recent returns the part that is written.
func (h history) recent() history { return h[max(0, len(h)-maxHistory):] }

// passed reports whether a list at seq, with this history, was at p. known is
// false if it does not remember that far.
func (h history) passed(seq uint64, p Position) (ok, known bool) {
	if back := seq - p.Seq; p.Seq > 0 && p.Seq <= seq && back < uint64(len(h)) {
		return h[uint64(len(h))-1-back] == historyTag(p.Digest), true
	}
	return true, false
}

// succeeds returns an error unless a list at now, with this history, can be what a
// list at p has become. It wraps ErrRollback or ErrFork.
func succeeds(now Position, past history, p Position) error {
	ok, known := past.passed(now.Seq, p)
	switch {
	case now.Epoch < p.Epoch:
		return fmt.Errorf("blocklist: the file is of epoch %d, in use is %d: %w", now.Epoch, p.Epoch, ErrRollback)
	case now.Seq < p.Seq:
		return fmt.Errorf("blocklist: the file has sequence %d, in use is %d: %w", now.Seq, p.Seq, ErrRollback)
	case now.Epoch > p.Epoch:
		return nil
	case now.Seq == p.Seq && now.Digest != p.Digest, known && !ok:
		return fmt.Errorf("blocklist: the file, at sequence %d, has other events up to %d than the list in use: %w", now.Seq, p.Seq, ErrFork)
	}
	return nil
}
