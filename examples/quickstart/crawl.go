package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/net/html"
	"golang.org/x/term"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/phash/avif"
	"github.com/staydown/staydown/takedown"
)

// inspecting has the decoder of AVIF, which package phash does not have.
var inspecting = &takedown.InspectOptions{
	Decode: &phash.DecodeOptions{Decoders: map[phash.Format]phash.Decoder{phash.FormatAVIF: avif.Decode}},
}

// item is an image that the crawl came across.
type item struct {
	URL       string
	Data      []byte             // nil when the image was not fetched
	Candidate takedown.Candidate // what is known of it
	Decision  takedown.Decision
}

// crawl visits the pages from start and every image on them. An address that
// is blocked is not fetched; a picture that was fetched is hashed and asked
// about again.
func crawl(ctx context.Context, client *http.Client, enf *takedown.Enforcer, start string, p *progress) ([]item, error) {
	defer p.done()
	var items []item
	pages, seen := []string{start}, map[string]bool{start: true}
	for len(pages) > 0 {
		page := pages[0]
		pages = pages[1:]
		images, links, err := readPage(ctx, client, page)
		if err != nil {
			return nil, err
		}
		for _, u := range links {
			if !seen[u] {
				seen[u] = true
				pages = append(pages, u)
			}
		}
		p.more(len(images))
		for _, u := range images {
			it, err := visit(ctx, client, enf, u)
			if err != nil {
				return nil, err
			}
			items = append(items, it)
			p.step()
		}
	}
	return items, nil
}

// visit asks about an address, and fetches the picture and looks at it if it
// may.
func visit(ctx context.Context, client *http.Client, enf *takedown.Enforcer, u string) (item, error) {
	it := item{URL: u, Candidate: takedown.Candidate{ImageURLs: []string{u}}, Decision: enf.FilterURL(u)}
	if it.Decision.Verdict == takedown.Block {
		return it, nil
	}
	var err error
	if it.Data, err = get(ctx, client, u); err != nil {
		return it, err
	}
	it.Candidate, err = takedown.InspectContext(ctx, bytes.NewReader(it.Data), takedown.Source{ImageURL: u}, inspecting)
	var undecodable *phash.DecodeError
	if err != nil && !errors.As(err, &undecodable) {
		return it, fmt.Errorf("%s: %w", u, err)
	}
	// A picture that cannot be decoded is asked about, too: the verdict is then that of
	// EnforcerOptions.Undecodable.
	it.Decision = enf.Check(it.Candidate)
	return it, nil
}

// readPage returns the addresses of the images and links of a page.
func readPage(ctx context.Context, client *http.Client, page string) (images, links []string, err error) {
	b, err := get(ctx, client, page)
	if err != nil {
		return nil, nil, err
	}
	base, err := url.Parse(page)
	if err != nil {
		return nil, nil, err
	}
	attribute := map[string]string{"img": "src", "a": "href"}
	for z := html.NewTokenizer(bytes.NewReader(b)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != io.EOF {
				return nil, nil, err
			}
			return images, links, nil
		case html.StartTagToken:
			t := z.Token()
			for _, a := range t.Attr {
				if a.Key != attribute[t.Data] {
					continue
				}
				// The address as the page writes it: what makes it one with
				// others is the library's business.
				u := a.Val
				if ref, err := url.Parse(u); err == nil && !ref.IsAbs() {
					u = base.ResolveReference(ref).String()
				}
				if t.Data == "img" {
					images = append(images, u)
				} else {
					links = append(links, u)
				}
			}
		}
	}
}

func get(ctx context.Context, client *http.Client, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", u, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 10<<20))
}

// progress shows how far the crawl is once it has taken a second: a bar on a
// terminal, a line now and then elsewhere.
type progress struct {
	out          io.Writer
	bar          *progressbar.ProgressBar // nil when out is no terminal
	last         time.Time
	total, count int
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, last: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(0, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription("crawling"),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionSetRenderBlankState(false))
	}
	return p
}

func (p *progress) more(n int) { p.total += n }

func (p *progress) step() {
	p.count++
	if time.Since(p.last) < time.Second {
		return
	}
	if p.bar == nil {
		p.last = time.Now()
		fmt.Fprintf(p.out, "crawling: %d of %d images\n", p.count, p.total)
		return
	}
	p.bar.ChangeMax(p.total)
	p.bar.Set(p.count)
}

func (p *progress) done() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar.Exit()
	}
}
