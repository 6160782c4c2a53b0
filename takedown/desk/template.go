package desk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// ErrTemplateDestroyed is returned when the template of a face was destroyed: a
// decision destroyed its key, or its picture was replaced. The requester has to
// send pictures of the face again.
var ErrTemplateDestroyed = errors.New("takedown: the template of the face was destroyed")

// What is kept of a face lies in BucketTemplates, each sealed under a key of its
// own, which lies beside the keys of the cases. It lives as long as its case may
// need it: until a decision against it, or the end of the case. Then its id
// leaves the case and the sealed bytes leave the bucket, in the transaction that
// moves the case, and after that the key is overwritten. Between the two a crash
// can come: Open destroys every key whose id is in no case.
//
// docs/decisions/face-templates.md says why not under the key of the case or of
// the operator.

// needed reports whether the template of an item may still be needed.
func (c *caseRecord) needed(it *CaseItem) bool {
	switch {
	case c.Erased(), c.ended(), c.State == StateRevoking:
		return false
	}
	return it.Outcome == "" || it.Outcome == OutcomeAccepted
}

// dropTemplates takes out of a case the ids of the templates that it does not
// need any more.
func (c *caseRecord) dropTemplates() {
	for i := range c.Items {
		if it := &c.Items[i]; it.Template != nil && !c.needed(it) {
			c.gone = append(c.gone, it.Template)
			it.Template = nil
		}
	}
}

// giveTemplates makes keys for the templates of a new or completed request.
// Should it fail, or the case not be stored, Open destroys what was made.
func (s *caseStore) giveTemplates(c *caseRecord, templates map[int]request.FaceTemplate) (sealed map[[16]byte][]byte, err error) {
	for i, t := range templates {
		id := newCaseID()
		key, err := s.keys.create(id)
		if err != nil {
			s.doubt((&change{templates: sealed}).made()...)
			return nil, err
		}
		b, err := json.Marshal(t)
		if err != nil {
			return nil, fmt.Errorf("takedown: template: %w", err)
		}
		if sealed == nil {
			sealed = map[[16]byte][]byte{}
		}
		sealed[id] = seal(key, label("template", c.ID), b)
		clear(b)
		c.Items[i].Template = id[:]
	}
	return sealed, nil
}

// template opens the template of an item.
func (s *caseStore) template(c *caseRecord, i int) (t request.FaceTemplate, err error) {
	err = s.db.View(func(tx StoreTx) error {
		t, err = s.openTemplate(tx, c, i)
		return err
	})
	return t, err
}

func (s *caseStore) openTemplate(tx StoreTx, c *caseRecord, i int) (t request.FaceTemplate, err error) {
	destroyed := fmt.Errorf("takedown: case %v, item %d: %w", c.ID, i, ErrTemplateDestroyed)
	id := c.Items[i].Template
	if len(id) != len(takedown.CaseID{}) {
		return t, destroyed
	}
	key, err := s.keys.get(takedown.CaseID(id))
	if errors.Is(err, ErrErased) {
		return t, destroyed
	}
	if err != nil {
		return t, err
	}
	b, err := tx.Get(BucketTemplates, id)
	if err != nil {
		return t, err
	}
	if b == nil {
		// c may have been read before the move that took the template away, and
		// whose last step, the end of the key, is still to come.
		now, err := s.getIn(tx, c.ID)
		switch {
		case err != nil:
			return t, err
		case !slices.ContainsFunc(templatesOf(now), func(named []byte) bool { return bytes.Equal(named, id) }):
			return t, destroyed
		}
		return t, fmt.Errorf("%w: a template of case %v is missing", ErrStore, c.ID)
	}
	if b, err = unseal(key, label("template", c.ID), b); err != nil {
		return t, err
	}
	defer clear(b)
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("%w: a template of case %v is no JSON", ErrStore, c.ID) // err could tell what it is
	}
	return t, nil
}

// withoutTemplates returns a request as it is stored: without what makes the
// template of a face.
func withoutTemplates(r request.Request) request.Request {
	if f, ok := r.(request.FaceOptOut); ok {
		f.Images, f.Marks, f.Faces = nil, nil, nil
		return f
	}
	return r
}

// addTemplates puts back into a request what its templates hold, each where it
// was: of the others, that are gone, the places stay empty as long as one is
// left. gone says that the key of one that the case names is not there.
func (s *caseStore) addTemplates(tx StoreTx, c *caseRecord) (gone bool, err error) {
	f, ok := c.Request.(request.FaceOptOut)
	if !ok {
		return false, nil
	}
	left := false
	for i := range c.Items {
		it := &c.Items[i]
		image, isImage := it.number("images")
		face, isFace := it.number("faces")
		switch {
		case isImage:
			f.Images, f.Marks = extend(f.Images, image), extend(f.Marks, image)
		case isFace:
			f.Faces = extend(f.Faces, face)
		}
		t, err := s.openTemplate(tx, c, i)
		switch {
		case errors.Is(err, ErrTemplateDestroyed):
			gone = gone || it.Template != nil
			continue
		case err != nil:
			return false, err
		case isImage:
			f.Images[image], f.Marks[image] = request.FromBytes(t.Image), t.Mark
		case isFace:
			f.Faces[face] = t.Face
		}
		left = true
	}
	if !left {
		f.Images, f.Faces = nil, nil
	}
	if !slices.ContainsFunc(f.Marks, func(m string) bool { return m != "" }) {
		f.Marks = nil
	}
	c.Request = f
	return gone, nil
}

// extend returns a slice that has an element i.
func extend[T any](s []T, i int) []T { return append(s, make([]T, max(0, i+1-len(s)))...) }

// templatesOf returns the ids of the templates of a case.
func templatesOf(c *caseRecord) (ids [][]byte) {
	for _, it := range c.Items {
		if it.Template != nil {
			ids = append(ids, bytes.Clone(it.Template))
		}
	}
	return ids
}
