package blocklist

import (
	"fmt"
	"iter"
	"runtime"
	"slices"

	"github.com/staydown/staydown/internal/features"
)

// Features are the local features of a picture, an opaque value. Package takedown
// computes them from the pixels to find a picture inside another one.
type Features = features.Features

// MaxFeatures is the largest number of feature sets in one event; it keeps the
// record within its bounds.
const MaxFeatures = 128

// featureDelta holds the feature sets that came since the base. All slices only
// grow at their end, or are replaced, so that a copy of the struct is a view.
type featureDelta struct {
	grants []uint32            // for every set, ascending
	views  []uint8             // the same
	runs   []*features.Segment // their IDs are sets
	tail   []features.Entry    // the sets that are in no run yet
	last   *features.Segment   // of the tail; nil while it has to be made
}

const (
	// sealFeatures is how many sets a run has when it is made. A State needs the
	// tail as a segment, which is made anew, at about 0.05 ms a set, for each
	// group of events that brings one.
	sealFeatures = 16
	// mergeFeatures runs of about one size become one, up to maxFeatureRun sets:
	// the writer waits for it. Bigger ones are left to the compaction.
	mergeFeatures = 4
	maxFeatureRun = 256
	// maxFeatureDelta is how many sets may lie beside the base: every run is looked
	// up by itself.
	maxFeatureDelta = 4096
)

func (d *featureDelta) add(f Features, view uint8, g uint32) {
	d.tail = append(d.tail, features.Entry{Features: f, ID: uint32(len(d.grants))})
	d.grants, d.views = append(d.grants, g), append(d.views, view)
	d.last = nil
	if len(d.tail) < sealFeatures {
		return
	}
	runs, entries := gather(d.runs, d.tail, mergeFeatures, maxFeatureRun)
	d.runs, d.tail = append(runs, newFeatureSegment(entries)), nil
}

// view makes the tail searchable and returns a copy for a State.
func (d *featureDelta) view() featureDelta {
	if d.last == nil && len(d.tail) > 0 {
		d.last = newFeatureSegment(d.tail)
	}
	return *d
}

func newFeatureSegment(entries []features.Entry) *features.Segment {
	s, err := features.NewSegment(entries)
	if err != nil {
		// The sets were checked when their event was accepted, and there are few.
		panic("blocklist: " + err.Error())
	}
	return s
}

// segments are those that hold all sets of the delta of a State.
func (d *featureDelta) segments() iter.Seq[*features.Segment] {
	return func(yield func(*features.Segment) bool) {
		for _, r := range d.runs {
			if !yield(r) {
				return
			}
		}
		if d.last != nil {
			yield(d.last)
		}
	}
}

// FeatureSearcher holds the memory of a search by features. One goroutine uses
// it at a time; its zero value is ready.
type FeatureSearcher = features.Searcher

// FeatureMatch is the quality of the match of a registered picture in a candidate.
type FeatureMatch = features.Match

// FindFeatures calls yield for rules in force with a picture that the features
// show, and the quality of the match. The best match comes first, until yield
// returns false.
//
// worth, unless nil, selects the rules that matter to the caller. A search
// examines only a limited number of pictures closely. Pictures of other rules, and
// of ended rules, do not count towards that number. FindFeatures does not allocate
// once x has its memory.
func (v *State) FindFeatures(x *FeatureSearcher, f Features, worth func(Hit) bool, yield func(Hit, FeatureMatch) bool) {
	defer runtime.KeepAlive(v)
	start := v.queries.begin(tierFeatures)
	x.Ask(f)
	collect := func(s *features.Segment, grants []uint32) {
		x.Collect(s, func(id uint32) bool {
			matters := false
			v.emit(Hit{grant: grants[id]}, func(h Hit) bool {
				matters = worth == nil || worth(h)
				return true
			})
			return matters
		})
	}
	if b := &v.base.features; b.segment != nil {
		collect(b.segment, b.grants)
	}
	for s := range v.features.segments() {
		collect(s, v.features.grants)
	}
	x.Matches(func(s *features.Segment, m FeatureMatch) bool {
		grants, views := v.features.grants, v.features.views
		if s == v.base.features.segment {
			grants, views = v.base.features.grants, v.base.features.views
		}
		h := Hit{grant: grants[m.ID]}
		if views != nil {
			h.View = views[m.ID]
		}
		return v.emit(h, func(h Hit) bool { return yield(h, m) })
	})
	v.queries.end(tierFeatures, start)
}

// SearchesFeatures reports whether pictures are registered by their features.
func (v *State) SearchesFeatures() bool {
	return v.base.features.segment != nil || len(v.features.grants) > 0
}

// HasFeatures reports whether FindFeatures can find the picture of a hit of this
// State: the event of the key had features too.
func (v *State) HasFeatures(hit Hit) bool {
	if int(hit.grant) < v.base.len() {
		return v.base.features.of != nil && v.base.features.of.Contains(hit.grant)
	}
	_, ok := slices.BinarySearch(v.features.grants, hit.grant)
	return ok
}

// checkFeatures returns what is wrong with the feature sets of an event.
func checkFeatures(sets []Features) string {
	if len(sets) > MaxFeatures {
		return fmt.Sprintf("hold %d sets; at most %d are accepted", len(sets), MaxFeatures)
	}
	for _, f := range sets {
		if f.Len() == 0 {
			return "hold a set without points"
		}
		if !f.IsCompact() {
			return "hold a set that is not compact"
		}
	}
	return ""
}
