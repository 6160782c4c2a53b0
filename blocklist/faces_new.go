package blocklist

import (
	"time"

	"github.com/staydown/staydown/internal/embedding"
)

// maxNewFaces is the number of faces that are compared one by one. With more, a search
// of all faces is faster.
const maxNewFaces = 4096

// NewFaces are the faces of a State that a sweep has not compared yet. See
// [State.NewFaces].
type NewFaces struct {
	state *State
	parts []newFaces
}

// newFaces are those of one model.
type newFaces struct {
	index   *faceIndex
	rows    []faceRow
	vectors []FaceVector
}

// NewFaces returns the faces of rules that came after an event, or that had not begun
// at a time, as the hits that [Query].Since and SinceTime do not mark as old. It
// returns nil if they are so many that a search of all faces is faster.
func (v *State) NewFaces(since uint64, at time.Time) *NewFaces {
	n := &NewFaces{state: v}
	for i := range v.faces {
		m := &v.faces[i]
		p := newFaces{index: m}
		if !p.gather(v, since, at) {
			return nil
		}
		if len(p.rows) > 0 {
			n.parts = append(n.parts, p)
		}
	}
	return n
}

// gather collects the new rows and their vectors.
func (p *newFaces) gather(v *State, since uint64, at time.Time) bool {
	m := p.index
	isNew := func(rows []faceRow) map[uint32]bool {
		wanted := map[uint32]bool{}
		for i, r := range rows {
			if seq := v.seqOf(r.grant); seq > since || !v.hasBegun(seq, at) {
				if wanted[uint32(i)] = true; len(p.rows)+len(wanted) > maxNewFaces {
					return nil
				}
			}
		}
		return wanted
	}
	add := func(rows []faceRow, wanted map[uint32]bool, e embedding.Entry) {
		if wanted[e.ID] {
			p.rows, p.vectors = append(p.rows, rows[e.ID]), append(p.vectors, e.Vector)
		}
	}
	wanted := isNew(m.base.rows)
	if wanted == nil {
		return false
	}
	if len(wanted) > 0 {
		for e := range m.base.segment.All() {
			add(m.base.rows, wanted, e)
		}
	}
	if wanted = isNew(m.rows); wanted == nil {
		return false
	}
	if len(wanted) == 0 {
		return true
	}
	for _, s := range m.runs {
		for e := range s.All() {
			add(m.rows, wanted, e)
		}
	}
	for _, e := range m.tail {
		add(m.rows, wanted, e)
	}
	return true
}

// Len returns the number of new faces.
func (n *NewFaces) Len() (all int) {
	for _, p := range n.parts {
		all += len(p.rows)
	}
	return all
}

// find is State.FindFaces for the new faces.
func (n *NewFaces) find(x FaceVector, yield func(Hit) bool) bool {
	if !n.state.mayUseFaces() {
		return true
	}
	for i := range n.parts {
		p := &n.parts[i]
		if p.index.model != x.Model() {
			continue
		}
		for k := range p.rows {
			if s, ok := x.Similarity(p.vectors[k]); ok && !n.state.emitFace(p.index, p.rows[k], s, yield) {
				return false
			}
		}
	}
	return true
}

// FindNewFaces is FindFaces for faces that are new. They are those of the state of the
// query.
func (q *Query) FindNewFaces(n *NewFaces, x FaceVector, yield func(Hit) bool) bool {
	return n.find(x, func(h Hit) bool {
		q.complete(&h)
		h.Allowed = q.isAllowed(q.own())
		return yield(h)
	})
}
