package blocklist

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/staydown/staydown/internal/embedding"
)

// Faces in a snapshot: docs/format/snapshot.md. They are sealed, whatever the
// snapshot is; the keys are in a section of their own, of published ones only.
const (
	faceModelHeader = 16 // before the name of a model
	faceRowHeader   = 40 // before the sealed vector of a row
	faceKeysHeader  = 8
	faceKeySize     = 16 + 32
)

// How long nodes may use the faces of a published snapshot.
const (
	minFaceLifetime     = time.Minute
	DefaultFaceLifetime = 7 * 24 * time.Hour
	// MaxFaceLifetime is the maximum of Options.FaceLifetime. Readers refuse a
	// snapshot with a longer lifetime.
	MaxFaceLifetime = 30 * 24 * time.Hour
)

// faceKey is the key of the faces of an event.
type faceKey struct {
	event [16]byte
	key   embedding.Key
}

func findFaceKey(keys []faceKey, event [16]byte) (i int, ok bool) {
	return slices.BinarySearchFunc(keys, event, func(k faceKey, event [16]byte) int { return bytes.Compare(k.event[:], event[:]) })
}

func modelHeaderSize(m FaceModel) int { return (faceModelHeader + len(m.Name) + 7) &^ 7 }
func faceRowSize(m FaceModel) int     { return faceRowHeader + embedding.SealedSize(m) }

func compareModels(a, b FaceModel) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Dimensions, b.Dimensions))
}

// faceWriter holds what the face sections of a snapshot are made from. The
// vectors are sealed anew, each with the key of its event.
type faceWriter struct {
	models []*faceIndex
	rows   []int     // of each model
	keys   []faceKey // ascending, of all rows that are written
	until  int64     // 0 if the keys are not written
}

// sizes returns the lengths of the sections.
func (w *faceWriter) sizes() (faces, keys int64) {
	for i, m := range w.models {
		faces += int64(modelHeaderSize(m.model)) + int64(w.rows[i])*int64(faceRowSize(m.model))
	}
	if w.until != 0 && len(w.keys) > 0 {
		keys = faceKeysHeader + faceKeySize*int64(len(w.keys))
	}
	return faces, keys
}

// eachFace calls yield for the faces of a model in the order of their grants.
func eachFace(m *faceIndex, yield func(v FaceVector, r faceRow, event [16]byte)) {
	if m.base.segment != nil {
		for e := range m.base.segment.All() {
			yield(e.Vector, m.base.rows[e.ID], m.base.events[e.ID])
		}
	}
	since := make([]FaceVector, len(m.rows))
	for _, r := range m.runs {
		for e := range r.All() {
			since[e.ID] = e.Vector
		}
	}
	for _, e := range m.tail {
		since[e.ID] = e.Vector
	}
	for i, v := range since {
		yield(v, m.rows[i], m.events[i])
	}
}

// eachRow calls yield for the rows of a model, without those of a base that was
// loaded.
func eachRow(m *faceIndex, yield func(r faceRow, event [16]byte)) {
	for i := range m.base.events {
		yield(m.base.rows[i], m.base.events[i])
	}
	for i, r := range m.rows {
		yield(r, m.events[i])
	}
}

// A moment is the list as it is at one time, with the keys of its faces, of rules
// that have not ended.
type moment struct {
	view *State
	at   time.Time
	keys []faceKey // ascending
}

// forget overwrites the keys.
func (m *moment) forget() { clear(m.keys) }

// moment returns the list as it is now. A rule that is revoked between the State
// and the reading of its key has no key any more; a snapshot that has the rule
// and lacks the key would tell nodes that its faces were lost. So it looks again
// then, and in the end between commits, when no rule is revoked.
func (l *List) moment() (m moment, err error) {
	var changed bool
	for range 4 {
		if m, changed, err = l.tryMoment(); !changed || err != nil {
			return m, err
		}
	}
	// No event comes meanwhile, but the clock goes on, and rules end by it too. The
	// keys of a moment that changed are overwritten: they are never used.
	failed := l.writer.do(l.writer.ctx, func() {
		for m, changed, err = l.tryMoment(); changed && err == nil; m, changed, err = l.tryMoment() {
		}
	})
	return m, cmp.Or(failed, err)
}

// tryMoment reads a State and the keys of its faces one after the other. changed
// says that rules have ended meanwhile. A key that is missing otherwise is lost.
func (l *List) tryMoment() (m moment, changed bool, err error) {
	m = moment{view: l.State(), at: l.now()}
	grants := map[[16]byte]uint32{}
	for i := range m.view.faces {
		eachRow(&m.view.faces[i], func(r faceRow, event [16]byte) {
			if !m.view.hasEnded(r.grant, l.settledUnix()) {
				grants[event] = r.grant
			}
		})
	}
	m.keys = make([]faceKey, 0, len(grants)) // never moved, so that forget overwrites all there is
	defer func() {
		if changed || err != nil {
			m.forget()
		}
	}()
	for event, g := range grants {
		key, err := l.open.faceKeys.get(event)
		if errors.Is(err, errNoFaceKey) {
			now := l.State()
			g, ok := now.grantOf(m.view.seqOf(g))
			changed = changed || !ok || now.hasEnded(g, l.settledUnix())
			continue
		}
		if err != nil {
			return m, false, err
		}
		m.keys = append(m.keys, faceKey{event, key})
	}
	slices.SortFunc(m.keys, func(a, b faceKey) int { return bytes.Compare(a.event[:], b.event[:]) })
	return m, changed, nil
}

// collectFaces finds the faces that are to be written: those that there are keys
// for.
func (s *snapshotWriter) collectFaces(o *writeOptions) {
	w := &s.faces
	w.keys = o.faceKeys
	var models []*faceIndex
	for i := range s.v.faces {
		m := &s.v.faces[i]
		if m.base.rows != nil && m.base.events == nil {
			s.err = cmp.Or(s.err, fmt.Errorf("blocklist: the keys of a loaded list are not kept, so its faces cannot be written; copy its file: %w", ErrReadOnly))
			return
		}
		models = append(models, m)
	}
	slices.SortFunc(models, func(a, b *faceIndex) int { return compareModels(a.model, b.model) })
	for _, m := range models {
		rows := 0
		eachRow(m, func(r faceRow, event [16]byte) {
			if _, ok := findFaceKey(w.keys, event); ok && s.stays(r.grant) {
				rows++
			}
		})
		if rows > 0 {
			w.models, w.rows = append(w.models, m), append(w.rows, rows)
		}
	}
	if o.faceLifetime != 0 && len(w.keys) > 0 {
		w.until = s.header.created + int64(o.faceLifetime/time.Second)
		if o.encryption == nil {
			s.err = cmp.Or(s.err, fmt.Errorf("blocklist: %d rules have faces: %w", len(w.keys), ErrFacesUnencrypted))
		}
	}
}

func (s *snapshotWriter) stays(g uint32) bool { _, ok := s.newNumber(g); return ok }

// seqOf returns the number of the event that made a grant.
func (v *State) seqOf(g uint32) uint64 {
	if i := int(g) - v.base.len(); i >= 0 {
		return v.grants[i].seq
	}
	return v.base.seqs[g]
}

// endOf returns when a grant ends, 0 for never.
func (v *State) endOf(g uint32) int64 {
	if i := int(g) - v.base.len(); i >= 0 {
		return v.grants[i].end
	}
	_, end := v.base.times(g)
	return end
}

// hasEnded reports whether a grant was revoked, or its time is over.
func (v *State) hasEnded(g uint32, now int64) bool {
	end := v.endOf(g)
	return v.isDead(g) || end != 0 && now >= end
}

// writeFaces seals and writes the faces, and writes the keys.
func (s *snapshotWriter) writeFaces() {
	w := &s.faces
	var buf []byte
	for i, m := range w.models {
		buf = append(buf[:0], byte(len(m.model.Name)), 0)
		buf = le.AppendUint16(buf, uint16(m.model.Dimensions))
		buf = le.AppendUint32(buf, 0)
		buf = le.AppendUint64(buf, uint64(w.rows[i]))
		buf = append(buf, m.model.Name...)
		buf = append(buf, make([]byte, modelHeaderSize(m.model)-len(buf))...)
		s.columns[secFaces].bytes(buf)
		eachFace(m, func(v FaceVector, r faceRow, event [16]byte) {
			g, stays := s.newNumber(r.grant)
			k, ok := findFaceKey(w.keys, event)
			if !ok || !stays {
				return
			}
			limits := m.limits[r.limits]
			sealed, err := embedding.Seal(w.keys[k].key, sealContext(s.header.ID, event), v)
			s.err = cmp.Or(s.err, err)
			buf = le.AppendUint32(buf[:0], g)
			buf = le.AppendUint32(buf, 0)
			buf = append(buf, event[:]...)
			buf = le.AppendUint64(buf, math.Float64bits(limits.Block))
			buf = le.AppendUint64(buf, math.Float64bits(limits.Review))
			s.columns[secFaces].bytes(append(buf, sealed...))
		})
	}
	if c := s.columns[secFaceKeys]; c != nil {
		c.bytes(le.AppendUint64(nil, uint64(w.until)))
		for i := range w.keys {
			c.bytes(w.keys[i].event[:])
			c.bytes(w.keys[i].key[:])
		}
		c.flush()
		clear(c.buf[:cap(c.buf)])
	}
}

// parseFaces opens the faces of a snapshot: with the keys of the list that is
// open for writing, otherwise with those in the snapshot.
func (b *base) parseFaces(content *[secLast + 1][]byte, o *LoadOptions, encrypted bool) error {
	c := checker{content: content}
	keys, err := b.parseFaceKeys(&c, o, encrypted)
	if err != nil {
		return err
	}
	defer clear(keys)
	keyOf := func(event [16]byte) (embedding.Key, error) {
		if o.faceKeys != nil {
			return o.faceKeys.get(event)
		}
		if i, ok := findFaceKey(keys, event); ok {
			return keys[i].key, nil
		}
		return embedding.Key{}, errNoFaceKey
	}
	p := content[secFaces]
	b.facesShut = len(p) > 0 && o.faceKeys == nil && keys == nil
	var last FaceModel
	for len(p) > 0 {
		model, n, size, err := parseFaceModel(&c, p)
		if err != nil {
			return err
		}
		if compareModels(last, model) >= 0 {
			return c.fail(ErrFormat, secFaces, "model %q is out of order", model.Name)
		}
		last = model
		rows := p[modelHeaderSize(model):size:size]
		p = p[size:]
		f, err := b.parseFaceRows(&c, model, rows, n, o.faceKeys != nil, keyOf)
		if err != nil {
			return err
		}
		if len(f.rows) > 0 && !b.facesShut {
			b.faces = append(b.faces, f)
		}
	}
	return b.findLostFaces(&c)
}

// findLostFaces counts, for each grant, the faces that it came with and that did
// not open. A snapshot that was written without them tells so too.
func (b *base) findLostFaces(c *checker) error {
	there := map[uint32]int{}
	for _, f := range b.faces {
		for _, r := range f.rows {
			there[r.grant]++
		}
	}
	for g, n := range there {
		if came := int(b.attrs[g] >> attrFaces); n > came {
			return c.fail(ErrFormat, secFaces, "grant %d came with %d faces and has %d", g, came, n)
		}
	}
	b.lostFaces = map[uint32]int{}
	if b.facesShut {
		return nil
	}
	for g, attr := range b.attrs {
		if lost := int(attr>>attrFaces) - there[uint32(g)]; lost > 0 {
			b.lostFaces[uint32(g)] = lost
		}
	}
	return nil
}

// parseFaceKeys returns the keys in a snapshot; nil if it has none, or if they
// are too old to be used.
func (b *base) parseFaceKeys(c *checker, o *LoadOptions, encrypted bool) ([]faceKey, error) {
	p := c.content[secFaceKeys]
	if len(p) == 0 {
		return nil, nil
	}
	if !encrypted {
		return nil, c.fail(ErrFormat, secFaceKeys, "lie in a file that is not encrypted")
	}
	if len(p) < faceKeysHeader+faceKeySize || (len(p)-faceKeysHeader)%faceKeySize != 0 {
		return nil, c.fail(ErrFormat, secFaceKeys, "%d bytes", len(p))
	}
	b.facesUntil = int64(le.Uint64(p))
	if life := b.facesUntil - b.header.created; life <= 0 || life > int64(MaxFaceLifetime/time.Second) {
		return nil, c.fail(ErrFormat, secFaceKeys, "are good until %d, the snapshot is of %d", b.facesUntil, b.header.created)
	}
	p = p[faceKeysHeader:]
	keys := make([]faceKey, len(p)/faceKeySize)
	for i := range keys {
		copy(keys[i].event[:], p)
		copy(keys[i].key[:], p[16:])
		if i > 0 && bytes.Compare(keys[i-1].event[:], keys[i].event[:]) >= 0 {
			clear(keys)
			return nil, c.fail(ErrFormat, secFaceKeys, "key %d is out of order", i)
		}
		p = p[faceKeySize:]
	}
	if o.Now != nil && o.Now().Unix() >= b.facesUntil {
		clear(keys)
		return nil, nil
	}
	return keys, nil
}

// parseFaceModel reads the header of a model, and returns the number of its rows
// and the length of all of it in p.
func parseFaceModel(c *checker, p []byte) (m FaceModel, n, size int, err error) {
	if len(p) < faceModelHeader || len(p) < faceModelHeader+int(p[0]) {
		return m, 0, 0, c.fail(ErrFormat, secFaces, "%d bytes are left over", len(p))
	}
	m = FaceModel{Name: string(p[faceModelHeader : faceModelHeader+int(p[0])]), Dimensions: int(le.Uint16(p[2:]))}
	if err := m.Check(); err != nil {
		return m, 0, 0, c.fail(ErrFormat, secFaces, "%v", err)
	}
	header, rows := modelHeaderSize(m), le.Uint64(p[8:])
	if p[1] != 0 || le.Uint32(p[4:]) != 0 || len(p) < header || len(bytes.Trim(p[faceModelHeader+len(m.Name):header], "\x00")) != 0 {
		return m, 0, 0, c.fail(ErrFormat, secFaces, "padding of model %q is not zero", m.Name)
	}
	if rows == 0 || rows > uint64((len(p)-header)/faceRowSize(m)) || rows > math.MaxUint32 {
		return m, 0, 0, c.fail(ErrFormat, secFaces, "%d rows of model %q in %d bytes", rows, m.Name, len(p)-header)
	}
	n = int(rows)
	return m, n, header + n*faceRowSize(m), nil
}

// parseFaceRows opens the faces of one model. Those whose key is gone are left
// out.
func (b *base) parseFaceRows(c *checker, model FaceModel, p []byte, n int, withEvents bool, keyOf func([16]byte) (embedding.Key, error)) (*baseFaces, error) {
	f := &baseFaces{}
	limitsOf := map[FaceLimits]uint32{}
	size := faceRowSize(model)
	rows := make([]faceRow, n)
	for i := range rows {
		row := p[i*size:]
		limits := FaceLimits{math.Float64frombits(le.Uint64(row[24:])), math.Float64frombits(le.Uint64(row[32:]))}
		g := le.Uint32(row)
		switch {
		case le.Uint32(row[4:]) != 0 || int64(g) >= int64(b.len()) || i > 0 && g < rows[i-1].grant:
			return nil, c.fail(ErrFormat, secFaces, "row %d of model %q is of grant %d", i, model.Name, g)
		case limits.check() != "":
			return nil, c.fail(ErrFormat, secFaces, "row %d of model %q: %s", i, model.Name, limits.check())
		case row[faceRowHeader] != 1:
			return nil, c.fail(ErrVersion, secFaces, "row %d of model %q is sealed by version %d", i, model.Name, row[faceRowHeader])
		}
		l, ok := limitsOf[limits]
		if !ok {
			l = uint32(len(f.limits))
			limitsOf[limits] = l
			f.limits = append(f.limits, limits)
		}
		rows[i] = faceRow{g, l}
	}
	if b.facesShut {
		return f, nil
	}
	vectors, err := openFaces(n, func(i int) (FaceVector, error) {
		event := [16]byte(p[i*size+8:])
		key, err := keyOf(event)
		if err != nil {
			return FaceVector{}, err
		}
		defer clear(key[:])
		return openFace(key, b.header.ID, event, &Face{Model: model, Sealed: p[i*size+faceRowHeader : (i+1)*size]})
	})
	if err != nil {
		return nil, c.fail(ErrFormat, secFaces, "model %q: %v", model.Name, err)
	}
	entries := make([]embedding.Entry, 0, n)
	for i, v := range vectors {
		if v.IsZero() {
			continue // findLostFaces sees that it is missing
		}
		entries = append(entries, embedding.Entry{Vector: v, ID: uint32(len(f.rows))})
		f.rows = append(f.rows, rows[i])
		if withEvents {
			f.events = append(f.events, [16]byte(p[i*size+8:]))
		}
	}
	if len(entries) > 0 {
		f.segment, err = embedding.NewSegment(model, entries)
	}
	return f, err
}

// openFaces calls open for each of n faces, on all processors. A face whose key
// is gone becomes the zero vector.
func openFaces(n int, open func(i int) (FaceVector, error)) ([]FaceVector, error) {
	const batch = 256
	vectors := make([]FaceVector, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var work sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 8, (n+batch-1)/batch) {
		work.Go(func() {
			for from := int(next.Add(batch)) - batch; from < n && failed.Load() == nil; from = int(next.Add(batch)) - batch {
				for i := from; i < min(from+batch, n); i++ {
					v, err := open(i)
					if err != nil && !errors.Is(err, errNoFaceKey) {
						err = fmt.Errorf("row %d: %w", i, err)
						failed.Store(&err)
						return
					}
					vectors[i] = v
				}
			}
		})
	}
	work.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return vectors, nil
}
