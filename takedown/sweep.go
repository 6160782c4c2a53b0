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
	// Candidate is the index's data of the image; without pixels that is usually
	// an address and a stored hash.
	Candidate Candidate
}

// Items returns the entries of an index in ascending order of their keys. It
// begins behind the key after, or at the first if after is empty. After an error
// it returns no more entries.
type Items func(ctx context.Context, after string) iter.Seq2[Item, error]

// Cursor is the position of a sweep. The zero Cursor begins a sweep of everything.
// A cursor can be stored at any time (it has JSON names). Another process can
// continue the sweep from there.
type Cursor struct {
	// After is the key of the last item that was examined. It is empty at the
	// beginning, and again when the sweep is complete.
	After string `json:"after,omitempty"`
	// Seen is the position of an earlier sweep in each list, by the names of the
	// lists. Keys up to that position are left out.
	Seen map[string]Mark `json:"seen,omitempty"`
	// FacesMissed reports that this sweep met faces and could not compare them.
	FacesMissed bool `json:"faces_missed,omitempty"`
	// Next is Seen of the sweep that follows this one.
	Next map[string]Mark `json:"next,omitempty"`
}

// Mark is the position up to which a list was seen.
type Mark struct {
	// Since is the last event that was seen. Keys of this event or an earlier one
	// are left out, unless their rule began after Time.
	Since uint64    `json:"since,omitempty"`
	Time  time.Time `json:"time,omitzero"`
	// FacesSince and FacesTime are the same for faces. They are from the last
	// sweep that could compare faces.
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

// Found is an item of an index to be removed or reviewed.
type Found struct {
	Item     Item
	Decision Decision
}

// Sweep goes through an existing index and returns the items whose verdict is
// stronger than Allow. It updates the cursor at as it goes. To continue after an
// interruption, store a copy of the cursor regularly; items runs between two steps
// and may do so. When the sweep is complete, at is ready for the next one, which
// looks only for later events. A nil cursor sweeps everything and stores no
// position.
//
// A later sweep does not find images again that an exception hid: after an
// [ExceptionEnded] event, start with the zero Cursor. Exceptions, revocations and
// ends that come while a sweep runs count from that moment.
//
// The sequence ends with an error when items or ctx return one, or when the
// enforcer is closed. The cursor then has the position to continue from. It ends
// with [ErrFacesNotSearched] when the sweep is complete but could not compare the
// faces of some items.
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
		var faces []sweptFaces
		if at.Seen != nil {
			faces = make([]sweptFaces, len(e.sources))
		}
		for it, err := range items(ctx, at.After) {
			if err == nil {
				err = ctx.Err()
			}
			var w weighing
			w.begin(e, where{})
			w.marks, w.faces = at.Seen, faces
			if err == nil {
				if w.candidate(&it.Candidate); w.closed {
					err = ErrClosed
				}
			}
			if err != nil {
				yield(Found{}, err)
				return
			}
			e.count(&w, &it.Candidate.SHA256, it.Candidate.Hashes)
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

// ErrFacesNotSearched is returned when a sweep is complete, but the list could not
// compare the faces of some items. Its snapshot is older than its faces may be
// used, or their keys are missing. The cursor records this: after a Reload the
// next sweep looks for those faces too.
var ErrFacesNotSearched = errors.New("takedown: the list cannot search its faces now; sweep again when a new snapshot is loaded")
