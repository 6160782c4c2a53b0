package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/staydown/staydown/blocklist"
)

// take brings the list to where a verified pointer is, with the delta of a note
// if that is enough. The list stays as it is after an error.
func (f *Feed) take(ctx context.Context, p *pointer, text, delta []byte) error {
	if err := f.accepts(p); err != nil {
		return err
	}
	if f.pointer != nil && f.list != nil && p.position() == f.list.State().Position() &&
		(p.Written < f.pointer.Written || string(text) == f.own.state.Pointer) {
		return nil // the same pointer, or a copy of it that is a little older
	}
	f.mu.Lock()
	f.info.Published = p.position()
	f.mu.Unlock()
	received := f.o.Now()
	err := f.update(ctx, p, delta)
	if err != nil {
		return err
	}
	f.pointer = p
	f.setCurrent(p, received)
	f.mu.Lock()
	f.info.Refused = nil
	f.mu.Unlock()
	f.own.state.Pointer, f.own.state.Received = string(text), received.Unix()
	err = f.own.append()
	if err == nil {
		err = f.own.write()
	}
	if err == nil {
		err = f.shorten(ctx, p)
	}
	if err != nil {
		err = fmt.Errorf("feed: own copy: %w", err)
	}
	f.setOwnCopy(err)
	return nil
}

// accepts returns an error unless a pointer can be the successor of what is in
// use, or of what was when the own copy was written.
func (f *Feed) accepts(p *pointer) error {
	if f.o.List != ([16]byte{}) && p.id() != f.o.List {
		return fmt.Errorf("feed: the source has another list than was asked for: %w", blocklist.ErrRollback)
	}
	if f.pointer == nil {
		return nil
	}
	if p.id() != f.pointer.id() {
		return fmt.Errorf("feed: the source has another list: %w", blocklist.ErrRollback)
	}
	if err := follows(p.position(), f.pointer.position()); err != nil || f.list == nil {
		return err
	}
	// A crash may have left the list ahead of the pointer.
	return follows(p.position(), f.list.State().Position())
}

// follows returns an error unless a list at now can be what one at was became.
func follows(now, was blocklist.Position) error {
	switch {
	case now.Epoch < was.Epoch || now.Epoch == was.Epoch && now.Seq < was.Seq:
		return fmt.Errorf("feed: the source is at %v, and was at %v: %w", now, was, blocklist.ErrRollback)
	case now.Epoch == was.Epoch && now.Seq == was.Seq && now.Digest != was.Digest:
		return fmt.Errorf("feed: the source has other events up to %d than before: %w", now.Seq, blocklist.ErrFork)
	}
	return nil
}

// update brings the list to a pointer.
func (f *Feed) update(ctx context.Context, p *pointer, delta []byte) error {
	if f.list == nil {
		return f.takeBase(ctx, p)
	}
	now := f.list.State().Position()
	if !f.needsBase(p) {
		if now == p.position() {
			return nil
		}
		if delta != nil && f.takeNote(p, delta) {
			return nil
		}
		chain, size, ok := p.chain(now.Seq)
		_, after, _ := p.chain(p.Base.Seq)
		if ok && p.Epoch == now.Epoch && (size <= p.Base.Size+after || p.Base.Seq < now.Seq) {
			return f.takeChain(ctx, p, chain)
		}
	}
	return f.takeBase(ctx, p)
}

// needsBase reports whether the base of the list must not be used any longer, and
// the pointer has a newer one.
func (f *Feed) needsBase(p *pointer) bool {
	b := &f.own.state.Base
	if p.Base.SHA256 == b.SHA256 || p.Base.Seq < b.Seq {
		return false
	}
	age := f.o.Now().Sub(time.Unix(b.At, 0))
	_, _, covered := p.chain(b.Seq)
	return b.At < p.Least || age > f.baseLife || age < -maxSkew || f.own.deltas >= longLog && !covered
}

// takeNote applies the delta of a note, if it brings the list to the pointer.
func (f *Feed) takeNote(p *pointer, delta []byte) bool {
	info, err := blocklist.ReadDelta(delta, &f.load)
	if err != nil || info.List != p.id() || info.To != p.position() || info.From.Seq > f.list.State().Seq() {
		return false
	}
	return f.advance(delta) == nil
}

// advance applies deltas, and keeps them for the own copy.
func (f *Feed) advance(deltas ...[]byte) error {
	if _, err := f.list.Advance(deltas...); err != nil {
		return err
	}
	n := uint64(0)
	for _, d := range deltas {
		n += uint64(len(d))
	}
	f.mu.Lock()
	f.info.Deltas += uint64(len(deltas))
	f.info.Bytes += n
	f.mu.Unlock()
	f.setOwnCopy(f.own.append(deltas...))
	return nil
}

// takeChain loads and applies deltas, some at a time: each leaves the list in a
// state that the publisher had.
func (f *Feed) takeChain(ctx context.Context, p *pointer, chain []link) error {
	for len(chain) > 0 {
		some, rest, err := f.fetchChain(ctx, chain, maxBatch)
		if err == nil && len(rest) == 0 {
			err = f.endsAt(p, some)
		}
		if err == nil {
			err = f.advance(some...)
		}
		if err != nil {
			return err
		}
		chain = rest
	}
	return nil
}

// endsAt returns an error unless the last delta ends at a pointer. It is called
// before the list changes, which cannot go back.
func (f *Feed) endsAt(p *pointer, deltas [][]byte) error {
	info, err := blocklist.ReadDelta(deltas[len(deltas)-1], &f.load)
	if err == nil && info.To != p.position() {
		err = fmt.Errorf("feed: the deltas end at %v, the pointer at %v: %w", info.To, p.position(), blocklist.ErrPosition)
	}
	return err
}

// fetchChain loads the first deltas of a chain, one at least, up to a size.
func (f *Feed) fetchChain(ctx context.Context, chain []link, most int64) (some [][]byte, rest []link, err error) {
	size := int64(0)
	for len(chain) > 0 && (len(some) == 0 || size+chain[0].Size <= most) {
		d, err := fetchSmall(ctx, f.source, chain[0].name(), chain[0].file, f.o.Timeout)
		if err != nil {
			return nil, nil, err
		}
		some, size, chain = append(some, d), size+chain[0].Size, chain[1:]
	}
	return some, chain, nil
}

// takeBase loads a snapshot and the deltas after it.
func (f *Feed) takeBase(ctx context.Context, p *pointer) error {
	if p.Base.Size > f.o.MaxSize {
		return fmt.Errorf("feed: the base has %d bytes, at most %d are accepted: %w", p.Base.Size, f.o.MaxSize, blocklist.ErrLimit)
	}
	chain, _, ok := p.chain(p.Base.Seq)
	if !ok {
		return fmt.Errorf("feed: the deltas begin after the base: %w", ErrPointer)
	}
	path := f.own.path(baseName(&p.Base))
	n, err := fetchFile(ctx, f.source, f.o.fs, baseName(&p.Base), &p.Base, path, f.o.Timeout)
	f.mu.Lock()
	f.info.Bytes += uint64(n)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	// Those before what is in use have to be applied together with the base.
	some, rest, err := f.fetchChain(ctx, chain, 4*maxBatch)
	if err != nil {
		return err
	}
	end := p.position()
	if len(rest) > 0 {
		end = blocklist.Position{} // takeChain compares it
	}
	if err := f.show(p, path, end, some); err != nil {
		return err
	}
	f.newBaseLife(p)
	f.mu.Lock()
	f.info.Bases++
	f.info.Deltas += uint64(len(some))
	f.mu.Unlock()
	if err := f.own.replace(p.Base, some); err != nil {
		f.setOwnCopy(err)
	}
	return f.takeChain(ctx, p, rest)
}

// show makes the list that of a base and deltas after it, if they are of the list of
// a pointer and end at a position; the zero one is anywhere.
func (f *Feed) show(p *pointer, path string, end blocklist.Position, deltas [][]byte) error {
	if f.list != nil {
		_, err := f.list.ReloadFrom(path, end, deltas...)
		return err
	}
	list, err := blocklist.Load(path, &f.load)
	if err != nil {
		return err
	}
	_, err = list.Advance(deltas...)
	switch at := list.State(); {
	case err != nil:
	case at.ID() != p.id():
		err = fmt.Errorf("feed: the base is of another list than the pointer: %w", ErrMismatch)
	case end != (blocklist.Position{}) && at.Position() != end:
		err = fmt.Errorf("feed: the files end at %v, the pointer at %v: %w", at.Position(), end, blocklist.ErrPosition)
	}
	if err != nil {
		return errors.Join(err, list.Close())
	}
	f.list = list
	return nil
}

// shorten replaces a log of many deltas by one of the publisher's, which has
// merged them. The list does not change.
func (f *Feed) shorten(ctx context.Context, p *pointer) error {
	if f.own.deltas < longLog || f.list.State().Position() != p.position() {
		return nil
	}
	chain, size, ok := p.chain(f.own.state.Base.Seq)
	if !ok || size > maxBatch || len(chain) >= longLog/2 {
		return nil
	}
	deltas, _, err := f.fetchChain(ctx, chain, maxBatch)
	if err != nil {
		return nil // the next update tries it again
	}
	at := f.own.state.Base.Seq
	for _, d := range deltas {
		info, err := blocklist.ReadDelta(d, &f.load)
		if err != nil || info.List != p.id() || info.From.Seq > at {
			return nil
		}
		if at = info.To.Seq; at == p.Seq && info.To != p.position() {
			return nil
		}
	}
	if at != p.Seq {
		return nil
	}
	return f.own.replace(f.own.state.Base, deltas)
}
