package desk

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"sync"

	"github.com/staydown/staydown/takedown"
)

// bell wakes those who wait for the next write.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that is closed by the next ring.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// followed is how many entries Follow reads at a time.
const followed = 256

// Follow returns the entries of the log after a number, and then each new entry when
// it is stored, until ctx ends or the desk is closed. It is the feed of events for
// other systems, for example for a webhook: entries have codes and numbers, and no
// personal data. A consumer that stores the number of the last entry that it has
// dealt with, and begins after it, misses none.
//
// The chain is verified from the entry before the first one on. The sequence ends with
// an error that wraps [ErrLog] where it breaks, and otherwise with that of ctx or with
// [takedown.ErrClosed]. The loop may call all methods of the desk.
func (d *Desk) Follow(ctx context.Context, after uint64) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		prev := [32]byte{}
		for first := true; ; first = false {
			changed := d.store.bell.wait()
			list, err := d.entriesAfter(ctx, after, &prev, first)
			for _, e := range list {
				if after = e.Seq; !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(LogEntry{}, err)
				return
			}
			if len(list) == followed {
				continue
			}
			select {
			case <-ctx.Done():
				yield(LogEntry{}, ctx.Err())
				return
			case <-changed:
			}
		}
	}
}

// entriesAfter reads the next entries, and verifies that each follows the one before.
// first reads the hash of the entry before.
func (d *Desk) entriesAfter(ctx context.Context, after uint64, prev *[32]byte, first bool) (list []LogEntry, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = d.store.db.View(func(tx StoreTx) error {
		if first && after > 0 {
			v, err := tx.Get(BucketLog, binary.BigEndian.AppendUint64(nil, after))
			if err != nil {
				return err
			}
			if len(v) < 32 {
				return &takedown.ArgumentError{Name: "after", Why: fmt.Sprintf("the log has no entry %d", after)}
			}
			*prev = [32]byte(v[:32])
		}
		err := tx.Scan(BucketLog, nil, binary.BigEndian.AppendUint64(nil, after+1), func(k, v []byte) error {
			want := after + uint64(len(list)) + 1
			if len(k) != 8 || binary.BigEndian.Uint64(k) != want || len(v) < 32 || chain(*prev, v[32:]) != [32]byte(v[:32]) {
				return fmt.Errorf("%w: at entry %d", ErrLog, want)
			}
			*prev = [32]byte(v[:32])
			var e LogEntry
			if err := json.Unmarshal(v[32:], &e); err != nil || e.Seq != want {
				return fmt.Errorf("%w: entry %d is not in order", ErrLog, want)
			}
			e.Hash = *prev
			if list = append(list, e); len(list) == followed {
				return errStop
			}
			return nil
		})
		if err == errStop {
			err = nil
		}
		return err
	})
	return list, err
}
