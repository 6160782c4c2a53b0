package web_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/web"
)

// load is how much [TestLoad] does.
type load struct {
	cases, reviewers int
	perMinute        int           // submissions
	pictures         int           // of the seeded cases have pictures
	index            int           // entries in which a preview looks
	think            time.Duration // the mean time between two pages of a reviewer
	runs             time.Duration
}

// loadOfTest is a small load, or that of the aim:
//
//	STAYDOWN_CASES=100000 GOMAXPROCS=2 go test ./takedown/web -run TestLoad -v -timeout 1h
//
// STAYDOWN_LOAD_DIR names a folder for the desk; one that is filled already is used
// again.
func loadOfTest() load {
	n, err := strconv.Atoi(os.Getenv("STAYDOWN_CASES"))
	if err != nil {
		return load{cases: 200, reviewers: 5, perMinute: 600, pictures: 3, index: 50, think: 20 * time.Millisecond, runs: time.Second}
	}
	l := load{cases: n, reviewers: 50, perMinute: 100, pictures: 200, index: 2000, think: 5 * time.Second, runs: 3 * time.Minute}
	if d, err := time.ParseDuration(os.Getenv("STAYDOWN_LOAD_TIME")); err == nil {
		l.runs = d
	}
	return l
}

// byHeader is the log-in of the load: a header names the reviewer.
type byHeader struct{}

func (byHeader) Reviewer(r *http.Request) (web.Reviewer, bool) {
	id := r.Header.Get("X-Reviewer")
	return web.Reviewer{ID: id, Name: id, Roles: web.RoleAll}, id != ""
}

func (byHeader) Challenge(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "log in", http.StatusUnauthorized)
}

// times are how long pages took, by their names.
type times struct {
	mu   sync.Mutex
	took map[string][]time.Duration
}

func (t *times) add(page string, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took[page] = append(t.took[page], d)
}

// table prints the times, the slowest pages first.
func (t *times) table(tb testing.TB) {
	quantile := func(list []time.Duration, q float64) time.Duration {
		return list[min(len(list)-1, int(q*float64(len(list))))].Round(100 * time.Microsecond)
	}
	var all []time.Duration
	var names []string
	for name, list := range t.took {
		slices.Sort(list)
		all, names = append(all, list...), append(names, name)
	}
	slices.Sort(all)
	t.took["all pages"] = all
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(quantile(t.took[b], .95), quantile(t.took[a], .95)) })
	tb.Logf("%-22s %7s %9s %9s %9s %9s", "page", "n", "p50", "p95", "p99", "max")
	for _, name := range append([]string{"all pages"}, names...) {
		list := t.took[name]
		tb.Logf("%-22s %7d %9v %9v %9v %9v", name, len(list), quantile(list, .5), quantile(list, .95), quantile(list, .99), quantile(list, 1))
	}
}

// client is a browser of the load. It goes on from the pages that it gets, as
// people do.
type client struct {
	base, reviewer string
	http           *http.Client
	times          *times
	rand           *rand.Rand
}

func (o *loadOffice) client(reviewer string, seed uint64) *client {
	jar, _ := cookiejar.New(nil) // fails only for a list of suffixes
	return &client{base: o.url, reviewer: reviewer, http: &http.Client{Jar: jar}, times: o.times, rand: rand.New(rand.NewPCG(seed, 3))}
}

// send returns the page, and the path at which it is after redirects.
func (c *client) send(ctx context.Context, name, method, path, typ string, body []byte) (page, at string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Accept-Language", "en")
	req.Header.Set("Content-Type", typ)
	if c.reviewer != "" {
		req.Header.Set("X-Reviewer", c.reviewer)
	}
	begin := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("%s %s: %s\n%s", method, path, resp.Status, b)
	}
	c.times.add(name, time.Since(begin))
	return string(b), resp.Request.URL.RequestURI(), nil
}

func (c *client) get(ctx context.Context, name, path string) (string, error) {
	page, _, err := c.send(ctx, name, "GET", path, "", nil)
	return page, err
}

func (c *client) post(ctx context.Context, name, path string, values url.Values) (string, error) {
	page, _, err := c.send(ctx, name, "POST", path, "application/x-www-form-urlencoded", []byte(values.Encode()))
	return page, err
}

var (
	caseLinks = regexp.MustCompile(`href="(/desk/case/[a-z2-7]{26})"`)
	imageRefs = regexp.MustCompile(`src="(/desk/case/[^"]+)"`)
	nextPage  = regexp.MustCompile(`href="(/desk/\?[^"]*after=[^"]+)"`)
	seenCase  = regexp.MustCompile(`name="seen" value="(\d+)"`)
)

// review is one round of a reviewer: the queue, a case with its pictures, now and
// then a decision, a search, and the other pages.
func (c *client) review(ctx context.Context, think func()) error {
	queue, err := c.get(ctx, "queue", "/desk/")
	if err != nil {
		return err
	}
	think()
	if next := nextPage.FindStringSubmatch(queue); next != nil && c.rand.IntN(2) == 0 {
		if queue, err = c.get(ctx, "queue, next page", strings.ReplaceAll(next[1], "&amp;", "&")); err != nil {
			return err
		}
		think()
	}
	links := caseLinks.FindAllStringSubmatch(queue, -1)
	if len(links) > 0 {
		if err := c.oneCase(ctx, links[c.rand.IntN(len(links))][1], think); err != nil {
			return err
		}
	}
	other := [][2]string{
		{"search, email", "/desk/?q=" + url.QueryEscape(fmt.Sprintf("person%d@example.org", c.rand.IntN(50_000)))},
		{"search, address", "/desk/?q=" + url.QueryEscape(addressOf(c.rand.IntN(1000)))},
		{"search, name", "/desk/?q=given7+family7"}, {"queue of a kind", "/desk/?kind=gdpr_request"}, {"queue of all", "/desk/?tab=all"},
		{"due", "/desk/due"}, {"numbers", "/desk/numbers"}, {"alarms", "/desk/alarms"}, {"matches", "/desk/matches"},
	}
	o := other[c.rand.IntN(len(other))]
	_, err = c.get(ctx, o[0], o[1])
	think()
	return err
}

func (c *client) oneCase(ctx context.Context, path string, think func()) error {
	page, err := c.get(ctx, "case", path)
	if err != nil {
		return err
	}
	for _, ref := range imageRefs.FindAllStringSubmatch(page, -1) {
		if _, err := c.get(ctx, "picture of a case", ref[1]); err != nil {
			return err
		}
	}
	think()
	seen := seenCase.FindStringSubmatch(page)
	if seen == nil || c.rand.IntN(2) == 0 {
		return nil
	}
	what, values := "rejection", url.Values{"do": {"reject"}, "reason": {"not_illegal"}, "seen": {seen[1]}}
	if c.rand.IntN(2) == 0 {
		what, values = "acceptance", url.Values{"do": {"accept"}, "reason": {"depicted"}, "seen": {seen[1]}}
	}
	if _, err := c.get(ctx, "letter", path+"/letter?"+values.Encode()); err != nil {
		return err
	}
	think()
	_, err = c.post(ctx, what, path, values)
	if err != nil && strings.Contains(err.Error(), "422") {
		err = nil // another reviewer was faster
	}
	return err
}

// ask is one visit of somebody who asks: from the first question to the page of the
// case. Every third brings a picture.
func (c *client) ask(ctx context.Context, n int) error {
	door, picture := "link", []byte(nil)
	fields := url.Values{"image_urls": {addressOf(1_000_000 + n)}, "explanation": {"It shows my house."}, "good_faith": {"on"},
		"requester.name": {fmt.Sprintf("Given%d Asking", n)}, "requester.email": {fmt.Sprintf("asking%d@example.org", n)}}
	if n%3 == 0 {
		door, picture = "picture", photo(n)
		fields = url.Values{"claim": {"depicted"}, "requester.name": {"Somebody"}, "requester.email": {fmt.Sprintf("asking%d@example.org", n)}}
	}
	if _, err := c.get(ctx, "start", "/"); err != nil {
		return err
	}
	if _, err := c.get(ctx, "form", "/ask/"+door); err != nil {
		return err
	}
	typ, body := form(fields, picture)
	name := "form sent"
	if picture != nil {
		name = "picture sent"
	}
	page, at, err := c.send(ctx, name, "POST", "/ask/"+door, typ, body)
	if err != nil {
		return err
	}
	_, draft, ok := strings.Cut(at, "/check?d=")
	if !ok {
		return fmt.Errorf("the form does not lead on, but to %s:\n%s", at, page)
	}
	if picture != nil {
		if _, err := c.get(ctx, "picture of a draft", "/check/picture/0?d="+draft); err != nil {
			return err
		}
	}
	if _, err := c.post(ctx, cmp.Or(map[bool]string{true: "picture filed"}[picture != nil], "request filed"), "/send?d="+draft, nil); err != nil {
		return err
	}
	_, err = c.get(ctx, "own case", "/case")
	return err
}

// form encodes a form as a browser does.
func form(fields url.Values, picture []byte) (typ string, body []byte) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for name, values := range fields {
		for _, v := range values {
			m.WriteField(name, v)
		}
	}
	if picture != nil {
		if w, err := m.CreateFormFile("images", "photo.jpg"); err == nil {
			w.Write(picture)
		}
	}
	m.Close()
	return m.FormDataContentType(), b.Bytes()
}

func addressOf(i int) string { return fmt.Sprintf("https://host%d.example/%d.jpg", i%300, i) }

// photo makes one of some pictures. No two are alike.
func photo(n int) []byte { return picture(fmt.Sprintf("load %d", n)) }

// loadOffice is a desk with many cases behind its pages.
type loadOffice struct {
	desk  *desk.Desk
	url   string
	times *times
}

func openLoad(t *testing.T, l load) *loadOffice {
	t.Helper()
	d, err := desk.Open(cmp.Or(os.Getenv("STAYDOWN_LOAD_DIR"), t.TempDir()), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if n, err := d.Count(context.Background(), desk.Query{}); err != nil {
		t.Fatal(err)
	} else if n == 0 {
		begin := time.Now()
		seedLoad(t, d, l)
		t.Logf("%d cases imported in %v", l.cases, time.Since(begin).Round(time.Second))
	}
	pages, err := web.New(d, &web.Options{Service: web.Service{Name: "Example Search"}, Key: bytes.Repeat([]byte{7}, 32), Login: byHeader{}, Insecure: true,
		Index: indexOfLoad(l.index), PerHour: 1 << 30, Drafts: 5000, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(pages)
	t.Cleanup(s.Close)
	return &loadOffice{d, s.URL, &times{took: map[string][]time.Duration{}}}
}

// indexOfLoad is an index of pictures that nobody asks for, by their hashes.
func indexOfLoad(n int) takedown.Items {
	r := rand.New(rand.NewPCG(5, 6))
	var items []takedown.Item
	for i := range n {
		var b [32]byte
		for k := range b {
			b[k] = byte(r.Uint32())
		}
		items = append(items, takedown.Item{Key: fmt.Sprintf("%06d", i), Candidate: takedown.Candidate{ImageURLs: []string{addressOf(9_000_000 + i)}, Hashes: []phash.Hash{phash.FromPDQ(b)}}})
	}
	return func(_ context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			for _, it := range items {
				if it.Key > after && !yield(it, nil) {
					return
				}
			}
		}
	}
}

// seedLoad imports cases of the last 400 days, and decides two thirds of them.
func seedLoad(t *testing.T, d *desk.Desk, l load) {
	t.Helper()
	ctx, r, now := context.Background(), rand.New(rand.NewPCG(1, 2)), time.Now()
	said := request.Statement{Text: "I believe in good faith that this is accurate and complete.", Accepted: now}
	var refuse []takedown.CaseID
	for i := range l.cases {
		who := request.Requester{Name: fmt.Sprintf("Given%d Family%d", i%700, i%9000), Email: fmt.Sprintf("person%d@example.org", i%50_000), Country: "DE"}
		var q request.Request = request.DSANotice{Requester: who, ImageURLs: []string{addressOf(i)}, Ground: request.GroundPrivacy, Explanation: "It shows my house.", GoodFaith: said}
		switch {
		case i%max(1, l.cases/l.pictures) == 0:
			q = request.ImageOptOut{Requester: who, Images: []request.File{request.FromBytes(photo(-1 - i))}, Claim: request.ClaimDepicted, Reason: "This is me."}
		case i%10 == 3:
			q = request.GDPRRequest{Requester: who, ImageURLs: []string{addressOf(i)}, Rights: []request.Right{request.RightErasure}, Situation: "I object."}
		}
		c, err := d.Import(ctx, q, now.Add(-time.Duration(1+r.IntN(400*24))*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		switch i % 6 {
		case 0, 1, 2:
			refuse = append(refuse, c.ID)
		case 4:
			if i%30 == 4 {
				if err := d.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "seed", Reason: "illegal"}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(refuse) == 500 || i == l.cases-1 {
			for id, err := range d.RejectAll(ctx, refuse, desk.Refusal{Actor: desk.Actor{By: "seed", Reason: "not_illegal"}}) {
				if err != nil {
					t.Fatalf("%v: %v", id, err)
				}
			}
			refuse = nil
		}
	}
}

// Reviewers work and people ask at the same time. No page fails. The long form
// prints how long the pages took; docs/web.md has the figures.
func TestLoad(t *testing.T) {
	l := loadOfTest()
	o := openLoad(t, l)
	ctx, stop := context.WithTimeout(context.Background(), l.runs)
	defer stop()
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	begin := time.Now()
	var group sync.WaitGroup
	report := func(err error) {
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
			stop()
		}
	}
	for i := range l.reviewers {
		group.Go(func() {
			c := o.client(fmt.Sprintf("reviewer%d", i), uint64(i))
			think := func() {
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(c.rand.ExpFloat64() * float64(l.think))):
				}
			}
			for think(); ctx.Err() == nil; {
				report(c.review(ctx, think))
			}
		})
	}
	asked := 0
	for every := time.NewTicker(time.Minute / time.Duration(l.perMinute)); ctx.Err() == nil; asked++ {
		select {
		case <-ctx.Done():
		case <-every.C:
			n := asked
			group.Go(func() { report(o.client("", uint64(n)).ask(ctx, n)) })
		}
	}
	group.Wait()
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	t.Logf("%d cases, %d reviewers, %d submissions in %v, on %d processors, of which this process used %.2f", l.cases, l.reviewers, asked,
		time.Since(begin).Round(time.Second), runtime.GOMAXPROCS(0), cpu.Seconds()/time.Since(begin).Seconds())
	o.times.table(t)
	if asked == 0 || len(o.times.took["queue"]) == 0 || len(o.times.took["case"]) == 0 {
		t.Error("nobody worked")
	}
}
