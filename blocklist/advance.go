package blocklist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/features"
)

// PositionAt returns the Position at which the list had the event with a number,
// and 0 for the empty list. The list must be open for writing. The error wraps
// ErrRollback if the list has not reached that number.
func (l *List) PositionAt(seq uint64) (Position, error) {
	j, err := l.journal()
	if err != nil {
		return Position{}, err
	}
	if last := l.State().seq; seq > last {
		return Position{}, fmt.Errorf("blocklist: the list is at %d, and not at or after %d: %w", last, seq, ErrRollback)
	}
	digest, err := j.digestAt(seq)
	return Position{j.id.Epoch, seq, digest}, err
}

// Delta returns the changes after event from, up to event to, for Advance. It is
// signed with Options.SigningKey, which it requires, and encrypted if the list is.
// It has no keys of rules that were revoked meanwhile, and faces are sealed in it
// without their keys: rules with faces need a snapshot. A delta of many changes ends early; end is the
// number of its last event.
//
// The list must be open for writing. The error wraps ErrRollback if the list has
// not reached that event.
func (l *List) Delta(ctx context.Context, from, to uint64) (delta []byte, end uint64, err error) {
	j, err := l.journal()
	if err != nil {
		return nil, 0, err
	}
	if l.signingKey == nil {
		return nil, 0, fmt.Errorf("blocklist: a delta is signed, and Options has no SigningKey: %w", ErrKey)
	}
	v := l.State()
	if from > to || to > v.seq {
		return nil, 0, fmt.Errorf("blocklist: the list is at %d and has no changes from %d to %d: %w", v.seq, from, to, ErrRollback)
	}
	before, err := j.digestAt(from)
	if err != nil {
		return nil, 0, err
	}
	w := deltaWriter{view: v, lean: v.Counts().Features > features.LeanFrom, now: l.now(), endedBefore: l.endedBefore(), head: deltaHeader{
		list: j.id.ID, tenant: j.id.List, from: Position{j.id.Epoch, from, before},
	}}
	w.head.to = w.head.from
	if from < to {
		err = j.readLinked(from, before, func(e *committed) bool {
			w.add(e)
			return e.Seq < to && w.size() < deltaTarget && ctx.Err() == nil
		})
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, 0, err
	}
	delta, err = w.finish(l.signingKey, l.open.EncryptionKey)
	return delta, w.head.to.Seq, err
}

// DeltaInfo describes a delta.
type DeltaInfo struct {
	List     [16]byte // ID of the list
	From, To Position // of the list before and after
	Written  time.Time
}

// ReadDelta checks the form of a delta and its signature, by one of
// LoadOptions.TrustedKeys, and describes it.
func ReadDelta(delta []byte, opts *LoadOptions) (DeltaInfo, error) {
	if opts == nil {
		opts = &LoadOptions{}
	}
	h, _, err := openDelta(delta, opts.TrustedKeys)
	return DeltaInfo{h.list, h.from, h.to, timeOf(h.written)}, err
}

// Advance applies deltas to a loaded list, in order. The State changes once, after
// all of them were verified: signatures (LoadOptions.TrustedKeys), encryption, and
// the running digests by which each continues the one before it. A delta may begin
// before the current event; its earlier changes are skipped. changed is false if
// the list has all of the changes already.
//
// The error wraps ErrGap if a delta begins after the current event, and ErrFork if
// it continues another history. After an error the list is unchanged.
func (l *List) Advance(deltas ...[]byte) (changed bool, err error) {
	return l.advance(OpAdvance, "", Position{}, deltas)
}

// ReloadFrom loads a snapshot from another path into a loaded list, with the
// deltas after it, as Reload and Advance do. The State changes once. The snapshot
// alone may be older than the list; with the deltas it must be a successor.
//
// end, unless zero, is where the list must stand then. The error wraps ErrPosition
// if the files end elsewhere.
func (l *List) ReloadFrom(path string, end Position, deltas ...[]byte) (changed bool, err error) {
	return l.advance(OpReload, path, end, deltas)
}

// advance goes on from a snapshot, or from the current state with an empty path.
func (l *List) advance(op Op, path string, end Position, deltas [][]byte) (changed bool, err error) {
	if l.writer != nil {
		return false, fmt.Errorf("blocklist: the list was opened for writing: %w", errors.ErrUnsupported)
	}
	l.reload.Lock()
	defer l.reload.Unlock()
	if l.closed.Load() {
		return false, fmt.Errorf("blocklist: %w", ErrClosed)
	}
	start, before := time.Now(), l.State()
	changed, err = l.advanceNow(path, end, deltas)
	if changed || err != nil {
		l.report(start, Observation{Op: op, Count: int(l.State().seq - before.seq), Err: err})
	} else {
		l.setFailing(op, nil)
	}
	return changed, err
}

func (l *List) advanceNow(path string, end Position, deltas [][]byte) (changed bool, err error) {
	l.forgetFaces()
	now := l.State()
	f := l.fold
	if f == nil {
		f = l.newFold(now.base)
	}
	if path != "" {
		b, err := readSnapshotAt(l.fs, path, &l.open)
		if err != nil {
			return false, err
		}
		if err := sameList(&b.header, &now.base.header); err != nil {
			return false, err
		}
		f = l.newFold(b)
	}
	steps, at, past, err := l.readSteps(f, deltas)
	if err == nil {
		err = succeeds(at, past, now.Position())
	}
	if err == nil && end != (Position{}) && at != end {
		err = fmt.Errorf("blocklist: the files end at %v, and not at %v: %w", at, end, ErrPosition)
	}
	if err != nil {
		return false, err
	}
	if path == "" && len(steps) == 0 {
		return false, nil
	}
	// Nothing fails from here on: f may be the fold in use.
	for i := range steps {
		f.apply(&steps[i])
	}
	f.ended = nil
	f.mergeDue()
	if path != "" {
		l.path = path
		l.infoMu.Lock()
		l.info.Opened = l.now()
		l.infoMu.Unlock()
	}
	l.fold = f
	l.view.Store(f.view())
	return true, nil
}

// sameList returns an error unless two snapshots are of one list.
func sameList(h, now *header) error {
	if h.ID != now.ID || h.List != now.List {
		return fmt.Errorf("blocklist: the file is of another list: %w", ErrRollback)
	}
	if h.Epoch == now.Epoch && h.Secret != now.Secret {
		return fmt.Errorf("blocklist: the file has other keys for digests: %w", ErrFork)
	}
	return nil
}

// readSteps returns the events in deltas that follow the state of a fold, and where
// the list stands after them.
func (l *List) readSteps(f *fold, deltas [][]byte) (steps []committed, at Position, past history, err error) {
	at, past = f.position(), slices.Clip(f.history)
	fail := func(err error) ([]committed, Position, history, error) { return nil, Position{}, nil, err }
	list := f.base.header.identity
	for _, d := range deltas {
		h, body, err := openDelta(d, l.open.TrustedKeys)
		if err != nil {
			return fail(err)
		}
		if h.list != list.ID || h.tenant != list.List {
			return fail(fmt.Errorf("blocklist: the delta is of another list: %w", ErrRollback))
		}
		switch {
		case h.from.Epoch < at.Epoch:
			return fail(fmt.Errorf("blocklist: the delta is of epoch %d, in use is %d: %w", h.from.Epoch, at.Epoch, ErrRollback))
		case h.from.Epoch > at.Epoch || h.from.Seq > at.Seq:
			return fail(fmt.Errorf("blocklist: the delta begins at %v, in use is %v: %w", h.from, at, ErrGap))
		case h.to.Seq <= at.Seq:
			if ok, _ := past.passed(at.Seq, h.to); !ok {
				return fail(fmt.Errorf("blocklist: the delta has other events up to %d than the list in use: %w", h.to.Seq, ErrFork))
			}
			continue
		}
		some, err := h.changes(body, l.open.EncryptionKey)
		if err != nil {
			return fail(err)
		}
		known := at.Seq - h.from.Seq
		same := at.Digest == h.from.Digest
		if known > 0 {
			same = historyTag(some[known-1].digest) == historyTag(at.Digest)
		}
		if !same {
			return fail(fmt.Errorf("blocklist: the delta has other events up to %d than the list in use: %w", at.Seq, ErrFork))
		}
		steps, at = append(steps, some[known:]...), h.to
		for _, e := range some[known:] {
			past = past.append(e.digest)
		}
	}
	return steps, at, past, nil
}

// position returns where the list of a fold stands.
func (f *fold) position() Position { return Position{f.base.header.Epoch, f.seq, f.digest} }

// mergeDue merges runs of hashes of about one size.
func (f *fold) mergeDue() {
	for a := range f.hashes {
		d := &f.hashes[a]
		for due := d.due(); due != nil; due = d.due() {
			d.replace(due, merge(due))
		}
	}
}
