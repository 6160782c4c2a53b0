// Package takedownbleve keeps what is blocked out of the answers of a bleve index.
//
//	f := &takedownbleve.Filter{Index: index, Enforcer: enforcer, Lists: lists, Fields: takedownbleve.Fields{URL: "url", Hash: "hash"}}
//	go f.Run(ctx, time.Minute, func(err error) { log.Print(err) })
//	res, err := f.Search(ctx, request, "DE")
//
// Filter keeps a verdict for each document that is not simply allowed, in bitmaps
// beside the index. A document without one costs a look-up in a bitmap. Update
// sweeps the index for what the lists got since. Until it is through, the documents
// of each answer are asked about one by one, so a removal counts from the next
// answer on.
package takedownbleve

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/search"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Fields are the names of stored fields of a document. Empty ones are not read.
type Fields struct {
	// URL is the address of the image, Page that of the page that shows it.
	URL, Page string
	// Hash is the hash of the image in the form of phash.Parse. It may have several
	// values.
	Hash string
}

// Filter filters the answers of an index. Its exported fields must not change after
// the first call. It is safe for concurrent use.
type Filter struct {
	Index    bleve.Index
	Enforcer *takedown.Enforcer
	// Lists are the lists of the enforcer. Filter compares their numbers with those
	// of the last Update.
	Lists []takedown.ListSource
	// Fields name what is known of a document. Candidate, unless nil, is asked
	// instead, for example if the data are in a database.
	Fields    Fields
	Candidate func(ctx context.Context, id string) (takedown.Candidate, error)
	// Items returns all documents for Update, in the order of their ids. nil reads
	// them from the index, which a database usually does faster.
	Items takedown.Items
	// Number turns the id of a document into a number. nil reads decimal ids.
	// Documents without a number are asked about in each answer.
	Number func(id string) (uint32, bool)
	// HideReview also leaves out what is to be reviewed.
	HideReview bool

	now    atomic.Pointer[verdicts]
	update sync.Mutex // held by Update
	cursor takedown.Cursor
}

// verdicts are the documents that are not simply allowed. The value never changes.
type verdicts struct {
	// block are blocked everywhere. ask are those whose answer depends on the
	// country of the viewer, or that are to be reviewed.
	block, ask *roaring.Bitmap
	// ids of both, to look at them again when a list changes.
	ids  map[uint32]string
	seqs []uint64 // of the lists
}

// number returns the number of a document; ok is false if it has none.
func (f *Filter) number(id string) (n uint32, ok bool) {
	if f.Number != nil {
		return f.Number(id)
	}
	x, err := strconv.ParseUint(id, 10, 32)
	return uint32(x), err == nil
}

// candidate returns what is known of a document.
func (f *Filter) candidate(ctx context.Context, id string) (c takedown.Candidate, err error) {
	if f.Candidate != nil {
		return f.Candidate(ctx, id)
	}
	doc, err := f.Index.Document(id)
	if err != nil || doc == nil {
		return c, err
	}
	doc.VisitFields(func(x index.Field) {
		text := string(x.Value())
		switch x.Name() {
		case "":
		case f.Fields.URL:
			c.ImageURLs = append(c.ImageURLs, text)
		case f.Fields.Page:
			c.PageURLs = append(c.PageURLs, text)
		case f.Fields.Hash:
			if h, failed := phash.Parse(text); failed == nil {
				c.Hashes = append(c.Hashes, h)
			} else {
				err = errors.Join(err, failed)
			}
		}
	})
	return c, err
}

// seqs are the numbers of the lists.
func (f *Filter) seqs(into []uint64) []uint64 {
	for _, l := range f.Lists {
		into = append(into, l.List.State().Seq())
	}
	return into
}

// current reports whether the verdicts are those of the lists as they are now.
func (f *Filter) current(v *verdicts) bool {
	if v == nil {
		return false
	}
	for i, l := range f.Lists {
		if l.List.State().Seq() != v.seqs[i] || l.List.Closed() {
			return false
		}
	}
	return true
}

// Search runs a request and filters its answer for a viewer in a country, ISO 3166-1
// alpha-2. With an empty country every rule counts. It asks for more where hits were
// left out, so that a page is full if there is enough.
func (f *Filter) Search(ctx context.Context, req *bleve.SearchRequest, country string) (*bleve.SearchResult, error) {
	size := req.Size
	for more := size; ; {
		again := *req
		again.Size = more
		res, err := f.Index.SearchInContext(ctx, &again)
		if err != nil {
			return nil, err
		}
		whole := len(res.Hits) < more
		if err := f.Hits(ctx, res, country); err != nil {
			return nil, err
		}
		if len(res.Hits) >= size || whole || more >= 8*size {
			res.Hits = res.Hits[:min(size, len(res.Hits))]
			res.Request = req
			return res, nil
		}
		more *= 2
	}
}

// Hits leaves out of an answer what a viewer in a country must not see. Total is
// reduced by the number of hits that were left out, not by those on other pages.
func (f *Filter) Hits(ctx context.Context, res *bleve.SearchResult, country string) error {
	v := f.now.Load()
	current := f.current(v)
	kept := res.Hits[:0]
	for _, h := range res.Hits {
		keep, err := f.keeps(ctx, v, current, h, country)
		if err != nil {
			return err
		}
		if keep {
			kept = append(kept, h)
		}
	}
	res.Total -= uint64(len(res.Hits) - len(kept))
	clear(res.Hits[len(kept):])
	res.Hits = kept
	return nil
}

func (f *Filter) keeps(ctx context.Context, v *verdicts, current bool, h *search.DocumentMatch, country string) (bool, error) {
	n, ok := f.number(h.ID)
	if ok && current {
		if v.block.Contains(n) {
			return false, nil
		}
		if !v.ask.Contains(n) {
			return true, nil
		}
	}
	c, err := f.candidate(ctx, h.ID)
	if err != nil {
		return false, fmt.Errorf("takedownbleve: %w", err)
	}
	d := ask(f.Enforcer.In(country), &c)
	return d.Verdict == takedown.Allow || d.Verdict == takedown.Review && !f.HideReview, nil
}

// view is an Enforcer or a Region.
type view interface {
	Filter(imageURL string, hashes ...phash.Hash) takedown.Decision
	FilterURL(imageURL string) takedown.Decision
	Check(c takedown.Candidate) takedown.Decision
}

// ask returns the strongest decision about a document. There are no pixels, so the
// radius of Filter is used.
func ask(in view, c *takedown.Candidate) takedown.Decision {
	worst := in.Filter("", c.Hashes...)
	for _, u := range c.ImageURLs {
		if d := in.FilterURL(u); d.Stronger(worst) {
			worst = d
		}
	}
	if len(c.PageURLs) > 0 {
		if d := in.Check(takedown.Candidate{PageURLs: c.PageURLs}); d.Stronger(worst) {
			worst = d
		}
	}
	return worst
}

// Run calls Update whenever a list has changed, and at least every interval, until
// ctx ends. The interval bounds how late a rule counts whose time begins or ends by
// the clock.
func (f *Filter) Run(ctx context.Context, every time.Duration, failed func(error)) error {
	look := time.NewTicker(min(every, 500*time.Millisecond))
	defer look.Stop()
	var last time.Time
	for {
		if time.Since(last) >= every || !f.current(f.now.Load()) {
			if err := f.Update(ctx); err != nil && ctx.Err() == nil && failed != nil {
				failed(err)
			}
			last = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// Update brings the verdicts to the state of the lists: it sweeps the index for what
// the lists got since the last Update, and asks again about the documents that have
// a verdict.
func (f *Filter) Update(ctx context.Context) error {
	f.update.Lock()
	defer f.update.Unlock()
	seqs := f.seqs(nil) // before the sweep: what comes meanwhile is left for the next
	next := &verdicts{block: roaring.New(), ask: roaring.New(), ids: map[uint32]string{}, seqs: seqs}
	begin := f.cursor
	if old := f.now.Load(); old != nil {
		for n, id := range old.ids {
			c, err := f.candidate(ctx, id)
			if err != nil {
				return err
			}
			f.put(next, n, id, c)
		}
		ended, err := f.exceptionEnded(ctx, &begin)
		if err != nil {
			return err
		}
		if ended {
			begin = takedown.Cursor{}
		}
	}
	items := f.Items
	if items == nil {
		items = f.items
	}
	for found, err := range f.Enforcer.Sweep(ctx, items, &begin) {
		if err != nil {
			return err
		}
		if n, ok := f.number(found.Item.Key); ok {
			f.put(next, n, found.Item.Key, found.Item.Candidate)
		}
	}
	next.block.RunOptimize()
	next.ask.RunOptimize()
	f.cursor = begin
	f.now.Store(next)
	return nil
}

// exceptionEnded reports whether pictures may match again that rules had to leave
// alone: only a sweep of everything finds them. Lists without a journal do not tell.
func (f *Filter) exceptionEnded(ctx context.Context, at *takedown.Cursor) (bool, error) {
	since := takedown.Cursor{Seen: at.Seen}
	for e, err := range f.Enforcer.Events(ctx, &since) {
		if errors.Is(err, blocklist.ErrReadOnly) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if e.Type == takedown.ExceptionEnded {
			return true, nil
		}
	}
	return false, nil
}

// put notes the verdict about a document. It asks without a country, so that a
// verdict that depends on the country is Restricted.
func (f *Filter) put(v *verdicts, n uint32, id string, c takedown.Candidate) {
	switch d := ask(f.Enforcer, &c); d.Verdict {
	case takedown.Allow:
		return
	case takedown.Block:
		v.block.Add(n)
	default:
		v.ask.Add(n)
	}
	v.ids[n] = id
}

// Counts returns how many documents are blocked, and how many are asked about in
// each answer.
func (f *Filter) Counts() (blocked, asked uint64) {
	v := f.now.Load()
	if v == nil {
		return 0, 0
	}
	return v.block.GetCardinality(), v.ask.GetCardinality()
}

// sweepPage is how many documents are read from the index at a time.
const sweepPage = 20_000

// items reads the documents of the index in the order of their ids.
func (f *Filter) items(ctx context.Context, after string) iter.Seq2[takedown.Item, error] {
	return func(yield func(takedown.Item, error) bool) {
		for {
			req := bleve.NewSearchRequestOptions(bleve.NewMatchAllQuery(), sweepPage, 0, false)
			req.SortBy([]string{"_id"})
			if after != "" {
				req.SetSearchAfter([]string{after})
			}
			res, err := f.Index.SearchInContext(ctx, req)
			if err != nil {
				yield(takedown.Item{}, err)
				return
			}
			for _, h := range res.Hits {
				c, err := f.candidate(ctx, h.ID)
				if !yield(takedown.Item{Key: h.ID, Candidate: c}, err) || err != nil {
					return
				}
				after = h.ID
			}
			if len(res.Hits) < sweepPage {
				return
			}
		}
	}
}
