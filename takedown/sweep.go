package takedown

import (
	"context"
	"errors"
	"iter"
	"maps"
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
	// Seen is what an earlier sweep has seen of each list, by the names of the
	// lists: it is left out.
	Seen map[string]Mark `json:"seen,omitempty"`
	// FacesMissed says that this sweep met faces and could not compare them.
	FacesMissed bool `json:"faces_missed,omitempty"`
	// Next is Seen of the sweep that follows this one.
	Next map[string]Mark `json:"next,omitempty"`
}

// Mark says up to where a list was seen.
type Mark struct {
	// Since is the last event that was seen. Keys that came with it or before are
	// left out, unless their rule began after Time.
	Since uint64    `json:"since,omitempty"`
	Time  time.Time `json:"time,omitzero"`
	// FacesSince and FacesTime are the same for faces: those of the last sweep
	// that could compare them.
	FacesSince uint64    `json:"faces_since,omitempty"`
	FacesTime  time.Time `json:"faces_time,omitzero"`
}

// marks returns where the lists stand now.
func (e *Enforcer) marks() map[string]Mark {
	now, marks := e.now().UTC(), map[string]Mark{}
	for i := range e.sources {
		seq := e.sources[i].list.State().Seq()
		marks[e.sources[i].name] = Mark{seq, now, seq, now}
	}
	return marks
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
		if at.Next == nil {
			at.Next = e.marks()
		}
		for it, err := range items(ctx, at.After) {
			if err == nil {
				err = ctx.Err()
			}
			w := weighing{e: e, marks: at.Seen}
			if err == nil {
				if w.candidate(&it.Candidate); w.closed {
					err = ErrClosed
				}
			}
			if err != nil {
				yield(Found{}, err)
				return
			}
			e.count(&w, it.Candidate.Hashes)
			at.FacesMissed = at.FacesMissed || w.facesMissed
			at.After = it.Key
			if d := w.decision(); d.Why != 0 && !yield(Found{it, d}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Found{}, err)
			return
		}
		missed := at.FacesMissed
		next := Cursor{Seen: maps.Clone(at.Next)}
		for name, m := range next.Seen {
			if missed {
				m.FacesSince, m.FacesTime = at.Seen[name].FacesSince, at.Seen[name].FacesTime
				next.Seen[name] = m
			}
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
