package blocklist

import (
	"runtime"
	"time"
)

// Transition is a change by the clock, without an event: a rule began or ended, or
// derived keys or an exception expired.
type Transition struct {
	Time  time.Time // to the second
	Rule  uint64
	Event uint64 // of the rule, the learned keys or the exception
	Type  TransitionType
}

// TransitionType is the kind of a change by the clock.
type TransitionType uint8

const (
	RuleBegan      TransitionType = 1
	RuleEnded      TransitionType = 2
	DerivedEnded   TransitionType = 3 // before its rule did
	ExceptionEnded TransitionType = 4
)

// Transitions calls yield for every change by the clock to rules that are not
// revoked, after from and not after to. The order is not specified; it ends when
// yield returns false. It examines every rule that has a start or an end.
func (v *State) Transitions(from, to time.Time, yield func(Transition) bool) {
	defer runtime.KeepAlive(v)
	within := func(t int64) bool { return t != 0 && t > from.Unix() && t <= to.Unix() }
	of := func(d *grant) bool {
		if d.seq == d.rule {
			return (!within(d.start) || yield(Transition{timeOf(d.start), d.rule, d.seq, RuleBegan})) &&
				(!within(d.end) || yield(Transition{timeOf(d.end), d.rule, d.seq, RuleEnded}))
		}
		if !within(d.end) {
			return true
		}
		// What was learned for a rule ends with it at the latest; that is the
		// rule's transition.
		if g, ok := v.grantOf(d.rule); ok && v.grantAt(g).end == d.end {
			return true
		}
		return yield(Transition{timeOf(d.end), d.rule, d.seq, DerivedEnded})
	}
	for it := v.base.timed.Iterator(); it.HasNext(); {
		g := it.Next()
		d := v.base.grant(g)
		if !v.isDead(g) && !of(&d) {
			return
		}
	}
	for i := range v.grants {
		d := &v.grants[i]
		if d.attr&attrTimed != 0 && !v.isDead(uint32(v.base.len()+i)) && !of(d) {
			return
		}
	}
	ended := func(rule uint64, list []exception) bool {
		for i := range list {
			if x := &list[i]; within(x.until) && !yield(Transition{timeOf(x.until), rule, x.event, ExceptionEnded}) {
				return false
			}
		}
		return true
	}
	for rule, list := range v.exceptions {
		if !ended(rule, list) {
			return
		}
	}
	for rule, list := range v.base.exceptions {
		if _, newer := v.exceptions[rule]; !newer && !ended(rule, list) {
			return
		}
	}
}
