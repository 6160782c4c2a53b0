package desk_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

var ctx = context.Background()

func open(tb testing.TB, dir string, opts *desk.Options) *desk.Desk {
	tb.Helper()
	d, err := desk.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Close() })
	return d
}

// accept submits a request and accepts it.
func accept(tb testing.TB, d *desk.Desk, r request.Request, g desk.Grant) takedown.CaseID {
	tb.Helper()
	c, err := d.Submit(ctx, r)
	if err != nil {
		tb.Fatal(err)
	}
	if err := d.Accept(ctx, c.ID, g); err != nil {
		tb.Fatal(err)
	}
	return c.ID
}

// edited decodes a JPEG, edits it and encodes it again as a PNG.
func edited(tb testing.TB, file []byte, edit func(x, y, w, h int) (int, int)) []byte {
	tb.Helper()
	src, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		tb.Fatal(err)
	}
	w, h := src.Bounds().Dx(), src.Bounds().Dy()
	m := image.NewRGBA(src.Bounds())
	for y := range h {
		for x := range w {
			m.Set(x, y, src.At(edit(x, y, w, h)))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func wantVerdict(tb testing.TB, what string, d takedown.Decision, want takedown.Verdict) {
	tb.Helper()
	if d.Verdict != want {
		tb.Errorf("%s: %v, want %v", what, d, want)
	}
}

// A notice blocks its addresses, however they are written, and nothing else.
func TestDSANotice_BlocksItsAddressOnly(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	picture := hashes(t, testJPEG(t, 1))
	r := notice("https://example.org/a/photo.jpg")
	r.PageURLs = []string{"https://example.org/gallery"}
	id := accept(t, d, r, desk.Grant{})
	e := d.Enforcer()

	for _, u := range []string{
		"https://example.org/a/photo.jpg",
		"http://example.org/a/photo.jpg",
		"https://EXAMPLE.org/a/photo.jpg",
		"https://example.org:443/a/photo.jpg",
		"https://example.org/a/photo.jpg#comments",
		"https://example.org/a/photo%2Ejpg",
		"https://example.org/a/%2E/photo.jpg",
	} {
		wantVerdict(t, u, e.FilterURL(u), takedown.Block)
		d := e.Filter(u, picture...)
		wantVerdict(t, u, d, takedown.Block)
		if d.Case != id || d.Why != takedown.TierURL || d.Scope != takedown.ScopeURL || d.Kind != request.KindDSANotice {
			t.Errorf("%s: %v does not name the notice %v", u, d, id)
		}
	}
	for _, u := range []string{
		"https://example.org/a/photo.jpg?size=large",
		"https://example.org/a/other.jpg",
		"https://www.example.org/a/photo.jpg",
		"https://example.org/gallery", // the address of a page, not of a picture
	} {
		wantVerdict(t, u, e.Filter(u, picture...), takedown.Allow)
	}
	wantVerdict(t, "the page", e.FilterPage("https://example.org/gallery"), takedown.Block)
	wantVerdict(t, "the picture's address as a page", e.FilterPage("https://example.org/a/photo.jpg"), takedown.Allow)
}

// An opt-out blocks the picture at every address, past and future.
func TestImageOptOut_BlocksCopies(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	file, other := testJPEG(t, 1), testJPEG(t, 2)
	e := d.Enforcer()
	wantVerdict(t, "before", e.Filter("https://example.org/1.jpg", hashes(t, file)...), takedown.Allow)
	id := accept(t, d, optOut(t, 1), desk.Grant{})

	for name, copy := range map[string][]byte{
		"the same file":  file,
		"other encoding": edited(t, file, func(x, y, w, h int) (int, int) { return x, y }),
		"mirrored":       edited(t, file, func(x, y, w, h int) (int, int) { return w - 1 - x, y }),
		"upside down":    edited(t, file, func(x, y, w, h int) (int, int) { return w - 1 - x, h - 1 - y }),
	} {
		d := e.Filter("https://elsewhere.example/"+name, hashes(t, copy)...)
		wantVerdict(t, name, d, takedown.Block)
		if d.Case != id || d.Why != takedown.TierHash || d.Kind != request.KindImageOptOut {
			t.Errorf("%s: %v does not name the opt-out %v", name, d, id)
		}
	}
	wantVerdict(t, "another picture", e.Filter("https://example.org/2.jpg", hashes(t, other)...), takedown.Allow)
	wantVerdict(t, "no hash", e.Filter("https://example.org/1.jpg"), takedown.Allow)
	if c := e.Filter("https://example.org/1.jpg").Checked; c != takedown.TierURL {
		t.Errorf("without a hash, checked %v, want only the address", c)
	}
	if c := e.Filter("", hashes(t, other)...).Checked; c != takedown.TierHash {
		t.Errorf("without an address, checked %v, want only the hash", c)
	}
}

// Users of goimagehash ask with the hashes that they have stored.
func TestFilter_PerceptionHash(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	accept(t, d, optOut(t, 1), desk.Grant{})
	for seed, want := range map[uint32]takedown.Verdict{1: takedown.Block, 2: takedown.Allow} {
		m, err := jpeg.Decode(bytes.NewReader(testJPEG(t, seed)))
		if err != nil {
			t.Fatal(err)
		}
		h, err := phash.Perception(m)
		if err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, h.String(), d.Enforcer().Filter("https://example.org/x.jpg", h), want)
	}
	mirrored, err := png.Decode(bytes.NewReader(edited(t, testJPEG(t, 1), func(x, y, w, h int) (int, int) { return w - 1 - x, y })))
	if err != nil {
		t.Fatal(err)
	}
	h, err := phash.Perception(mirrored)
	if err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "mirrored", d.Enforcer().Filter("https://example.org/x.jpg", h), takedown.Block)
}

// Withdrawing one rule restores nothing that another rule still covers.
func TestWithdraw_CountsByRule(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	e, u, picture := d.Enforcer(), "https://example.org/a.jpg", hashes(t, testJPEG(t, 1))
	first := accept(t, d, optOut(t, 1), desk.Grant{})
	second := accept(t, d, optOut(t, 1), desk.Grant{})
	byURL := accept(t, d, notice(u), desk.Grant{})
	for _, step := range []struct {
		withdraw takedown.CaseID
		atURL    takedown.Verdict
		atOther  takedown.Verdict
	}{
		{first, takedown.Block, takedown.Block},
		{second, takedown.Block, takedown.Allow},
		{byURL, takedown.Allow, takedown.Allow},
	} {
		if err := d.Withdraw(ctx, step.withdraw, desk.Actor{}); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, "at the address", e.Filter(u, picture...), step.atURL)
		wantVerdict(t, "elsewhere", e.Filter("https://elsewhere.example/b.jpg", picture...), step.atOther)
	}
}

func TestGrant_Territories(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	u := "https://example.org/a.jpg"
	german := accept(t, d, notice(u), desk.Grant{Territories: []string{"DE", "AT"}})
	e := d.Enforcer()
	wantVerdict(t, "without a territory", e.FilterURL(u), takedown.Restricted)
	wantVerdict(t, "in Germany", e.In("DE").FilterURL(u), takedown.Block)
	wantVerdict(t, "in Austria", e.In("AT").FilterURL(u), takedown.Block)
	wantVerdict(t, "in Japan", e.In("JP").FilterURL(u), takedown.Allow)
	for _, code := range []string{"", "??", "Germany"} {
		wantVerdict(t, "in "+code, e.In(code).FilterURL(u), takedown.Block)
	}
	// The strongest verdict wins, whichever rule came first.
	accept(t, d, notice(u), desk.Grant{})
	wantVerdict(t, "with a worldwide rule too", e.FilterURL(u), takedown.Block)
	wantVerdict(t, "in Japan then", e.In("JP").FilterURL(u), takedown.Block)
	if err := d.Withdraw(ctx, german, desk.Actor{}); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "in Germany, by the worldwide rule", e.In("DE").FilterURL(u), takedown.Block)
}

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

func TestGrant_StartAndEnd(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := &clock{t: day}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now})
	u := "https://example.org/a.jpg"
	accept(t, d, notice(u), desk.Grant{Start: day.AddDate(0, 0, 1), End: day.AddDate(0, 0, 2)})
	for _, at := range []struct {
		time time.Time
		want takedown.Verdict
	}{
		{day, takedown.Allow},
		{day.AddDate(0, 0, 1).Add(-time.Second), takedown.Allow},
		{day.AddDate(0, 0, 1), takedown.Block},
		{day.AddDate(0, 0, 2).Add(-time.Second), takedown.Block},
		{day.AddDate(0, 0, 2), takedown.Allow},
	} {
		now.set(at.time)
		wantVerdict(t, at.time.String(), d.Enforcer().FilterURL(u), at.want)
	}
}

func TestGrant_Narrower(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	file := testJPEG(t, 1)
	mirrored := edited(t, file, func(x, y, w, h int) (int, int) { return w - 1 - x, y })
	accept(t, d, optOut(t, 1), desk.Grant{Scope: takedown.ScopeIdentical})
	wantVerdict(t, "the picture", d.Enforcer().Filter("", hashes(t, file)...), takedown.Block)
	wantVerdict(t, "mirrored", d.Enforcer().Filter("", hashes(t, mirrored)...), takedown.Allow)
}

func TestAccept_RefusesWhatCannotBeGranted(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	flat := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range flat.Pix {
		flat.Pix[i] = 200
	}
	flat.SetGray(3, 3, color.Gray{Y: 190})
	var b bytes.Buffer
	if err := png.Encode(&b, flat); err != nil {
		t.Fatal(err)
	}
	flatOptOut := optOut(t, 1)
	flatOptOut.Images = images(b.Bytes())
	day := time.Unix(1e9, 0)
	for _, tc := range []struct {
		name    string
		request request.Request
		grant   desk.Grant
	}{
		{"wider than asked", notice("https://example.org/a.jpg"), desk.Grant{Scope: takedown.ScopeDuplicate}},
		{"no scope of that number", optOut(t, 1), desk.Grant{Scope: 99}},
		{"a territory that is none", notice("https://example.org/a.jpg"), desk.Grant{Territories: []string{"EU"}}},
		{"an end before the start", notice("https://example.org/a.jpg"), desk.Grant{Start: day, End: day}},
		{"copies of a flat picture", flatOptOut, desk.Grant{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := d.Submit(ctx, tc.request)
			if err != nil {
				t.Fatal(err)
			}
			var ge *desk.GrantError
			if err := d.Accept(ctx, c.ID, tc.grant); !errors.As(err, &ge) {
				t.Fatalf("Accept: %v, want a *GrantError", err)
			}
			if c, err = d.Case(ctx, c.ID); err != nil || c.State != desk.StateInReview {
				t.Errorf("the case is %s (%v), want it untouched", c.State, err)
			}
		})
	}
	// The file itself can be blocked whatever it shows.
	c, err := d.Submit(ctx, flatOptOut)
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Pictures[0]; p.MaxScope != takedown.ScopeBytes || p.Refused == "" {
		t.Errorf("flat picture: widest %v, refused %q", p.MaxScope, p.Refused)
	}
	if err := d.Accept(ctx, c.ID, desk.Grant{Scope: takedown.ScopeBytes}); err != nil {
		t.Error(err)
	}
}

func TestMoves(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	accepted := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	rejected, err := d.Submit(ctx, notice("https://example.org/b.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Reject(ctx, rejected.ID, refuse(desk.Actor{By: "reviewer-1", Reason: "not_illegal"})); err != nil {
		t.Fatal(err)
	}
	var me *desk.MoveError
	for name, err := range map[string]error{
		"accept twice":    d.Accept(ctx, accepted, desk.Grant{}),
		"reject accepted": d.Reject(ctx, accepted, refuse(desk.Actor{})),
		"accept rejected": d.Accept(ctx, rejected.ID, desk.Grant{}),
		"withdraw reject": d.Withdraw(ctx, rejected.ID, desk.Actor{}),
	} {
		if !errors.As(err, &me) {
			t.Errorf("%s: %v, want a *MoveError", name, err)
		}
	}
	if err := d.Accept(ctx, takedown.CaseID{}, desk.Grant{}); !errors.Is(err, desk.ErrNoCase) || !strings.Contains(err.Error(), takedown.CaseID{}.String()) {
		t.Errorf("unknown case: %v, want ErrNoCase", err)
	}
	pending, err := d.Submit(ctx, notice("https://example.org/c.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Reject(ctx, pending.ID, desk.Refusal{Actor: desk.Actor{Reason: "a free text about somebody"}}); err == nil {
		t.Error("a free text was taken for a reason code")
	}
	if err := d.Withdraw(ctx, pending.ID, desk.Actor{}); err != nil {
		t.Error(err)
	}
	c, err := d.Case(ctx, pending.ID)
	if err != nil || c.State != desk.StateWithdrawn || len(c.Moves) != 2 {
		t.Errorf("withdrawn before review: %+v, %v", c, err)
	}
	wantVerdict(t, "never accepted", d.Enforcer().FilterURL("https://example.org/b.jpg"), takedown.Allow)
}

func TestOpen_RestoresEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	picture := hashes(t, testJPEG(t, 1))
	noticeID := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	optOutID := accept(t, d, optOut(t, 1), desk.Grant{})
	gone := accept(t, d, notice("https://example.org/b.jpg"), desk.Grant{})
	if err := d.Withdraw(ctx, gone, desk.Actor{}); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Open(dir, nil); !errors.Is(err, blocklist.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second desk on the folder: %v, want ErrLocked", err)
	}
	snap := filepath.Join(t.TempDir(), "blocklist.snap")
	if err := d.Publish(ctx, snap); err != nil {
		t.Fatal(err)
	}
	old := d.Enforcer()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "after Close", old.FilterURL("https://example.org/a.jpg"), takedown.Unknown)

	d = open(t, dir, nil)
	loaded, err := takedown.Load(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	for name, e := range map[string]*takedown.Enforcer{"reopened": d.Enforcer(), "loaded": loaded} {
		if got := e.FilterURL("https://example.org/a.jpg"); got.Verdict != takedown.Block || got.Case != noticeID {
			t.Errorf("%s, notice: %v", name, got)
		}
		if got := e.Filter("https://new.example/", picture...); got.Verdict != takedown.Block || got.Case != optOutID {
			t.Errorf("%s, opt-out: %v", name, got)
		}
		wantVerdict(t, name+", withdrawn", e.FilterURL("https://example.org/b.jpg"), takedown.Allow)
	}
	c, err := d.Case(ctx, optOutID)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := c.Request.(request.ImageOptOut); !ok || !bytes.Equal(content(t, r.Images[0]), testJPEG(t, 1)) || r.Requester.Email != "requester@example.org" {
		t.Errorf("the request of the case is not what was submitted: %T", c.Request)
	}
	n := 0
	if err := eachCase(d, func(desk.Case) bool { n++; return true }); err != nil || n != 3 {
		t.Errorf("%d cases, %v; want 3", n, err)
	}
}

// A desk does not serve a list that lacks what was delivered to it.
func TestOpen_RefusesAListThatIsOlder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "list"), filepath.Join(dir, "mislaid")); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Open(dir, nil); !errors.Is(err, desk.ErrListLost) {
		t.Fatalf("without its list: %v, want ErrListLost", err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "list")), os.Rename(filepath.Join(dir, "mislaid"), filepath.Join(dir, "list"))); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir, nil)
	wantVerdict(t, "with its list again", d.Enforcer().FilterURL("https://example.org/a.jpg"), takedown.Block)
}

// Names of folders may hold what patterns are made of.
func TestOpen_OddFolder(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "[odd"), nil)
	accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
}

// A published file is replaced in one step; a reader sees the new one when it
// asks for it.
func TestPublish_Reload(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	snap := filepath.Join(t.TempDir(), "blocklist.snap")
	if err := d.Publish(ctx, snap); err != nil {
		t.Fatal(err)
	}
	e, err := takedown.Load(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	u := "https://example.org/a.jpg"
	accept(t, d, notice(u), desk.Grant{})
	wantVerdict(t, "before the snapshot", e.FilterURL(u), takedown.Allow)
	if err := d.Publish(ctx, snap); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "before the reload", e.FilterURL(u), takedown.Allow)
	if changed, err := e.Reload(); err != nil || !changed {
		t.Fatalf("Reload: %v, %v", changed, err)
	}
	wantVerdict(t, "after the reload", e.FilterURL(u), takedown.Block)
}

// What is personal stays in the case store: neither the list's folder nor a
// published snapshot holds any of it, nor a plain address.
func TestPrivacy_NothingPersonalInTheList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	r := notice("https://secret-host.example/secret-path.jpg")
	r.Requester = request.Requester{Name: "Secretname", Email: "secretmail@example.org", Phone: "+4930123456"}
	r.Explanation = "secretreason"
	accept(t, d, r, desk.Grant{Actor: desk.Actor{By: "secretreviewer"}})
	if err := d.Publish(ctx, filepath.Join(dir, "list", "published.snap")); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(dir, "list"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, s := range []string{"secret", "Secret", "4930123456", "example.org"} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds %q", e.Name(), s)
			}
		}
		return err
	})
	if err != nil || files < 2 {
		t.Errorf("looked at %d files: %v", files, err)
	}
}

func TestFilter_NoAllocation(t *testing.T) {
	d := open(t, t.TempDir(), nil)
	u := "https://example.org/a/photo-123.jpg?size=large&v=2"
	accept(t, d, notice(u), desk.Grant{})
	accept(t, d, optOut(t, 1), desk.Grant{})
	snap := filepath.Join(t.TempDir(), "blocklist.snap")
	if err := d.Publish(ctx, snap); err != nil {
		t.Fatal(err)
	}
	loaded, err := takedown.Load(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	blocked, innocent := hashes(t, testJPEG(t, 1))[0], hashes(t, testJPEG(t, 2))[0]
	candidate := takedown.Candidate{ImageURLs: []string{"https://example.org/x.jpg", u}, SHA256: [32]byte{1}, Hashes: []phash.Hash{innocent}}
	for name, e := range map[string]*takedown.Enforcer{"desk": d.Enforcer(), "loaded": loaded} {
		if n := sharedtest.AllocsPerRun(1000, func() {
			if e.FilterURL(u).Verdict != takedown.Block ||
				e.FilterURL("https://example.org/innocent.jpg").Verdict != takedown.Allow ||
				e.Filter("https://example.org/innocent.jpg", innocent).Verdict != takedown.Allow ||
				e.Filter("https://example.org/innocent.jpg", innocent, blocked).Verdict != takedown.Block ||
				e.In("DE").Filter(u, innocent).Verdict != takedown.Block ||
				e.Check(candidate).Verdict != takedown.Block {
				t.Error("wrong verdict")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Readers run against writers; every reader sees an accepted case from the
// moment on at which Accept returned. For the race detector.
func TestFilter_BesideWriters(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	e, picture := d.Enforcer(), hashes(t, testJPEG(t, 1))[0]
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					e.Filter("https://example.org/a.jpg", picture)
					e.In("DE").FilterURL("https://example.org/b.jpg")
				}
			}
		})
	}
	for range 20 {
		id := accept(t, d, optOut(t, 1), desk.Grant{})
		wantVerdict(t, "accepted", e.Filter("", picture), takedown.Block)
		if err := d.Withdraw(ctx, id, desk.Actor{}); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, "withdrawn", e.Filter("", picture), takedown.Allow)
	}
	close(done)
	readers.Wait()
}

// The desk against a plain model: whatever happens in whatever order, an
// address or a picture is blocked exactly when some case in force says so.
func TestDesk_Model(t *testing.T) {
	t.Parallel()
	var pictures [][]phash.Hash
	var optOuts []request.Request
	for seed := range uint32(3) {
		pictures = append(pictures, hashes(t, testJPEG(t, seed+1)))
		// By hash: the model is not about decoding, which would take all its time.
		optOuts = append(optOuts, request.IntimateImage{
			Requester: person, Hashes: pictures[seed][:1], AllCopies: true, NoConsent: stated("I did not consent."),
			MinorDepicted: request.AnswerNo, Signature: "Requester",
		})
	}
	urls := []string{"https://example.org/a.jpg", "https://example.org/b.jpg", "https://example.org/c.jpg"}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := memoryDir()
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		d, err := desk.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { d.Close() }()
		type known struct {
			id      takedown.CaseID
			url     int // −1: an opt-out
			picture int
			inForce bool
			closed  bool
		}
		var cases []*known
		pick := func(t *rapid.T) *known {
			if len(cases) == 0 {
				t.Skip("no case yet")
			}
			return rapid.SampledFrom(cases).Draw(t, "case")
		}
		t.Repeat(map[string]func(*rapid.T){
			"submit": func(t *rapid.T) {
				k := &known{url: rapid.IntRange(-1, len(urls)-1).Draw(t, "url"), picture: rapid.IntRange(0, len(pictures)-1).Draw(t, "picture")}
				r := optOuts[k.picture]
				if k.url >= 0 {
					r = notice(urls[k.url])
				}
				c, err := d.Submit(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				k.id = c.ID
				cases = append(cases, k)
			},
			"accept": func(t *rapid.T) {
				k := pick(t)
				err := d.Accept(ctx, k.id, desk.Grant{})
				if may := !k.inForce && !k.closed; may != (err == nil) {
					t.Fatalf("accept: %v", err)
				}
				k.inForce = k.inForce || err == nil
			},
			"withdraw": func(t *rapid.T) {
				k := pick(t)
				err := d.Withdraw(ctx, k.id, desk.Actor{})
				if may := !k.closed; may != (err == nil) {
					t.Fatalf("withdraw: %v", err)
				}
				k.inForce, k.closed = false, true
			},
			"reopen": func(t *rapid.T) {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				if d, err = desk.Open(dir, nil); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				for i, u := range urls {
					for j, p := range pictures {
						want := takedown.Allow
						for _, k := range cases {
							switch {
							case k.inForce && k.url == i:
								want = takedown.Block
							case k.inForce && k.url < 0 && k.picture == j: // a hash that nobody has seen
								want = max(want, takedown.Review)
							}
						}
						if got := d.Enforcer().Filter(u, p...); got.Verdict != want {
							t.Fatalf("%s with picture %d: %v, want %v", u, j, got, want)
						}
					}
				}
			},
		})
	})
}
