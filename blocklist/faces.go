package blocklist

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"

	"github.com/staydown/staydown/internal/embedding"
)

// FaceModel identifies the model that made the vector of a face, with its version.
// Vectors of different models are never compared.
type FaceModel = embedding.Model

// FaceVector is a face as a model sees it; FaceVector.Set takes the components. No
// format prints the components.
type FaceVector = embedding.Vector

// FaceLimits are the least similarities for a match, as the cosine of the angle
// between the vectors. They are finite, from -1 to 1, with Review at most Block.
// They are recorded with the face, because they belong to the model and to the
// list for which they were chosen.
type FaceLimits struct {
	Block  float64 // from here on it is the same person
	Review float64 // from here on a person should look
}

// Face is the template of a face, sealed with the key of its event. List.SealFaces
// makes it.
type Face struct {
	Model  FaceModel
	Limits FaceLimits
	Sealed []byte
}

// MaxFaces is the largest number of faces in one event: a few photographs of
// one person, perhaps for two models.
const MaxFaces = 16

// check returns what is wrong with them.
func (l FaceLimits) check() string {
	if !(-1 <= l.Review && l.Review <= l.Block && l.Block <= 1) {
		return fmt.Sprintf("have limits %v and %v; accepted are -1 <= Review <= Block <= 1", l.Block, l.Review)
	}
	return ""
}

// checkFaces returns what is wrong with the faces of an event.
func checkFaces(faces []Face) string {
	if len(faces) > MaxFaces {
		return fmt.Sprintf("are %d; at most %d are accepted", len(faces), MaxFaces)
	}
	for i := range faces {
		f := &faces[i]
		if err := f.Model.Check(); err != nil {
			return "hold one of an impossible model: " + err.Error()
		}
		if why := f.Limits.check(); why != "" {
			return why
		}
		if want := embedding.SealedSize(f.Model); len(f.Sealed) != want || f.Sealed[0] != 1 {
			return fmt.Sprintf("hold one of %d bytes that SealFaces did not make, which makes %d", len(f.Sealed), want)
		}
	}
	return ""
}

// A face in a record: length of the model's name (1), 0 (1), dimensions (2),
// length of the sealed vector (4), limits (8 each), name, sealed vector.
const faceHeader = 24

func appendFace(b []byte, f *Face) []byte {
	b = append(b, byte(len(f.Model.Name)), 0)
	b = le.AppendUint16(b, uint16(f.Model.Dimensions))
	b = le.AppendUint32(b, uint32(len(f.Sealed)))
	b = le.AppendUint64(b, math.Float64bits(f.Limits.Block))
	b = le.AppendUint64(b, math.Float64bits(f.Limits.Review))
	b = append(b, f.Model.Name...)
	return append(b, f.Sealed...)
}

// parseFace reads a face from the start of p, and returns how long it is.
func parseFace(p []byte) (f Face, size int, err error) {
	bad := func(what string) (Face, int, error) {
		return Face{}, 0, fmt.Errorf("blocklist: record: face %s: %w", what, ErrFormat)
	}
	if len(p) < faceHeader {
		return bad("is cut")
	}
	name, sealed := int(p[0]), int64(le.Uint32(p[4:]))
	if int64(len(p)-faceHeader-name) < sealed {
		return bad("is cut")
	}
	if p[1] != 0 {
		return bad("has padding that is not zero")
	}
	size = faceHeader + name + int(sealed)
	f.Model = FaceModel{Name: string(p[faceHeader : faceHeader+name]), Dimensions: int(le.Uint16(p[2:]))}
	f.Limits = FaceLimits{math.Float64frombits(le.Uint64(p[8:])), math.Float64frombits(le.Uint64(p[16:]))}
	// A copy: the record may lie in a file that is mapped.
	f.Sealed = slices.Clone(p[faceHeader+name : size])
	if len(f.Sealed) > 0 && f.Sealed[0] > 1 {
		return Face{}, 0, fmt.Errorf("blocklist: record has a sealed face of version %d: %w", f.Sealed[0], ErrVersion)
	}
	return f, size, nil // check looks at the rest
}

// sealContext is what a sealed face belongs to.
func sealContext(list, event [16]byte) []byte { return append(list[:], event[:]...) }

// SealFaces seals vectors, of any models, for Rule.Keys of the rule that the event
// with that ID will add. The key of the event is durable when it returns. The
// unsealed vectors are never stored: a caller that keeps an event before it is
// appended keeps sealed faces only.
//
// It may be called again for the same event, for other limits, until the event is
// in the journal. If the event is never appended, DropFaces destroys the key.
func (l *List) SealFaces(event [16]byte, limits FaceLimits, vectors ...FaceVector) ([]Face, error) {
	j, err := l.journal()
	if err != nil {
		return nil, err
	}
	fail := func(field, why string) ([]Face, error) { return nil, &EventError{Field: field, Why: why} }
	if why := limits.check(); why != "" {
		return fail("Rule.Keys.Faces", why)
	}
	if len(vectors) == 0 || len(vectors) > MaxFaces {
		return fail("Rule.Keys.Faces", fmt.Sprintf("are %d; 1 to %d are accepted", len(vectors), MaxFaces))
	}
	if l.writer.faceKeys == nil {
		return nil, fmt.Errorf("blocklist: a list without a folder has no keys of faces: %w", errors.ErrUnsupported)
	}
	if event == ([16]byte{}) {
		return fail("ID", "is zero; choose one that is random or derived from the cause")
	}
	for _, v := range vectors {
		if v.IsZero() {
			return fail("Rule.Keys.Faces", "hold the zero vector")
		}
	}
	seqs, err := j.numbers(event)
	if err != nil {
		return nil, err
	}
	if seqs[0] != 0 {
		return fail("ID", "is in the journal already; its faces cannot change")
	}
	key, err := l.writer.faceKeys.create(event)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	faces := make([]Face, len(vectors))
	for i, v := range vectors {
		sealed, err := embedding.Seal(key, sealContext(j.id.ID, event), v)
		if err != nil {
			return nil, fmt.Errorf("blocklist: %w", err)
		}
		faces[i] = Face{v.Model(), limits, sealed}
	}
	return faces, nil
}

// DropFaces destroys, durably, the keys that SealFaces made for events that are
// not in the journal, except those for which keep returns true. A nil keep keeps
// no key of these events. Faces that were sealed with a destroyed key cannot be
// appended any more.
//
// A caller that keeps events before they are appended calls DropFaces when it has
// no more of them, to remove the remains of a crash.
func (l *List) DropFaces(keep func(event [16]byte) bool) error {
	j, err := l.journal()
	if err != nil {
		return err
	}
	return l.writer.faceKeys.retain(j, func(event [16]byte, seq uint64) bool {
		return seq != 0 || keep != nil && keep(event)
	})
}

// openFaces opens the faces of an event that is to be appended; the event is
// refused if they do not open.
func (w *writer) openFaces(e *Event, opened map[*Rule][]FaceVector) error {
	if e.Rule == nil || len(e.Rule.Keys.Faces) == 0 {
		return nil
	}
	key, err := w.faceKeys.get(e.ID)
	if errors.Is(err, errNoFaceKey) {
		// Of an event that is there already the key may be destroyed.
		seqs, err := w.journal.numbers(e.ID)
		if err != nil {
			return err
		}
		if seqs[0] != 0 {
			return nil
		}
		return &EventError{Field: "Rule.Keys.Faces", Why: "have no key; use SealFaces of this list, with the ID of the event"}
	}
	if err != nil {
		return err
	}
	defer clear(key[:])
	vectors := make([]FaceVector, len(e.Rule.Keys.Faces))
	for i := range vectors {
		if vectors[i], err = openFace(key, w.journal.id.ID, e.ID, &e.Rule.Keys.Faces[i]); err != nil {
			return &EventError{Field: "Rule.Keys.Faces", Why: "do not open: " + err.Error()}
		}
	}
	opened[e.Rule] = vectors
	return nil
}

func openFace(key embedding.Key, list, event [16]byte, f *Face) (FaceVector, error) {
	v, err := embedding.Open(key, sealContext(list, event), f.Sealed)
	if err == nil && v.Model() != f.Model {
		err = fmt.Errorf("a vector of %q was sealed as one of %q", v.Model().Name, f.Model.Name)
	}
	return v, err
}

// faceRow says what a face belongs to. Rows are ascending by grant.
type faceRow struct {
	grant  uint32
	limits uint32 // index
}

// baseFaces are the faces of one model in a base.
type baseFaces struct {
	segment *embedding.Segment // its IDs are rows
	rows    []faceRow
	events  [][16]byte // of each row; nil in a list that was loaded
	limits  []FaceLimits
}

// faceIndex is what a State has of one model. All slices only grow at their end,
// or are replaced, so that a copy of the struct is a view.
type faceIndex struct {
	model FaceModel
	base  *baseFaces

	// What came since the base: sealed runs, whose IDs are rows, and a tail that
	// is searched one by one.
	rows   []faceRow
	events [][16]byte
	runs   []*embedding.Segment
	tail   []embedding.Entry

	limits []FaceLimits // of the base, and those that came since
	lowest float64      // Review limit of faces of rules that were not revoked; above 1 without any
}

// faceFold makes States of one model.
type faceFold struct {
	faceIndex
	live []int // for each of the limits, the faces of rules that were not revoked
	of   map[FaceLimits]uint32
}

const (
	sealFaces    = 128  // faces; comparing with fewer is faster than looking at sketches
	mergeFaces   = 4    // runs of about one size become one
	maxFaceMerge = 4096 // up to that many faces, for which the writer waits 30 ms
)

// startFaces takes the faces of the base.
func (f *fold) startFaces() {
	f.lostFaces = map[uint32]int{}
	maps.Copy(f.lostFaces, f.base.lostFaces)
	for _, b := range f.base.faces {
		m := f.facesOf(b.segment.Model())
		m.base, m.limits = b, slices.Clip(b.limits)
		for i, l := range b.limits {
			m.of[l] = uint32(i)
		}
		m.live = make([]int, len(b.limits))
		for _, r := range b.rows {
			m.live[r.limits]++
		}
	}
}

func (f *fold) facesOf(model FaceModel) *faceFold {
	for _, m := range f.faces {
		if m.model == model {
			return m
		}
	}
	m := &faceFold{faceIndex: faceIndex{model: model, base: &baseFaces{}}, of: map[FaceLimits]uint32{}}
	f.faces = append(f.faces, m)
	return m
}

// addFaces opens the faces of an event and adds them. Those whose key is gone
// were withdrawn.
func (f *fold) addFaces(event [16]byte, g uint32, r *Rule) {
	faces := r.Keys.Faces
	if len(faces) == 0 {
		return
	}
	if vectors := f.opened[r]; vectors != nil {
		for i, v := range vectors {
			f.facesOf(v.Model()).add(v, faces[i].Limits, event, g)
		}
		return
	}
	key, err := f.faceKeys.get(event)
	defer clear(key[:])
	for i := range faces {
		var v FaceVector
		if err == nil {
			v, err = openFace(key, f.base.header.ID, event, &faces[i])
		}
		if err != nil {
			f.lostFaces[g]++
			if f.keyError == nil && !errors.Is(err, errNoFaceKey) {
				f.keyError = fmt.Errorf("blocklist: faces of event %d: %w", f.seq, err)
			}
			continue
		}
		f.facesOf(v.Model()).add(v, faces[i].Limits, event, g)
	}
}

func (m *faceFold) add(v FaceVector, limits FaceLimits, event [16]byte, g uint32) {
	l, ok := m.of[limits]
	if !ok {
		l = uint32(len(m.limits))
		m.of[limits] = l
		m.limits, m.live = append(m.limits, limits), append(m.live, 0)
	}
	m.live[l]++
	m.tail = append(m.tail, embedding.Entry{Vector: v, ID: uint32(len(m.rows))})
	m.rows = append(m.rows, faceRow{g, l})
	m.events = append(m.events, event)
	if len(m.tail) < sealFaces {
		return
	}
	runs, entries := gather(m.runs, m.tail, mergeFaces, maxFaceMerge)
	m.runs, m.tail = append(runs, newFaceSegment(m.model, entries)), nil
}

func newFaceSegment(m FaceModel, entries []embedding.Entry) *embedding.Segment {
	s, err := embedding.NewSegment(m, entries)
	if err != nil {
		// The model was checked when the vectors were opened, and there are few.
		panic("blocklist: " + err.Error())
	}
	return s
}

// dropFaces forgets the limits of a grant that has ended; what else there is of
// its faces goes with the next compaction.
func (f *fold) dropFaces(g uint32) {
	delete(f.lostFaces, g)
	for _, m := range f.faces {
		for _, rows := range [][]faceRow{m.base.rows, m.rows} {
			for i := firstRow(rows, g); i < len(rows) && rows[i].grant == g; i++ {
				m.live[rows[i].limits]--
			}
		}
	}
}

func firstRow(rows []faceRow, g uint32) int {
	i, _ := slices.BinarySearchFunc(rows, g, func(r faceRow, g uint32) int { return cmp.Compare(r.grant, g) })
	return i
}

// showFaces gives a State the faces.
func (f *fold) showFaces(v *State) {
	// The clock that ended a rule, whose key is gone since, may have been ahead of
	// this one.
	now := max(f.now().Unix(), f.base.header.created)
	for g, n := range f.lostFaces {
		if end := v.endOf(g); end == 0 || now < end {
			v.lostFaces += n
			v.withoutFaces = append(v.withoutFaces, v.seqOf(g))
		}
	}
	slices.Sort(v.withoutFaces)
	if len(f.faces) == 0 {
		return
	}
	v.faces = make([]faceIndex, len(f.faces))
	for i, m := range f.faces {
		x := m.faceIndex
		x.lowest = math.Inf(1)
		for l, n := range m.live {
			v.liveFaces += n
			if n > 0 {
				x.lowest = min(x.lowest, m.limits[l].Review)
			}
		}
		v.faces[i] = x
	}
}

// FindFaces calls yield for every rule in force with a face that is similar
// enough, by the limits with which it was registered. It calls yield once for each
// matching face, in no particular order, until yield returns false. It reports
// whether it came to the end. Faces of other models than x are not similar; the
// zero FaceVector finds nothing. It does not allocate.
//
// Similarities are those of vectors rounded to a byte a dimension, and may miss
// one in 10,000 faces: docs/faces.md.
func (v *State) FindFaces(x FaceVector, yield func(Hit) bool) bool {
	start := v.queries.begin(tierFaces)
	ok := true
	for i := range v.faces {
		if m := &v.faces[i]; m.model == x.Model() && m.lowest <= 1 && v.mayUseFaces() {
			ok = v.findFaces(m, x, yield)
			break
		}
	}
	v.queries.end(tierFaces, start)
	runtime.KeepAlive(v)
	return ok
}

func (v *State) findFaces(m *faceIndex, x FaceVector, yield func(Hit) bool) bool {
	if s := m.base.segment; s != nil && !s.Search(x, m.lowest, func(id uint32, similarity float64) bool {
		return v.emitFace(m, m.base.rows[id], similarity, yield)
	}) {
		return false
	}
	for _, s := range m.runs {
		if !s.Search(x, m.lowest, func(id uint32, similarity float64) bool {
			return v.emitFace(m, m.rows[id], similarity, yield)
		}) {
			return false
		}
	}
	for i := range m.tail {
		e := &m.tail[i]
		if similarity, ok := x.Similarity(e.Vector); ok && similarity >= m.lowest && !v.emitFace(m, m.rows[e.ID], similarity, yield) {
			return false
		}
	}
	return true
}

func (v *State) emitFace(m *faceIndex, r faceRow, similarity float64, yield func(Hit) bool) bool {
	limits := m.limits[r.limits]
	if similarity < limits.Review {
		return true
	}
	return v.emit(Hit{Similarity: similarity, AtBlock: similarity >= limits.Block, grant: r.grant}, yield)
}

// hasEndedPictures reports whether there are faces or features of rules that have
// ended at a time, which a compaction would leave out.
func (v *State) hasEndedPictures(now int64) bool {
	ended := func(g uint32) bool { return v.hasEnded(g, now) }
	if slices.ContainsFunc(v.base.features.grants, ended) || slices.ContainsFunc(v.features.grants, ended) {
		return true
	}
	over := func(r faceRow) bool { return ended(r.grant) }
	for i := range v.faces {
		if m := &v.faces[i]; slices.ContainsFunc(m.base.rows, over) || slices.ContainsFunc(m.rows, over) {
			return true
		}
	}
	return false
}

// SearchesFaces reports whether FindFaces searches all registered faces. It
// returns false for a list that was loaded from a snapshot without the keys of its
// faces, or whose keys are too old to be used. It also returns false if the keys
// of some faces were lost; FindFaces then searches the others. See List.Info.
func (v *State) SearchesFaces() bool { return v.lostFaces == 0 && v.mayUseFaces() }

// mayUseFaces reports whether the faces that were opened may be searched.
func (v *State) mayUseFaces() bool {
	return !v.base.facesShut && (v.base.facesUntil == 0 || v.now().Unix() < v.base.facesUntil)
}

// HasFaces reports whether faces are registered.
func (v *State) HasFaces() bool { return v.liveFaces > 0 }

// RulesWithoutFaces returns the rules with faces that cannot be searched because
// their key was lost. The rules are ascending and had not ended when v was made.
// They have to be made anew.
func (v *State) RulesWithoutFaces() []uint64 { return slices.Clone(v.withoutFaces) }

// ComparesFaces reports whether FindFaces gives a complete answer for a face of a
// model. This requires SearchesFaces, and that faces of the model are registered,
// or no faces at all. It does not allocate.
func (v *State) ComparesFaces(m FaceModel) bool {
	if !v.SearchesFaces() {
		return false
	}
	for i := range v.faces {
		if v.faces[i].model == m && v.faces[i].lowest <= 1 {
			return true
		}
	}
	return v.liveFaces == 0
}
