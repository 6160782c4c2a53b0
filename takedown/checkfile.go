package takedown

import (
	"context"
	"errors"
	"io"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
)

// CheckFile decides about an image file, with the verdict of [Inspect] and
// [Enforcer.Check]. It takes the cheap steps first and stops when no later step can
// change the verdict: addresses, the digest of the file, the hashes of its
// pictures, local features, faces. It computes features only if a list has
// features, and finds faces only if a list has faces. It reads nothing of r when
// an address decides.
//
// The candidate has the data that were needed. Decision.Checked lists what was
// compared, and lacks tiers for which the lists have no keys. To store all data
// of a file, use Inspect.
//
// The errors are those of [InspectContext]. The decision is valid also with an
// error. If ctx ends before a decision to block, the verdict is [Unknown].
func (e *Enforcer) CheckFile(ctx context.Context, r io.Reader, src Source, opts *InspectOptions) (Decision, Candidate, error) {
	return e.checkFile(ctx, where{}, r, src, opts)
}

// CheckFile is [Enforcer.CheckFile] in the region.
func (r Region) CheckFile(ctx context.Context, file io.Reader, src Source, opts *InspectOptions) (Decision, Candidate, error) {
	return r.e.checkFile(ctx, r.in, file, src, opts)
}

func (e *Enforcer) checkFile(ctx context.Context, in where, r io.Reader, src Source, opts *InspectOptions) (Decision, Candidate, error) {
	if r == nil {
		return Decision{}, Candidate{}, &ArgumentError{"CheckFile", "the reader is nil"}
	}
	if opts == nil {
		opts = new(InspectOptions)
	}
	start := e.observed.begin(queryCheckFile)
	c := src.candidate()
	f := fileCheck{inspection: inspection{ctx: ctx, opts: opts, c: &c}, q: blocklist.Query{Territory: in.territory}}
	f.w.begin(e, in)
	f.w.far = true
	err := f.run(r, &src)
	e.count(&f.w, &c.SHA256, c.Hashes)
	d := f.w.decision()
	if ctx.Err() != nil && err != nil && d.Verdict < Block {
		d = Decision{Checked: d.Checked}
	}
	e.observed.end(queryCheckFile, start)
	return d, c, err
}

// fileCheck is a CheckFile that runs: an inspection that weighs what it finds at
// once.
type fileCheck struct {
	inspection
	w weighing
	q blocklist.Query
}

// errDecided ends an inspection whose outcome is known.
var errDecided = errors.New("decided")

func (f *fileCheck) run(r io.Reader, src *Source) error {
	// Before the hashes are known, only hits of rules without exceptions count.
	f.w.early = true
	if f.lists(func() { f.w.exact(&f.q, f.c) }); !f.w.open() {
		return nil
	}
	file, err := readImage(f.ctx, r, f.c, src, f.opts.decoding(), f.needsDigests())
	f.q.File, f.q.SHA1, f.q.MD5 = f.c.SHA256, f.c.SHA1, f.c.MD5
	if err == nil {
		if f.lists(func() { f.w.exact(&f.q, f.c) }); !f.w.open() {
			return nil
		}
		err = f.decode(file, isImage(src, file), f.look)
	}
	if !errors.Is(err, errDecided) {
		f.complete()
	} else {
		err = nil
	}
	return errors.Join(err, f.noFaces)
}

// needsDigests reports whether a list has files by SHA-1 or MD5.
func (f *fileCheck) needsDigests() bool {
	for i := range f.w.e.sources {
		if sha1, md5 := f.w.e.sources[i].list.State().NeedsDigests(); sha1 || md5 {
			return true
		}
	}
	return false
}

// lists asks all lists.
func (f *fileCheck) lists(ask func()) {
	for i := range f.w.e.sources {
		if f.w.enter(i, &f.q) {
			ask()
		}
	}
}

// look compares a picture of the file, in the order of the costs.
func (f *fileCheck) look(pic *phash.Picture) error {
	frame, fresh, err := f.hashed(pic)
	if !fresh || err != nil {
		return err
	}
	f.put(frame)
	i, w := len(f.c.Frames), &f.w
	w.early, f.q.Animated, w.terms.frame = false, i > 0, i
	wanted := !f.opts.NoFeatures && f.needsFeatures()
	// Features can weaken a match by hash. As long as they are not known, it counts
	// as if they did.
	f.lists(func() { w.nearOf(&f.q, frame.Hashes, wanted && !f.c.Damage.Visible()) })
	if w.open() && wanted {
		*f.c.featuresAt(i), err = f.features(pic)
		f.lists(func() {
			if w.open() {
				w.insideOf(&f.q, i, f.c.Picture(i))
			}
		})
	}
	if w.open() && f.needsFaces() {
		*f.c.facesAt(i) = f.faces(pic)
		w.unseen = f.c.FacesUnseen
		f.lists(func() {
			var seen faceCount
			w.peopleOf(&f.q, i, f.c.Picture(i), &seen)
			w.settle(seen)
		})
	}
	if !w.open() {
		return errDecided
	}
	if err != nil {
		return err
	}
	return f.parts(pic)
}

// complete asks again what was asked before all of the file was known.
func (f *fileCheck) complete() {
	w, c := &f.w, f.c
	w.early, f.q.Animated, w.partly, w.undecodable, w.unseen = false, len(c.Frames) > 0, c.partly(), c.Undecodable, c.FacesUnseen
	if w.shielded && f.q.Animated {
		w.candidate(c)
		return
	}
	if w.postponed {
		f.lists(func() { w.exact(&f.q, c) })
	}
	if w.open() && w.doubted {
		f.lists(func() { w.near(&f.q, c) })
	}
}

// needsFeatures reports whether a match by features, or one that features confirm,
// can be stronger than what was found.
func (f *fileCheck) needsFeatures() bool {
	for i := range f.w.e.sources {
		s := &f.w.e.sources[i]
		if s.list.State().SearchesFeatures() && (!s.holds || f.w.best.Verdict < Review) {
			return true
		}
	}
	return false
}

// needsFaces reports whether faces have to be looked for.
func (f *fileCheck) needsFaces() bool { return f.opts.FaceEmbedder != nil && f.w.e.looksForFaces() }
