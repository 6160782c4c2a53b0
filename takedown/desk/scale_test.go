package desk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// seedCases fills a desk with cases of different people, states and addresses, as
// many as STAYDOWN_CASES says; the default is small. They are written by the
// functions that write every case, many in a transaction.
func seedCases(tb testing.TB, d *Desk, n int) {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	states := []State{StateInReview, StateInReview, StateNeedsInfo, StateUnconfirmed, StateRejected, StateClosed, StateWithdrawn}
	for from := 0; from < n; from += 1000 {
		var changes []change
		var seals []sealedChange
		for i := from; i < min(n, from+1000); i++ {
			c, ch := seedCase(d, r, i, states[r.IntN(len(states))])
			if _, err := d.store.keys.create(c.ID); err != nil {
				tb.Fatal(err)
			}
			sealed, err := d.store.prepare(&ch)
			if err != nil {
				tb.Fatal(err)
			}
			changes, seals = append(changes, ch), append(seals, sealed)
		}
		if err := d.store.db.Update(func(tx StoreTx) error {
			for i := range changes {
				if err := d.store.putRequest(tx, &changes[i], seals[i]); err != nil {
					return err
				}
				if err := d.store.putCases(tx, &changes[i], seals[i]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			tb.Fatal(err)
		}
	}
}

func seedCase(d *Desk, r *rand.Rand, i int, state State) (*caseRecord, change) {
	at := d.clock().Add(-time.Duration(r.IntN(400*24)) * time.Hour)
	req := request.DSANotice{
		Requester: request.Requester{Name: fmt.Sprintf("Given%d Family%d", i%700, i%9000), Email: fmt.Sprintf("person%d@example.org", i%50_000), Country: "DE"},
		ImageURLs: []string{fmt.Sprintf("https://host%d.example/%d.jpg", i%300, i)},
		Ground:    request.GroundPrivacy, Explanation: "This is a picture of me.",
	}
	var b [32]byte
	for k := range b {
		b[k] = byte(r.Uint32())
	}
	c := &caseRecord{Case: Case{ID: newCaseID(), Kind: request.KindDSANotice, Regime: request.RegimeDSA, State: state, Received: at, Request: req}}
	if i%10 == 0 {
		c.Kind, c.Regime = request.KindGDPRRequest, request.RegimeUKGDPR
	}
	if i%1000 == 0 {
		c.Flags = []request.Flag{request.FlagChildSafety}
	}
	c.Party = d.party(req.Requester)
	c.happened(MilestoneReceived, at)
	c.note("", state, Actor{}, at)
	c.Moves = []Moved{{To: state, Time: at}}
	c.Items = []CaseItem{{Item: request.Item{Field: "image_urls[0]", Kind: request.ItemImageURL, MaxScope: takedown.ScopeURL}}}
	mats := []request.Material{{Address: req.ImageURLs[0]}, {Bytes: &b, Hashes: []blocklist.HashKey{{Hash: phash.FromPDQ(b)}}}}
	return c, change{cases: []*caseRecord{c}, request: req, material: mats}
}

func casesOfBenchmark(tb testing.TB) int {
	n, err := strconv.Atoi(os.Getenv("STAYDOWN_CASES"))
	if err != nil {
		return 2000
	}
	return n
}

// BenchmarkManyCases measures a desk of many cases:
//
//	STAYDOWN_CASES=100000 go test ./takedown/desk -run '^$' -bench ManyCases
func BenchmarkManyCases(b *testing.B) {
	ctx, dir, n := context.Background(), b.TempDir(), casesOfBenchmark(b)
	// The cases are up to 400 days old: nothing is due for retention.
	const long = 10 * 365 * 24 * time.Hour
	opts := &Options{Retention: Retention{Unconfirmed: long, Incomplete: long, Ended: long}}
	d, err := Open(dir, opts)
	if err != nil {
		b.Fatal(err)
	}
	seedCases(b, d, n)
	var some Case
	for c, err := range d.Cases(ctx) {
		if err != nil {
			b.Fatal(err)
		}
		some = c
		break
	}
	mats, err := d.store.material(some.ID)
	if err != nil {
		b.Fatal(err)
	}
	must := func(b *testing.B, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Open", func(b *testing.B) {
		for b.Loop() {
			must(b, d.Close())
			d, err = Open(dir, opts)
			must(b, err)
		}
	})
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.Logf("%d cases: %.1f MB of heap in use after Open", n, float64(m.HeapInuse)/(1<<20))
	query := func(name string, q Query) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page, err := d.Find(ctx, q)
				must(b, err)
				if len(page.Cases) == 0 {
					b.Fatal("nothing is found")
				}
			}
		})
	}
	query("page", Query{})
	query("page of states", Query{States: []State{StateInReview, StateNeedsInfo}})
	query("page by flag", Query{Flags: []request.Flag{request.FlagChildSafety}, States: []State{StateInReview}})
	query("newest", Query{Order: NewestFirst})
	page, err := d.Find(ctx, Query{Limit: 1000})
	must(b, err)
	query("next page", Query{After: page.Next})
	query("email", Query{Person: "PERSON77@example.org"})
	query("name", Query{Person: "given7 family7"})
	query("address", Query{Address: mats[0].Address})
	query("picture, first", Query{Picture: takedown.Candidate{SHA256: *mats[1].Bytes, Hashes: []phash.Hash{mats[1].Hashes[0].Hash}}})
	b.Run("Count", func(b *testing.B) {
		for b.Loop() {
			_, err := d.Count(ctx, Query{Kinds: []takedown.Kind{request.KindGDPRRequest}})
			must(b, err)
		}
	})
	b.Run("Due", func(b *testing.B) {
		for b.Loop() {
			list, err := d.Due(ctx, d.clock().Add(-398*24*time.Hour))
			must(b, err)
			if len(list) == 0 {
				b.Fatal("nothing is due")
			}
		}
	})
	b.Run("Expire", func(b *testing.B) {
		for b.Loop() {
			_, err := d.Expire(ctx)
			must(b, err)
		}
	})
	b.Run("Case", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := d.Case(ctx, some.ID)
			must(b, err)
		}
	})
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.Logf("%.1f MB of heap in use at the end", float64(m.HeapInuse)/(1<<20))
	must(b, d.Close())
}

// What was seeded is found, and the index is as the cases are.
func TestManyCases(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	n := 300
	if s := os.Getenv("STAYDOWN_CASES"); s != "" {
		n = casesOfBenchmark(t)
	}
	d, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	seedCases(t, d, n)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = Open(dir, nil); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.VerifyIndex(); err != nil {
		t.Error(err)
	}
	found := 0
	for q := (Query{Limit: 70}); ; {
		page, err := d.Find(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		found += len(page.Cases)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if count, err := d.Count(ctx, Query{}); err != nil || found != n || count != n {
		t.Errorf("%d cases are on the pages, Count is %d, %v; want %d", found, count, err, n)
	}
}
