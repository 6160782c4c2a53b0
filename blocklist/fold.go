package blocklist

import (
	"maps"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/staydown/staydown/phash"
)

// fold applies events to a base, one after the other, and makes States of the
// result. It belongs to one goroutine. A State shares what only grows; dead and
// exceptions are copied before they change.
type fold struct {
	seq        uint64
	digest     [32]byte // at seq
	history    history
	contents   uint32 // contains… flags
	rules      int    // that were not revoked
	queries    *queries
	suffix     func(host string) bool
	now        func() time.Time
	keys       *digestKeys
	base       *base
	grants     []grant
	table      keyTable
	hashes     [phash.NumAlgorithms]hashDelta
	features   featureDelta
	faces      []*faceFold // by model
	dead       *roaring.Bitmap
	exceptions map[uint64][]exception

	faceKeys  *faceKeys              // that open the faces; nil for none
	opened    map[*Rule][]FaceVector // faces of rules that were opened already
	keyError  error                  // the first key that could not be read
	lostFaces map[uint32]int         // grant → faces whose key is gone
	ended     []uint64               // rules of faces that were revoked; for the writer

	shared      bool                // a State has dead and exceptions
	learned     map[uint64][]uint32 // rule → grants that were learned for it
	exceptionOf map[uint64]uint64   // excepted event → rule
}

func newFold(b *base, keys *digestKeys, now func() time.Time) *fold {
	f := &fold{
		seq: b.header.seq, digest: b.header.digest, history: slices.Clip(b.history), contents: b.header.contents,
		now: now, keys: keys, base: b,
		learned: map[uint64][]uint32{}, exceptionOf: map[uint64]uint64{},
	}
	for _, r := range b.learned {
		f.learned[r.rule] = append(f.learned[r.rule], r.grant)
	}
	for rule, list := range b.exceptions {
		for _, e := range list {
			f.exceptionOf[e.event] = rule
		}
	}
	for _, attr := range b.attrs {
		if attr&attrLearned == 0 {
			f.rules++
		}
	}
	f.startFaces()
	return f
}

// view returns the state as it is.
func (f *fold) view() *State {
	f.shared = true
	v := &State{
		seq: f.seq, digest: f.digest, history: f.history, contents: f.contents, rules: f.rules, queries: f.queries, publicSuffix: f.suffix, now: f.now, keys: f.keys, base: f.base,
		grants: f.grants, entries: f.table.view(), hashes: f.hashes, features: f.features.view(),
		dead: f.dead, exceptions: f.exceptions,
	}
	f.showFaces(v)
	return v
}

// own makes dead and exceptions safe to change.
func (f *fold) own() {
	if !f.shared {
		return
	}
	f.shared = false
	if f.dead != nil {
		f.dead = f.dead.Clone()
	}
	f.exceptions = maps.Clone(f.exceptions)
}

// mergeAll merges the runs of hashes wherever that is due.
func (f *fold) mergeAll() {
	for a := range f.hashes {
		d := &f.hashes[a]
		if len(d.runs) >= mergeRuns {
			d.replace(d.runs, merge(d.runs))
		}
	}
}

// apply takes the next event. One without its payload has ended, and changes
// nothing.
func (f *fold) apply(e *committed) {
	f.seq, f.digest, f.history = e.Seq, e.digest, f.history.append(e.digest)
	if e.IsErased() {
		return
	}
	switch e.Type {
	case EventAdded:
		r := e.Rule
		g := grant{
			seq: e.Seq, rule: e.Seq, start: unixOf(r.Start), end: unixOf(r.End),
			caseID: r.Case, attr: attrOf(r), territories: slices.Clone(r.Territories),
		}
		f.rules++
		f.addGrant(g, &r.Keys)
		f.addFaces(e.ID, f.count()-1, r)
	case EventDerived:
		f.learn(&e.Event)
	case EventException:
		if _, ok := f.liveRule(e.Target); ok || e.Target == 0 {
			f.except(&e.Event)
		}
	case EventRevoked:
		f.revoke(e.Target)
	case EventReverted:
		f.undo(e.Target)
	}
}

func (f *fold) learn(e *Event) {
	g, ok := f.liveRule(e.Target)
	if !ok {
		return
	}
	d := f.grantAt(g)
	d.seq, d.views = e.Seq, nil
	d.attr = d.attr&(1<<attrFaces-1) | attrLearned
	if until := unixOf(e.Until); until != 0 && (d.end == 0 || until < d.end) {
		d.end = until
	}
	f.learned[d.rule] = append(f.learned[d.rule], f.count())
	f.addGrant(d, &e.Keys)
}

// revoke ends a rule with all that was learned for it and excepted from it.
func (f *fold) revoke(rule uint64) {
	g, ok := f.liveRule(rule)
	if !ok {
		return
	}
	f.rules--
	f.kill(g)
	if attrScope(f.grantAt(g).attr) == ScopeFace {
		f.ended = append(f.ended, rule)
	}
	for _, g := range f.learned[rule] {
		f.kill(g)
	}
	delete(f.learned, rule)
	if list := f.exceptionsOf(rule); len(list) > 0 {
		for _, x := range list {
			delete(f.exceptionOf, x.event)
		}
		f.setExceptions(rule, nil)
	}
}

// undo ends a learned or excepted event.
func (f *fold) undo(event uint64) {
	if rule, ok := f.exceptionOf[event]; ok {
		delete(f.exceptionOf, event)
		f.setExceptions(rule, slices.DeleteFunc(slices.Clone(f.exceptionsOf(rule)), func(x exception) bool { return x.event == event }))
		return
	}
	if g, ok := f.grantOf(event); ok && f.grantAt(g).attr&attrLearned != 0 {
		f.kill(g)
	}
}

func (f *fold) count() uint32 { return uint32(f.base.len() + len(f.grants)) }

// addGrant appends a grant and its keys.
func (f *fold) addGrant(d grant, keys *Keys) {
	if d.start != 0 || d.end != 0 {
		d.attr |= attrTimed
	}
	g := f.count()
	d.views = keys.Views
	f.grants = append(f.grants, d)
	add := func(digest Digest) {
		hi, lo := digest.halves()
		f.table.add(keyEntry{hi, lo, g})
	}
	for i := range keys.Addresses {
		switch keys.Addresses[i].Kind {
		case HostAddress:
			f.contents |= containsHosts
		case PrefixAddress:
			f.contents |= containsPrefixes
		}
		add(keys.Addresses[i].Digest)
	}
	for i := range keys.Bytes {
		add(f.keys.sum(keySHA256, keys.Bytes[i][:]))
	}
	for i := range keys.SHA1 {
		f.contents |= containsSHA1
		add(f.keys.sum(keySHA1, keys.SHA1[i][:]))
	}
	for i := range keys.MD5 {
		f.contents |= containsMD5
		add(f.keys.sum(keyMD5, keys.MD5[i][:]))
	}
	for i := range keys.Hashes {
		f.hashes[keys.Hashes[i].Hash.Algorithm()].add(&keys.Hashes[i], g)
	}
	for i, set := range keys.Features {
		view := uint8(0)
		if keys.FeatureViews != nil {
			view = keys.FeatureViews[i]
		}
		f.features.add(set, view, g)
	}
}

func (f *fold) except(e *Event) {
	list := slices.Clone(f.exceptionsOf(e.Target))
	until := unixOf(e.Until)
	for i := range e.Keys.Bytes {
		list = append(list, exception{event: e.Seq, until: until, file: f.keys.sum(keySHA256, e.Keys.Bytes[i][:])})
	}
	for _, h := range e.Keys.Hashes {
		list = append(list, exception{event: e.Seq, until: until, hash: h.Hash})
	}
	f.exceptionOf[e.Seq] = e.Target
	f.setExceptions(e.Target, list)
}

func (f *fold) setExceptions(rule uint64, list []exception) {
	f.own()
	if f.exceptions == nil {
		f.exceptions = map[uint64][]exception{}
	}
	f.exceptions[rule] = list
}

func (f *fold) exceptionsOf(rule uint64) []exception {
	if list, ok := f.exceptions[rule]; ok {
		return list
	}
	return f.base.exceptions[rule]
}

func (f *fold) kill(g uint32) {
	f.own()
	if f.dead == nil {
		f.dead = roaring.New()
	}
	if f.dead.CheckedAdd(g) {
		f.dropFaces(g)
	}
}

// look is the State of the state, for its readers only.
func (f *fold) look() State { return State{base: f.base, grants: f.grants, dead: f.dead} }

func (f *fold) grantOf(seq uint64) (uint32, bool) { v := f.look(); return v.grantOf(seq) }
func (f *fold) grantAt(g uint32) grant            { v := f.look(); return v.grantAt(g) }

// liveRule returns the grant of a rule that was not revoked.
func (f *fold) liveRule(id uint64) (uint32, bool) {
	v := f.look()
	g, ok := v.grantOf(id)
	if !ok || v.isDead(g) || v.grantAt(g).attr&attrLearned != 0 {
		return 0, false
	}
	return g, true
}
