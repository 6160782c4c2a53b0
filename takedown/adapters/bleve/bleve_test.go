package takedownbleve_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	takedownbleve "github.com/staydown/staydown/takedown/adapters/bleve"
)

// image is a document.
type image struct {
	Title string `json:"title"`
	URL   string `json:"url"`
	Page  string `json:"page"`
	Hash  string `json:"hash"`
}

// hash makes a plausible PDQ hash of a number.
func hash(n int) phash.Hash {
	var b [32]byte
	r := rand.New(rand.NewPCG(uint64(n), 9))
	for i, at := range r.Perm(256) {
		if i < 128 {
			b[at/8] |= 1 << (at % 8)
		}
	}
	return phash.FromPDQ(b)
}

func documentOf(n int) image {
	return image{fmt.Sprintf("photo number %d of the sea", n), fmt.Sprintf("https://img.example/%d.jpg", n), fmt.Sprintf("https://example.com/page/%d", n/10), hash(n).String()}
}

type world struct {
	index bleve.Index
	list  *blocklist.List
	f     *takedownbleve.Filter
	next  atomic.Uint64
}

// newWorld makes an index with n documents.
func newWorld(tb testing.TB, n int) *world {
	tb.Helper()
	idx, err := bleve.New(tb.TempDir()+"/index", bleve.NewIndexMapping())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { idx.Close() })
	b := idx.NewBatch()
	for i := range n {
		if err := b.Index(strconv.Itoa(i), documentOf(i)); err != nil {
			tb.Fatal(err)
		}
		if b.Size() == 2000 || i == n-1 {
			if err := idx.Batch(b); err != nil {
				tb.Fatal(err)
			}
			b.Reset()
		}
	}
	l, err := blocklist.New(blocklist.NewMemoryJournal(), "", &blocklist.Options{CompactAfter: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	lists := []takedown.ListSource{{List: l}}
	e, err := takedown.NewEnforcer(lists, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &world{index: idx, list: l, f: &takedownbleve.Filter{Index: idx, Enforcer: e, Lists: lists, Fields: takedownbleve.Fields{URL: "url", Page: "page", Hash: "hash"}}}
}

func (w *world) add(tb testing.TB, r blocklist.Rule) uint64 {
	tb.Helper()
	e := blocklist.Event{Type: blocklist.EventAdded, Rule: &r}
	binary.BigEndian.PutUint64(e.ID[:], w.next.Add(1))
	seqs, err := w.list.Append(context.Background(), e)
	if err != nil {
		tb.Fatal(err)
	}
	return seqs[0]
}

func (w *world) address(tb testing.TB, kind blocklist.AddressKind, u string) blocklist.Keys {
	d, err := w.list.Digest(kind, u)
	if err != nil {
		tb.Fatal(err)
	}
	return blocklist.Keys{Addresses: []blocklist.Address{{Kind: kind, Digest: d}}}
}

// search returns the ids that a viewer sees of the documents from 0 to 99.
func (w *world) search(tb testing.TB, country string) (ids []string) {
	tb.Helper()
	req := bleve.NewSearchRequestOptions(bleve.NewMatchQuery("sea"), 100, 0, false)
	req.SortBy([]string{"_id"})
	res, err := w.f.Search(context.Background(), req, country)
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range res.Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

func TestFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 300)
	de, _ := blocklist.ParseTerritory("DE")
	sees := func(when, country, id string, want bool) {
		t.Helper()
		if got := slices.Contains(w.search(t, country), id); got != want {
			t.Errorf("%s: a viewer in %q sees %s: %t", when, country, id, got)
		}
	}
	for _, updated := range []bool{false, true} { // before the first Update, and with kept verdicts
		when := fmt.Sprint("updated ", updated)
		if updated {
			if err := w.f.Update(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		sees(when, "DE", "10", true)
		if n := len(w.search(t, "DE")); n != 100 {
			t.Errorf("%s: %d results", when, n)
		}
	}
	rule := w.add(t, blocklist.Rule{Kind: 2, Scope: blocklist.ScopeURL, Effect: 1, Keys: w.address(t, blocklist.ImageAddress, "https://img.example/10.jpg")})
	w.add(t, blocklist.Rule{Kind: 2, Scope: blocklist.ScopeURL, Effect: 1, Territories: []blocklist.Territory{de}, Keys: w.address(t, blocklist.ImageAddress, "https://img.example/100.jpg")})
	near := hash(101).Bytes()
	near[3] ^= 0x11
	h, _ := phash.FromPDQSlice(near)
	w.add(t, blocklist.Rule{Kind: 1, Scope: blocklist.ScopeDuplicate, Effect: 1, Keys: blocklist.Keys{Hashes: []blocklist.HashKey{{Hash: h}}}})
	w.add(t, blocklist.Rule{Kind: 2, Scope: blocklist.ScopeURL, Effect: 2, Keys: w.address(t, blocklist.ImageAddress, "https://img.example/102.jpg")})
	w.add(t, blocklist.Rule{Kind: 2, Scope: blocklist.ScopeURL, Effect: 1, Keys: w.address(t, blocklist.PageAddress, "https://example.com/page/11")}) // 110 to 119
	for _, updated := range []bool{false, true} {
		when := fmt.Sprint("rules, updated ", updated)
		if updated {
			if err := w.f.Update(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		sees(when, "FR", "10", false)
		sees(when, "", "10", false)
		sees(when, "DE", "100", false)
		sees(when, "FR", "100", true)
		sees(when, "FR", "101", false)
		sees(when, "FR", "102", true)
		sees(when, "FR", "115", false)
		sees(when, "FR", "12", true)
		if n := len(w.search(t, "DE")); n != 100 { // hits were left out, and others take their places
			t.Errorf("%s: %d results", when, n)
		}
	}
	if blocked, asked := w.f.Counts(); blocked != 12 || asked != 2 {
		t.Errorf("%d blocked, %d asked", blocked, asked)
	}
	// What is withdrawn comes back.
	if _, err := w.list.Append(t.Context(), blocklist.Event{ID: [16]byte{15: 1}, Type: blocklist.EventRevoked, Target: rule}); err != nil {
		t.Fatal(err)
	}
	sees("withdrawn", "FR", "10", true)
	if err := w.f.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	sees("withdrawn, updated", "FR", "10", true)
	w.f.HideReview = true
	sees("review hidden", "FR", "102", false)
	// A list that cannot answer permits nothing.
	w.list.Close()
	if got := w.search(t, "DE"); len(got) != 0 {
		t.Errorf("a closed list: %v", got)
	}
}

// A removal that is accepted while queries run is gone from the next answer.
func TestFilter_WhileQueriesRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 200)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.f.Run(ctx, 20*time.Millisecond, func(err error) { t.Error(err) }) })
	var gone atomic.Int64
	gone.Store(-1)
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				until := int(gone.Load())
				for _, id := range w.search(t, "DE") {
					if n, _ := strconv.Atoi(id); n <= until {
						t.Errorf("document %d is shown after its removal", n)
						return
					}
				}
			}
		})
	}
	for i := range 40 {
		w.add(t, blocklist.Rule{Kind: 2, Scope: blocklist.ScopeURL, Effect: 1, Keys: w.address(t, blocklist.ImageAddress, documentOf(i).URL)})
		gone.Store(int64(i))
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	wg.Wait()
}

// BenchmarkFilter filters answers of 100 results: with kept verdicts, while they are
// behind the list, and the search itself for comparison. With STAYDOWN_LONG=1 the
// index has a million documents, and the list a million addresses and a million
// hashes of pictures.
func BenchmarkFilter(b *testing.B) {
	n := 20_000
	if os.Getenv("STAYDOWN_LONG") != "" {
		n = 1_000_000
	}
	w := newWorld(b, n)
	for at := 0; at < n; at += 10_000 {
		var events []blocklist.Event
		for i := range 10_000 {
			for kind, keys := range []blocklist.Keys{w.address(b, blocklist.ImageAddress, fmt.Sprintf("https://blocked.example/%d", at+i)), {Hashes: []blocklist.HashKey{{Hash: hash(-1 - at - i)}}}} {
				e := blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Kind: 2, Scope: []blocklist.Scope{blocklist.ScopeURL, blocklist.ScopeDuplicate}[kind], Effect: 1, Keys: keys}}
				binary.BigEndian.PutUint64(e.ID[:], w.next.Add(1))
				events = append(events, e)
			}
		}
		if _, err := w.list.Append(context.Background(), events...); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; i < n; i += n / 1000 {
		w.add(b, blocklist.Rule{Kind: 2, Scope: blocklist.ScopeURL, Effect: 1, Keys: w.address(b, blocklist.ImageAddress, documentOf(i).URL)})
	}
	// The first Update asks about every document; here only by address, which is what
	// the benchmark is not about.
	w.f.Candidate = func(_ context.Context, id string) (takedown.Candidate, error) {
		i, err := strconv.Atoi(id)
		return takedown.Candidate{ImageURLs: []string{documentOf(i).URL}}, err
	}
	w.f.Items = nil
	if err := w.f.Update(context.Background()); err != nil {
		b.Fatal(err)
	}
	blocked, _ := w.f.Counts()
	req := bleve.NewSearchRequestOptions(bleve.NewMatchQuery("sea"), 100, 0, false)
	res, err := w.index.Search(req)
	if err != nil {
		b.Fatal(err)
	}
	hits := slices.Clone(res.Hits)
	run := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			res.Hits = append(res.Hits[:0], hits...)
			if err := w.f.Hits(context.Background(), res, "DE"); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(blocked), "blocked")
	}
	b.Run("search", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.index.Search(req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("kept verdicts", run)
	w.add(b, blocklist.Rule{Kind: 2, Scope: blocklist.ScopeURL, Effect: 1, Keys: w.address(b, blocklist.ImageAddress, "https://new.example/")})
	b.Run("behind the list, by address", run)
}
