// Crawl crawls a local site of 300 pages with 200 photographs, of which some are
// asked to be removed, and with re-posts of these: what is blocked by which tier,
// what slips through, and what it costs.
//
//	go run ./takedown/adapters/colly/crawl
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/disintegration/imaging"
	"github.com/gocolly/colly/v2"

	"github.com/staydown/staydown/takedown"
	takedowncolly "github.com/staydown/staydown/takedown/adapters/colly"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

func main() {
	o := options{}
	flag.StringVar(&o.photos, "photos", defaultPhotos(), "folder with JPEGs")
	flag.StringVar(&o.page, "html", "crawl.html", "page to write with the pictures; empty for none")
	flag.IntVar(&o.pages, "pages", 300, "pages of the site")
	flag.IntVar(&o.n, "n", 200, "photographs")
	flag.IntVar(&o.requested, "requested", 12, "photographs that are asked to be removed")
	flag.Parse()
	if _, err := crawl(context.Background(), os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "crawl:", err)
		os.Exit(1)
	}
}

type options struct {
	photos, page        string
	pages, n, requested int
}

// outcome is what became of the pictures of one kind.
type outcome struct {
	Kind                                               string
	Of                                                 int
	Address, Bytes, Hash, Features, Review, Kept, Lost int
	Pictures                                           []template.URL
}

// result is what a crawl found.
type result struct {
	outcomes map[string]*outcome
	counts   takedowncolly.Counts
	pages    int
	took     time.Duration
}

// crawl makes the site and the desk, crawls without and with the guard, and reports.
func crawl(ctx context.Context, out io.Writer, o options) (*result, error) {
	s, err := newSite(o.photos, o.pages, o.n, o.requested)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	dir, err := os.MkdirTemp("", "staydown-crawl-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	d, err := desk.Open(dir, &desk.Options{OneReviewer: true})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	for i := range o.requested {
		if err := optOut(ctx, d, s, i); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(out, "%d pages, %d photographs, of which %d are to stay down, %d files in all\n\n", o.pages, o.n, o.requested, len(s.files))
	without := visit(s, nil)
	with := visit(s, d.Enforcer())
	with.table(out)
	fmt.Fprintf(out, "\nwithout the guard %.0f pictures a second, with it %.0f\n", rate(s, without), rate(s, with))
	if o.page != "" {
		if err := with.write(o.page); err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "the pictures are in %s\n", o.page)
	}
	return with, nil
}

func rate(s *site, r *result) float64 { return float64(len(s.files)) / r.took.Seconds() }

// optOut asks for the removal of a photograph, which it uploads.
func optOut(ctx context.Context, d *desk.Desk, s *site, i int) error {
	path := fmt.Sprintf("/p/%d.jpg", i)
	c, err := d.Submit(ctx, request.ImageOptOut{
		Requester: request.Requester{Name: "A person", Email: "person@example.org"}, Claim: request.ClaimOwner,
		Images: []request.File{request.FromBytes(s.files[path].data)},
	})
	if err != nil {
		return err
	}
	return d.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "jane"}})
}

// visit crawls the site, with a guard unless e is nil.
func visit(s *site, e *takedown.Enforcer) *result {
	r := &result{outcomes: map[string]*outcome{}}
	var mu sync.Mutex
	kept, refused := map[string]bool{}, map[string]takedown.Decision{}
	review := map[string]bool{}
	c := colly.NewCollector(colly.Async(true), colly.AllowURLRevisit(), colly.MaxBodySize(16<<20))
	c.Limit(&colly.LimitRule{DomainGlob: "*", Parallelism: 8})
	c.SetRequestTimeout(20 * time.Second)
	g := &takedowncolly.Guard{Enforcer: e, MaxBytes: 16 << 20, Review: func(m takedown.Match) {
		if u, err := url.Parse(m.Candidate.ImageURLs[0]); err == nil {
			mu.Lock()
			review[u.Path] = true
			mu.Unlock()
		}
	}}
	if e != nil {
		g.Attach(c)
	}
	// A redirect may lead to what was visited already, so that visits are counted here.
	var seen sync.Map
	once := func(h *colly.HTMLElement, u string) {
		if _, there := seen.LoadOrStore(u, true); !there {
			h.Request.Visit(u)
		}
	}
	c.OnHTML("a[href]", func(h *colly.HTMLElement) { once(h, h.Attr("href")) })
	c.OnHTML("img, source", func(h *colly.HTMLElement) {
		for _, u := range append(strings.Split(h.Attr("srcset"), ","), h.Attr("src")) {
			if u, _, _ = strings.Cut(strings.TrimSpace(u), " "); u != "" && !strings.HasSuffix(u, "?large") {
				once(h, u)
			}
		}
	})
	c.OnResponse(func(resp *colly.Response) {
		mu.Lock()
		defer mu.Unlock()
		path := first(resp.Request)
		if s.files[path] == nil {
			r.pages++
		}
		kept[path] = true
	})
	c.OnError(func(resp *colly.Response, err error) {
		var blocked *takedownhttp.BlockedError
		if errors.As(err, &blocked) {
			mu.Lock()
			refused[first(resp.Request)] = blocked.Decision
			mu.Unlock()
		}
	})
	c.OnRequest(func(req *colly.Request) { req.Ctx = colly.NewContext(); req.Ctx.Put("first", req.URL.Path) })
	start := time.Now()
	c.Visit(s.URL + "/")
	c.Wait()
	r.took = time.Since(start)
	r.counts = g.Counts()
	for path, f := range s.files {
		r.take(f, kept[path], review[path], refused[path])
	}
	return r
}

// first is the path that was asked for, before redirects.
func first(req *colly.Request) string { return req.Ctx.Get("first") }

// take counts what became of a file.
func (r *result) take(f *file, kept, review bool, d takedown.Decision) {
	o := r.outcomes[f.kind]
	if o == nil {
		o = &outcome{Kind: f.kind}
		r.outcomes[f.kind] = o
	}
	o.Of++
	switch {
	case d.Why == takedown.TierURL:
		o.Address++
	case d.Why == takedown.TierBytes:
		o.Bytes++
	case d.Why == takedown.TierHash:
		o.Hash++
	case d.Why == takedown.TierFeatures:
		o.Features++
	case review:
		o.Review++
	case kept:
		o.Kept++
	default:
		o.Lost++ // could not be fetched
	}
	if len(o.Pictures) < 4 && f.of >= 0 {
		if img, err := imaging.Decode(bytes.NewReader(f.data)); err == nil {
			o.Pictures = append(o.Pictures, template.URL("data:image/jpeg;base64,"+base64.StdEncoding.EncodeToString(jpegOf(imaging.Fit(img, 160, 160, imaging.Box), 75))))
		}
	}
}

// sorted returns the outcomes, those of removed photographs first.
func (r *result) sorted() []*outcome {
	return slices.SortedFunc(maps.Values(r.outcomes), func(a, b *outcome) int {
		return cmp.Or(cmp.Compare(b.Address+b.Bytes+b.Hash+b.Features, a.Address+a.Bytes+a.Hash+a.Features), cmp.Compare(a.Kind, b.Kind))
	})
}

func (r *result) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kind\tfiles\taddress\tbytes\thash\tfeatures\treview\tkept\tnot fetched\t")
	for _, o := range r.sorted() {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", o.Kind, o.Of, o.Address, o.Bytes, o.Hash, o.Features, o.Review, o.Kept, o.Lost)
	}
	w.Flush()
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Crawl</title>
<style>body{font:15px/1.4 system-ui,sans-serif;margin:2em}td,th{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:right}th:first-child,td:first-child{text-align:left}img{max-height:100px;margin-right:4px}</style>
<h1>What became of the pictures</h1>
<table><tr><th>Kind<th>Files<th>Address<th>Bytes<th>Hash<th>Features<th>Review<th>Kept<th>Not fetched<th>Some of them</tr>
{{range .}}<tr><td>{{.Kind}}<td>{{.Of}}<td>{{.Address}}<td>{{.Bytes}}<td>{{.Hash}}<td>{{.Features}}<td>{{.Review}}<td>{{.Kept}}<td>{{.Lost}}<td>{{range .Pictures}}<img alt="" src="{{.}}">{{end}}</tr>
{{end}}</table></html>
`))

func (r *result) write(path string) error {
	var b bytes.Buffer
	if err := page.Execute(&b, r.sorted()); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
