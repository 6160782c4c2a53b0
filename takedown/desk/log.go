package desk

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/staydown/staydown/takedown"
)

// ErrLog is returned when the log does not verify: an entry was changed, removed
// or inserted.
var ErrLog = errors.New("takedown: the log does not verify")

// What stands in the log where a state would, of what moves no case. Others are
// beside what they are about.
const (
	legalHold      State = "legal_hold"
	legalHoldEnded State = "legal_hold_ended"
	factDerived    State = "derived"
	factException  State = "exception"
	factReverted   State = "reverted"
)

// LogEntry is one step of one case. It has only codes and numbers, no text of a
// person, so it can be kept after an erasure of personal data.
type LogEntry struct {
	Seq  uint64          `json:"seq"`
	Time time.Time       `json:"time"`
	Case takedown.CaseID `json:"case"`
	From State           `json:"from,omitempty"` // empty for the receipt
	To   State           `json:"to"`             // or what happened, such as "erased" or "items_ended"
	Actor
	// Policy is the version of the operator's policy: Options.Policy.
	Policy string `json:"policy,omitempty"`
	Rules  int    `json:"rules"` // that were in force before
	// Hash is SHA-256 of the hash before it, 32 zero bytes for the first, and
	// the JSON of the entry without this field.
	Hash [32]byte `json:"-"`
}

// appendLog adds the entries of a case to the chain, within a transaction.
func appendLog(tx StoreTx, policy string, entries []LogEntry) error {
	seq, prev, err := logHead(tx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		seq++
		e.Seq, e.Policy = seq, policy
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("takedown: log: %w", err)
		}
		prev = chain(prev, b)
		if err := tx.Put(BucketLog, binary.BigEndian.AppendUint64(nil, seq), append(prev[:], b...)); err != nil {
			return err
		}
	}
	return tx.Put(BucketMeta, keyLogHead, append(binary.BigEndian.AppendUint64(nil, seq), prev[:]...))
}

func chain(prev [32]byte, entry []byte) [32]byte {
	return sha256.Sum256(append(prev[:], entry...))
}

func logHead(tx StoreTx) (seq uint64, hash [32]byte, err error) {
	b, err := tx.Get(BucketMeta, keyLogHead)
	if err != nil || b == nil {
		return 0, hash, err
	}
	if len(b) != 40 {
		return 0, hash, fmt.Errorf("%w: its head has %d bytes", ErrLog, len(b))
	}
	return binary.BigEndian.Uint64(b), [32]byte(b[8:]), nil
}

// Log returns the entries of the log from number from on, in order. It verifies
// the chain from the first entry on, and ends with an error that wraps [ErrLog]
// where the chain breaks. The loop must not call methods of the desk that change
// cases.
func (d *Desk) Log(ctx context.Context, from uint64) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		stopped := false
		if err := d.eachEntry(ctx, from, func(e LogEntry) bool {
			stopped = !yield(e, nil)
			return !stopped
		}); err != nil && !stopped {
			yield(LogEntry{}, err)
		}
	}
}

// eachEntry is Log for the desk itself.
func (d *Desk) eachEntry(ctx context.Context, from uint64, yield func(LogEntry) bool) error {
	return d.store.db.View(func(tx StoreTx) error {
		last, want, err := logHead(tx)
		if err != nil {
			return err
		}
		var prev [32]byte
		var seq uint64
		stopped := errors.New("")
		err = tx.Scan(BucketLog, nil, nil, func(k, v []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			seq++
			if len(k) != 8 || binary.BigEndian.Uint64(k) != seq || len(v) < 32 || chain(prev, v[32:]) != [32]byte(v[:32]) {
				return fmt.Errorf("%w: at entry %d", ErrLog, seq)
			}
			prev = [32]byte(v[:32])
			var e LogEntry
			if err := json.Unmarshal(v[32:], &e); err != nil || e.Seq != seq {
				return fmt.Errorf("%w: entry %d is not in order", ErrLog, seq)
			}
			e.Hash = prev
			if seq >= from && !yield(e) {
				return stopped
			}
			return nil
		})
		if err == stopped {
			return nil
		}
		if err == nil && (seq != last || prev != want) {
			return fmt.Errorf("%w: it ends at entry %d of %d", ErrLog, seq, last)
		}
		return err
	})
}

// VerifyLog verifies the whole log and returns its last number and hash. An
// operator who keeps them elsewhere can prove later that no earlier entry was
// changed.
func (d *Desk) VerifyLog(ctx context.Context) (seq uint64, hash [32]byte, err error) {
	err = d.eachEntry(ctx, 1, func(e LogEntry) bool {
		seq, hash = e.Seq, e.Hash
		return true
	})
	return seq, hash, err
}
