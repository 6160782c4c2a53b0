package blocklist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// defaultEraseAfter is how long ended rules keep their keys: an index that was
// away for less learns from the journal what it may show again.
const defaultEraseAfter = 30 * 24 * time.Hour

// Erase destroys the keys of ended rules, with their derived keys and exceptions.
// They are removed from the journal, which shrinks, and from the folder of the
// list. They are unreadable also for a process that has one of its files open.
// Each event keeps its header and a digest that reveals nothing:
// docs/format/record.md. Published files, and copies, are out of reach.
//
// Without rules as arguments it erases everything that ended before
// Options.EraseAfter. A list does that by itself within a day, unless CompactAfter
// is negative. With a negative EraseAfter only the given rules are erased.
//
// It returns the number of erased events. If one of the rules has not ended, the
// error is an *EventError, and nothing is erased. Erase rewrites the journal.
// Readers and writers continue meanwhile.
func (l *List) Erase(ctx context.Context, rules ...uint64) (int, error) {
	if l.writer == nil {
		return 0, fmt.Errorf("blocklist: %w", ErrReadOnly)
	}
	v, now := l.State(), l.now().Unix()
	for i, rule := range rules {
		if g, ok := v.grantOf(rule); ok && (v.grantAt(g).attr&attrLearned != 0 || !v.hasEnded(g, now)) {
			return 0, &EventError{Index: i, Field: "rules", Why: fmt.Sprintf("hold %d, which is no rule, or one that has not ended; revoke it first", rule)}
		}
	}
	return l.writer.erase(ctx, rules, false)
}

// erase is Erase of rules that have ended.
func (w *writer) erase(ctx context.Context, rules []uint64, background bool) (n int, err error) {
	w.compacting.Lock()
	defer w.compacting.Unlock()
	if w.ctx.Err() != nil {
		return 0, fmt.Errorf("blocklist: %w", ErrClosed)
	}
	start := time.Now()
	defer func() {
		w.list.report(start, Observation{Op: OpErase, Count: n, Background: background, Err: err})
	}()
	if len(rules) == 0 && w.list.eraseAfter < 0 {
		return 0, nil
	}
	now := w.list.now().Unix()
	ends, err := w.journal.ends(ctx)
	if err != nil {
		return 0, err
	}
	gone, count := ends.before(w.list.endedBefore(), now, rules)
	if count == 0 {
		return 0, nil
	}
	// The snapshots first: if this ends here, the journal says what is left to do.
	if err := w.compactNow(ctx, rules); err != nil {
		return 0, err
	}
	if err := w.removeSnapshots(1); err != nil {
		return 0, err
	}
	return w.journal.erase(ctx, func(seq uint64) bool { return seq < uint64(len(gone)) && gone[seq] })
}

// endedBefore is the time, in seconds since 1970, up to which ended rules are
// forgotten; 0 for never.
func (l *List) endedBefore() int64 {
	if l.eraseAfter < 0 {
		return 0
	}
	return time.Unix(l.settledUnix(), 0).Add(-l.eraseAfter).Unix()
}

// settledUnix is now, or the time up to which the clock is certain.
func (l *List) settledUnix() int64 {
	now := l.now().Unix()
	if l.settled == nil {
		return now
	}
	return min(now, l.settled().Unix())
}

// ends says for each event of a journal, by its number, when it ended.
type ends struct {
	at    []int64  // seconds since 1970; 0 for not at all
	owner []uint64 // the rule that it belongs to; 0 for itself
	whole []bool   // it has a payload to destroy
}

// ends reads the journal. What an event does follows from its header and its end:
// as in fold.apply.
func (j *log) ends(ctx context.Context) (*ends, error) {
	x := &ends{at: []int64{0}, owner: []uint64{0}, whole: []bool{false}}
	types := []EventType{0}
	is := func(seq uint64, t ...EventType) bool {
		return seq < uint64(len(types)) && slices.Contains(t, types[seq])
	}
	end := func(seq uint64, at int64) {
		if x.at[seq] == 0 || at < x.at[seq] {
			x.at[seq] = at
		}
	}
	err := j.read(1, func(e *Event) bool {
		var at int64
		var owner uint64
		when := max(unixOf(e.Time), 1)
		switch e.Type {
		case EventAdded:
			if e.Rule != nil {
				at = unixOf(e.Rule.End)
			}
		case EventDerived, EventException:
			at, owner = unixOf(e.Until), e.Target
			if owner != 0 && !is(owner, EventAdded) {
				at, owner = when, 0 // it never had an effect
			}
		case EventRevoked:
			if is(e.Target, EventAdded) {
				end(e.Target, when)
			}
		case EventReverted:
			if is(e.Target, EventDerived, EventException) {
				end(e.Target, when)
			}
		}
		types = append(types, e.Type)
		x.at, x.owner = append(x.at, at), append(x.owner, owner)
		x.whole = append(x.whole, !e.IsErased() && e.Type != EventRevoked && e.Type != EventReverted)
		return ctx.Err() == nil
	})
	return x, errors.Join(err, ctx.Err())
}

// before returns which events are to be erased: those that ended at cutoff or
// before it, and of the rules those that have ended now.
func (x *ends) before(cutoff, now int64, rules []uint64) (gone []bool, n int) {
	named := map[uint64]bool{}
	for _, r := range rules {
		named[r] = true
	}
	over := func(seq uint64, named bool) bool {
		at := x.at[seq]
		return at != 0 && (cutoff != 0 && at <= cutoff || named && at <= now)
	}
	gone = make([]bool, len(x.at))
	for seq := range x.at {
		owner := x.owner[seq]
		rule := owner
		if rule == 0 {
			rule = uint64(seq)
		}
		if x.whole[seq] && (over(uint64(seq), named[rule]) || owner != 0 && over(owner, named[rule])) {
			gone[seq] = true
			n++
		}
	}
	return gone, n
}
