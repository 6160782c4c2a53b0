package web

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// A draft is a form that somebody is filling in. It is in memory only, and its
// files are sealed, so that nothing is left when it is dropped.
type draft struct {
	visitor string
	door    string
	request request.Request
	// completes is the case that the form completes.
	completes takedown.CaseID
	problems  []request.Problem
	checked   *request.Checked // of the request as it is, or nil: pictures are examined once
	used      time.Time
}

// draftLife is how long a draft waits for its writer.
const draftLife = time.Hour

// drafts keeps the drafts of all visitors, at most max.
type drafts struct {
	now func() time.Time
	max int

	mu   sync.Mutex
	list map[string]*draft
}

func newDrafts(now func() time.Time, max int) *drafts {
	return &drafts{now: now, max: max, list: map[string]*draft{}}
}

// put keeps a draft, under its number or a new one.
func (d *drafts) put(id string, v draft) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if old := d.list[id]; old == nil || old.visitor != v.visitor || old.door != v.door {
		id = rand.Text()
		d.makeRoom(now)
	}
	v.used = now
	d.list[id] = &v
	return id
}

// makeRoom drops what nobody came back to, and the oldest when there is no room.
func (d *drafts) makeRoom(now time.Time) {
	var oldest string
	for id, v := range d.list {
		if now.Sub(v.used) > draftLife {
			delete(d.list, id)
		} else if oldest == "" || v.used.Before(d.list[oldest].used) {
			oldest = id
		}
	}
	if len(d.list) >= d.max {
		delete(d.list, oldest)
	}
}

// get returns a draft of a visitor.
func (d *drafts) get(id, visitor string) (draft, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.list[id]
	if v == nil || v.visitor != visitor || d.now().Sub(v.used) > draftLife {
		return draft{}, false
	}
	v.used = d.now()
	return *v, true
}

// take returns a draft and drops it, so that a form that is sent twice is one case.
func (d *drafts) take(id, visitor string) (draft, bool) {
	v, ok := d.get(id, visitor)
	if ok {
		d.mu.Lock()
		_, ok = d.list[id]
		delete(d.list, id)
		d.mu.Unlock()
	}
	return v, ok
}

// withImages adds the pictures that were sent before to those that come now,
// without repeating one.
func withImages(r request.Request, before []request.File) request.Request {
	images := slices.Clone(before)
	for _, f := range request.Images(r) {
		if !slices.ContainsFunc(images, f.Equal) {
			images = append(images, f)
		}
	}
	return request.WithImages(r, images)
}
