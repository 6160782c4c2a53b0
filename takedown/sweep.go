package takedown

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Item is an entry of an index that exists already.
type Item struct {
	// Key is the host's own name for the entry.
	Key string
	// Candidate is what the index knows of the image; without pixels that is
	// usually an address and a stored hash.
	Candidate Candidate
}

// Items gives the entries of an index in ascending order of their keys,
// beginning behind the key after, or at the first if after is empty. After an
// error it gives no more.
type Items func(ctx context.Context, after string) iter.Seq2[Item, error]

// Cursor says where a sweep stands. The zero Cursor begins a sweep of
// everything. A cursor can be stored at any time (it has JSON names) and the
// sweep be taken up from there, also by another process.
type Cursor struct {
	// After is the key of the last item that was looked at; empty at the
	// beginning, and again when the sweep is through.
	After string `json:"after,omitempty"`
	// Since leaves out what an earlier sweep has seen: keys that came with or
	// before this event, unless their rule began after Time.
	Since uint64    `json:"since,omitempty"`
	Time  time.Time `json:"time,omitzero"`
	// FacesSince and FacesTime are the same for faces: those of the last sweep
	// that could compare them. FacesMissed says that this one met faces and could
	// not.
	FacesSince  uint64    `json:"faces_since,omitempty"`
	FacesTime   time.Time `json:"faces_time,omitzero"`
	FacesMissed bool      `json:"faces_missed,omitempty"`
	// Next and NextTime are Since and Time of the sweep that follows this one.
	Next     uint64    `json:"next,omitempty"`
	NextTime time.Time `json:"next_time,omitzero"`
}

// Found is an item of an index that must go, or be looked at.
type Found struct {
	Item     Item
	Decision Decision
}

// Sweep goes through an existing index and gives the items whose verdict is
// stronger than Allow. It updates the cursor at as it goes: to be able to go
// on after an interruption, store a copy of it now and then, also from within
// items, which runs between two steps. When the sweep is through, at is ready
// for the next one, which then looks only for what has come since. A nil cursor
// sweeps everything, and remembers nothing.
//
// A later sweep does not find again what an exception hid: after an
// [ExceptionEnded] change, start with the zero Cursor. Exceptions, revocations and ends
// that come while a sweep runs count from the moment on at which they come. The
// sequence ends with an error when items or ctx give one, or when the enforcer is
// closed; at then says where to go on. It ends with [ErrFacesNotSearched] when
// it is through but could not compare the faces of some items.
func (e *Enforcer) Sweep(ctx context.Context, items Items, at *Cursor) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		at := at
		if at == nil { // a new one each time that the sequence is ranged over
			at = new(Cursor)
		}
		if items == nil {
			yield(Found{}, &ArgumentError{"Sweep, items", "they are nil; an index without entries gives an empty sequence"})
			return
		}
		if at.NextTime.IsZero() {
			at.Next, at.NextTime = e.list.View().Seq(), e.now().UTC()
		}
		for it, err := range items(ctx, at.After) {
			if err == nil {
				err = ctx.Err()
			}
			view, ok := e.view()
			if !ok {
				err = ErrClosed
			}
			if err != nil {
				yield(Found{}, err)
				return
			}
			w := weighing{e: e, view: view, since: at.Since, sinceTime: at.Time, facesSince: at.FacesSince, facesTime: at.FacesTime}
			d := w.candidate(&it.Candidate)
			e.count(&w, it.Candidate.Hashes)
			at.FacesMissed = at.FacesMissed || w.facesMissed
			at.After = it.Key
			if d.Why != 0 && !yield(Found{it, d}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Found{}, err)
			return
		}
		next := Cursor{Since: at.Next, Time: at.NextTime, FacesSince: at.Next, FacesTime: at.NextTime}
		missed := at.FacesMissed
		if missed {
			next.FacesSince, next.FacesTime = at.FacesSince, at.FacesTime
		}
		*at = next
		if missed {
			yield(Found{}, ErrFacesNotSearched)
		}
	}
}

// ErrFacesNotSearched says that a sweep is through, but that the list could not
// compare the faces of some items: its snapshot is older than its faces may be
// used, or their keys are missing. The cursor remembers it: after a Reload the
// next sweep looks for those faces as well.
var ErrFacesNotSearched = errors.New("takedown: the list cannot search its faces now; sweep again when a new snapshot is loaded")

// EventType says what happened to a rule.
type EventType uint8

const (
	RuleAdded      EventType = 1 // by the acceptance of a case
	RuleBegan      EventType = 2 // its start has come
	RuleDerived    EventType = 3 // another address, file or hash of its picture
	ExceptionEnded EventType = 4 // an exception was undone or ran out
	RuleRevoked    EventType = 5 // by a withdrawal or a reversal
	RuleEnded      EventType = 6 // its end has come
	RuleException  EventType = 7 // a picture that it must leave alone
	DerivedEnded   EventType = 8 // derived keys were reverted or ran out
)

// String returns the name of the type in lower case, such as "rule added".
func (t EventType) String() string {
	names := [...]string{"", "rule added", "rule began", "rule derived", "exception ended", "rule revoked", "rule ended", "rule exception", "derived ended"}
	if t > 0 && int(t) < len(names) {
		return names[t]
	}
	return "unknown change"
}

// Releases reports whether something may be shown again after the change: ask
// anew about what was dropped because of the rule, another rule may cover it
// too. After the other changes more is blocked: see [Enforcer.Sweep], which
// after ExceptionEnded has to begin with the zero Cursor.
func (t EventType) Releases() bool { return t >= RuleRevoked && t <= DerivedEnded }

// Change is something that happened to a rule.
type Event struct {
	// Seq is the number of the event, 0 for what the clock did.
	Seq  uint64
	Time time.Time
	Type EventType
	// Rule is the public id of the rule, as in Decision.Rule. It is 0 when an
	// exception, or its end, is of a picture on the allow list.
	Rule uint64
}
