package blocklist

import (
	"runtime"
	"time"

	"github.com/staydown/staydown/phash"
)

// Query is a query about one picture. Its Find methods are those of State, and
// return complete hits: all that the weight of a hit depends on is in it. A Query is
// not safe for concurrent use. It can be reused for another picture or state when
// its fields have been set again with Reset.
type Query struct {
	// File is the SHA-256 of the file, or zero.
	File [32]byte
	// SHA1 and MD5 are the other digests of the file, or zero: see
	// [State.NeedsDigests].
	SHA1 [20]byte
	MD5  [16]byte
	// Hashes are those of the picture. Exceptions and the allow list are compared
	// with them and with File.
	Hashes []phash.Hash
	// Animated reports that the file shows several pictures. The allow list is then
	// not compared with File.
	Animated bool
	// Territory is the country that the query is about; zero for none.
	Territory Territory
	// Since and SinceTime are the position of an earlier query: see Hit.Old.
	Since     uint64
	SinceTime time.Time

	state *State
	// Whether a picture is on the allow list, once that was asked.
	asked            phash.Hash
	isAsked, allowed bool
}

// Reset sets the state that the query asks.
func (q *Query) Reset(v *State) { q.state, q.isAsked = v, false }

// FindURL is [State.FindURL].
func (q *Query) FindURL(kind AddressKind, rawURL string, yield func(Hit) bool) error {
	return q.state.FindURL(kind, rawURL, func(h Hit) bool {
		q.complete(&h)
		return yield(h)
	})
}

// FindBytes is [State.FindFile] for File, SHA1 and MD5.
func (q *Query) FindBytes(yield func(Hit) bool) bool {
	return q.state.FindFile(&Digests{q.File, q.SHA1, q.MD5}, func(h Hit) bool {
		q.complete(&h)
		return yield(h)
	})
}

// FindHash is [State.FindHash].
func (q *Query) FindHash(asked *phash.Hash, radius int, yield func(Hit) bool) bool {
	return q.state.FindHash(*asked, radius, func(h Hit) bool {
		q.complete(&h)
		h.HasFeatures, h.Allowed = q.state.HasFeatures(h), q.isAllowed(*asked)
		return yield(h)
	})
}

// Complete completes a hit of [State.FindHashes] by the first of Hashes.
func (q *Query) Complete(h *Hit) {
	q.complete(h)
	h.HasFeatures, h.Allowed = q.state.HasFeatures(*h), q.isAllowed(q.own())
}

// FindFeatures is [State.FindFeatures].
func (q *Query) FindFeatures(x *FeatureSearcher, f Features, worth func(Hit) bool, yield func(Hit, FeatureMatch) bool) {
	q.state.FindFeatures(x, f, func(h Hit) bool {
		q.complete(&h)
		h.Allowed = q.isAllowed(q.own())
		return worth(h)
	}, func(h Hit, m FeatureMatch) bool {
		q.complete(&h)
		h.Allowed = q.isAllowed(q.own())
		return yield(h, m)
	})
}

// FindFaces is [State.FindFaces].
func (q *Query) FindFaces(x FaceVector, yield func(Hit) bool) bool {
	return q.state.FindFaces(x, func(h Hit) bool {
		q.complete(&h)
		h.Allowed = q.isAllowed(q.own())
		return yield(h)
	})
}

// own returns the first hash of the picture, or the zero Hash.
func (q *Query) own() (h phash.Hash) {
	if len(q.Hashes) > 0 {
		h = q.Hashes[0]
	}
	return h
}

// complete sets what is asked of the hits of every tier.
func (q *Query) complete(h *Hit) {
	v := q.state
	h.Here = h.Worldwide || !q.Territory.IsZero() && v.InForceIn(*h, q.Territory)
	h.Old = h.Event <= q.Since && v.hasBegun(h.Rule, q.SinceTime)
	if v.hasExceptions() {
		list := v.exceptionsOf(h.Rule)
		h.HasExceptions, h.Excepted = len(list) > 0, v.excepts(list, q.file(), q.Hashes)
	}
}

func (q *Query) file() *[32]byte {
	if q.File == [32]byte{} {
		return nil
	}
	return &q.File
}

// isAllowed reports whether the allow list has the file, or a picture with a hash.
func (q *Query) isAllowed(h phash.Hash) bool {
	if !q.state.hasExceptions() {
		return false
	}
	if !q.isAsked || h != q.asked {
		file := q.file()
		if q.Animated {
			file = nil
		}
		q.isAsked, q.asked, q.allowed = true, h, q.state.IsAllowed(file, h)
	}
	return q.allowed
}

// hasExceptions reports whether there is an exception of any rule.
func (v *State) hasExceptions() bool { return len(v.exceptions) > 0 || len(v.base.exceptions) > 0 }

// hasBegun reports whether a rule had begun at a time. A rule that is no longer
// there had.
func (v *State) hasBegun(rule uint64, at time.Time) bool {
	defer runtime.KeepAlive(v)
	g, ok := v.grantOf(rule)
	if !ok {
		return true
	}
	var start int64
	if i := int(g) - v.base.len(); i >= 0 {
		start = v.grants[i].start
	} else if v.base.timed.Contains(g) {
		start, _ = v.base.times(g)
	}
	return start == 0 || !time.Unix(start, 0).After(at)
}
