package desk

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// A machine that has just started may have a clock that is years off. What such a
// clock ends must not be destroyed. So the desk remembers the last time that it
// trusts, and looks at the steps of its clock: one of more than maxStep is not
// trusted before it has held for a day.

const (
	// maxStep is how long a desk may rest without doubt of the clock.
	maxStep = 45 * 24 * time.Hour
	// confirmStep is how long a clock that made a larger step has to go on.
	confirmStep = 24 * time.Hour
	// behindBy is how far a clock may be behind the last time without notice.
	behindBy = 24 * time.Hour
	// storeStep is how often the trusted time is stored.
	storeStep = time.Hour
)

// ClockState is what a desk thinks of its clock.
type ClockState struct {
	// Now is the time by the clock, and Trusted the last time that is certain. What
	// ended after Trusted is not destroyed.
	Now, Trusted time.Time
	// Jumped is when the clock was seen far ahead for the first time, or zero. It is
	// trusted a day after that, by itself.
	Jumped time.Time
	// Behind is how far the clock is behind Trusted, if that is more than a day; 0
	// otherwise.
	Behind time.Duration
}

// clockWatch is safe for concurrent use.
type clockWatch struct {
	mu              sync.Mutex
	trusted, jumped time.Time
	stored          [2]time.Time
}

var keyClock = []byte("clock") // the trusted time, and when the clock jumped: 8 bytes each

// look takes a time of the clock, and returns the time up to which the clock is
// certain.
func (w *clockWatch) look(now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.trusted.IsZero():
		w.trusted = now
	case now.Before(w.trusted):
		w.jumped = time.Time{}
		return now
	case now.Sub(w.trusted) <= maxStep:
		w.trusted, w.jumped = now, time.Time{}
	case w.jumped.IsZero(), now.Before(w.jumped), now.Sub(w.jumped) > maxStep:
		w.jumped = now
	case now.Sub(w.jumped) >= confirmStep:
		w.trusted, w.jumped = now, time.Time{}
	}
	return w.trusted
}

// trust believes the clock.
func (w *clockWatch) trust(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trusted, w.jumped, w.stored = now, time.Time{}, [2]time.Time{}
}

func (w *clockWatch) state(now time.Time) ClockState {
	w.look(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := ClockState{Now: now, Trusted: w.trusted, Jumped: w.jumped}
	if behind := w.trusted.Sub(now); behind > behindBy {
		s.Behind = behind
	}
	return s
}

// load reads what is stored.
func (w *clockWatch) load(tx StoreTx) error {
	b, err := tx.Get(BucketMeta, keyClock)
	if err != nil || b == nil {
		return err
	}
	if len(b) != 16 {
		return fmt.Errorf("%w: %q has %d bytes", ErrStore, keyClock, len(b))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, t := range []*time.Time{&w.trusted, &w.jumped} {
		if n := binary.BigEndian.Uint64(b[8*i:]); n != 0 {
			*t = time.Unix(int64(n), 0).UTC()
		}
	}
	w.stored = [2]time.Time{w.trusted, w.jumped}
	return nil
}

// store writes it if it has changed.
func (w *clockWatch) store(tx StoreTx) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stored[1].Equal(w.jumped) && w.trusted.Sub(w.stored[0]).Abs() < storeStep {
		return nil
	}
	var b []byte
	for _, t := range []time.Time{w.trusted, w.jumped} {
		var n uint64
		if !t.IsZero() {
			n = uint64(t.Unix())
		}
		b = binary.BigEndian.AppendUint64(b, n)
	}
	if err := tx.Put(BucketMeta, keyClock, b); err != nil {
		return err
	}
	w.stored = [2]time.Time{w.trusted, w.jumped}
	return nil
}

// settled returns the time up to which the clock is certain. What is destroyed
// because its time is over has ended before it. It is in whole seconds, as clock.
func (d *Desk) settled() time.Time { return d.watching.look(d.clock()) }

// checkClock notes the time at which the desk is opened.
func (d *Desk) checkClock() error {
	if err := d.store.db.View(d.watching.load); err != nil {
		return err
	}
	d.settled()
	return nil
}

// latest returns the time of the last thing that happened to a case.
func (c *Case) latest() time.Time {
	last := c.Received
	if n := len(c.Moves); n > 0 && c.Moves[n-1].Time.After(last) {
		last = c.Moves[n-1].Time
	}
	return last
}

// clockFor is the time at which something happens to a case: not before what
// happened to it already, also if the clock was set back.
func (d *Desk) clockFor(c *caseRecord) time.Time {
	now := d.clock()
	if last := c.latest(); last.After(now) {
		return last
	}
	return now
}
