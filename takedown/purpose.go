package takedown

import (
	"sync/atomic"

	"github.com/staydown/staydown/blocklist"
)

// Purposes is a set of uses of pictures: see [Enforcer.For].
type Purposes = blocklist.Purposes

// The uses.
const (
	PurposeIndex = blocklist.PurposeIndex // to find and show pictures
	PurposeTrain = blocklist.PurposeTrain // to train models
	PurposeFace  = blocklist.PurposeFace  // to recognise faces
)

// For returns the view for some uses of pictures. Rules about one of these uses count,
// beside the rules about every use. Without For, rules about single uses are not asked:
// a picture that must not train a model can be found and shown.
func (e *Enforcer) For(p Purposes) Region { return Region{e, where{purposes: p}} }

// For is [Enforcer.For] in the region.
func (r Region) For(p Purposes) Region {
	r.in.purposes = p
	return r
}

// purposeStates keeps the states for queries about uses, so that a query makes none.
type purposeStates [8]atomic.Pointer[purposeState]

type purposeState struct{ of, view *blocklist.State }

// get returns a state for queries about some uses.
func (s *purposeStates) get(v *blocklist.State, p Purposes) *blocklist.State {
	if p == 0 {
		return v
	}
	if int(p) >= len(s) { // uses that are not known
		return v.For(p)
	}
	if kept := s[p].Load(); kept != nil && kept.of == v {
		return kept.view
	}
	view := v.For(p)
	s[p].Store(&purposeState{v, view})
	return view
}
