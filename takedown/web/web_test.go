package web_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/web"
)

const password = "correct horse"

// office is a desk with its pages, and the letters that it wrote.
type office struct {
	t     *testing.T
	desk  *desk.Desk
	pages *web.Handler
	url   string

	mu      sync.Mutex
	letters []string
}

func open(t *testing.T, change func(*web.Options)) *office {
	t.Helper()
	o := &office{t: t}
	var err error
	if o.desk, err = desk.Open(t.TempDir(), &desk.Options{ConfirmEmail: true, Notifier: desk.NotifierFunc(func(_ context.Context, m desk.Message) error {
		subject, body, err := o.pages.Message(m)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.letters = append(o.letters, "To: "+m.To.Email+"\n"+subject+"\n"+body)
		return err
	})}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.desk.Close() })
	team := web.NewAccounts()
	for _, who := range []web.Reviewer{{ID: "alice", Name: "Alice", Roles: web.RoleAll}, {ID: "bob", Name: "Bob", Roles: web.RoleDecide}} {
		if err := team.Add(who, password); err != nil {
			t.Fatal(err)
		}
	}
	opts := &web.Options{Service: web.Service{Name: "Example Search"}, Key: bytes.Repeat([]byte{7}, 32), URL: "https://search.example/takedown",
		Login: team, Insecure: true, PerHour: 1000, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		change(opts)
	}
	if o.pages, err = web.New(o.desk, opts); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(o.pages)
	t.Cleanup(s.Close)
	o.url = s.URL
	return o
}

// letter returns the newest letter with a text in it.
func (o *office) letter(with string) string {
	o.t.Helper()
	if err := o.desk.Notify(context.Background()); err != nil {
		o.t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.letters) - 1; i >= 0; i-- {
		if strings.Contains(o.letters[i], with) {
			return o.letters[i]
		}
	}
	o.t.Fatalf("no letter has %q: %q", with, o.letters)
	return ""
}

// visitor is somebody with a browser.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
	at     string // the path of the page that is shown
}

func (o *office) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return &visitor{t: o.t, base: o.url, client: &http.Client{Jar: jar}}
}

func (o *office) reviewer(name string) *visitor {
	v := o.visitor()
	v.post("/desk/login/", 200, "name", name, "password", password, "next", "/desk/")
	return v
}

func (v *visitor) do(req *http.Request, want int) string {
	v.t.Helper()
	req.Header.Set("Accept-Language", "en")
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if resp.StatusCode != want {
		v.t.Fatalf("%s %s: %s, want %d\n%s", req.Method, req.URL.Path, resp.Status, want, b)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		v.t.Errorf("%s: policy %q", req.URL.Path, csp)
	}
	v.at = resp.Request.URL.RequestURI()
	return string(b)
}

func (v *visitor) get(path string, want int) string {
	v.t.Helper()
	req, err := http.NewRequest("GET", v.base+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.do(req, want)
}

// post sends a form as a browser does. A value that begins with "@" is a picture
// of that seed.
func (v *visitor) post(path string, want int, fields ...string) string {
	v.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	values, files := url.Values{}, false
	for i := 0; i < len(fields); i += 2 {
		name, ok := strings.CutPrefix(fields[i+1], "@")
		if !ok {
			m.WriteField(fields[i], fields[i+1])
			values.Add(fields[i], fields[i+1])
			continue
		}
		files = true
		w, err := m.CreateFormFile(fields[i], name)
		if err == nil && name != "" {
			_, err = w.Write(picture(name))
		}
		if err != nil {
			v.t.Fatal(err)
		}
	}
	m.Close()
	var body io.Reader = strings.NewReader(values.Encode())
	typ := "application/x-www-form-urlencoded"
	if files || strings.HasPrefix(path, "/ask/") {
		body, typ = &b, m.FormDataContentType()
	}
	req, err := http.NewRequest("POST", v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", typ)
	return v.do(req, want)
}

// picture makes a picture with much in it: the same for the same name.
func picture(name string) []byte {
	var seed uint64
	for _, c := range name {
		seed = seed*31 + uint64(c)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	m := image.NewRGBA(image.Rect(0, 0, 480, 360))
	for range 260 {
		x, y, w, h := r.IntN(480), r.IntN(360), 10+r.IntN(90), 10+r.IntN(90)
		c := color.RGBA{uint8(r.IntN(256)), uint8(r.IntN(256)), uint8(r.IntN(256)), 255}
		for i := max(0, x-w/2); i < min(480, x+w/2); i++ {
			for j := max(0, y-h/2); j < min(360, y+h/2); j++ {
				m.Set(i, j, c)
			}
		}
	}
	var b bytes.Buffer
	jpeg.Encode(&b, m, &jpeg.Options{Quality: 90})
	return b.Bytes()
}

func contains(t *testing.T, page string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the page lacks %q:\n%s", w, page)
		}
	}
}

func lacks(t *testing.T, page string, unwanted ...string) {
	t.Helper()
	for _, w := range unwanted {
		if strings.Contains(page, w) {
			t.Errorf("the page has %q:\n%s", w, page)
		}
	}
}

func find(t *testing.T, re, text string) string {
	t.Helper()
	m := regexp.MustCompile(re).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in:\n%s", re, text)
	}
	return m[len(m)-1]
}

const (
	caseNumber = `\b([a-z2-7]{26})\b`
	caseSecret = `Secret: ([a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4})`
)

// An opt-out from the first question to the withdrawal, on two devices: what is
// wrong is said beside its field, nothing is lost, what was understood is shown
// before it is sent, and a reviewer decides.
func TestOptOut(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	contains(t, v.get("/", 200), "/about/picture", "What should not be shown")
	contains(t, v.get("/about/picture", 200), `type="file"`, `autocomplete="email"`)

	// Everything that is wrong at once; the picture and the words stay.
	page := v.post("/ask/picture?d=", 422, "images", "@a", "claim", "", "reason", `"><script>alert(1)</script>`, "requester.email", "nobody", "requester.phone", "12")
	contains(t, page, `id="requester-email-error"`, `id="requester-name-error"`, `href="#claim"`, `value="nobody"`, "alert(1)", "/check/picture/0?d=")
	lacks(t, page, "<script>")
	draft := find(t, `d=([A-Z0-9]{26})"`, page)

	// The language is switched with everything kept, by the button in the form.
	page = v.post("/ask/picture?d="+draft+"&do=language&lang=th", 200, "requester.email", "nobody@requester.example", "reason", "because")
	contains(t, page, `lang="th"`, "nobody@requester.example", "because", "/check/picture/0?d=")
	v.get("/?lang=en", 200)

	page = v.post("/ask/picture?d="+draft, 200, "images", "@", "claim", "depicted", "requester.name", "Somebody Else", "requester.email", "nobody@requester.example",
		"requester.country", "TH", "examples", "see https://photos.example/dogs.jpg, please", "requester.language", "en")
	contains(t, page, "Nothing is sent yet", "/check/picture/0?d=", "Somebody Else", "Thailand")
	o.visitor().get("/check/picture/0?d="+draft, 200) // somebody else gets the first page
	page = v.post("/send?d="+draft, 200)
	id := find(t, caseNumber, page)
	contains(t, page, "Confirm your email address")
	v.post("/send?d="+draft, 200) // sent twice is one case
	n := 0
	for range o.desk.Cases(context.Background()) {
		n++
	}
	if n != 1 {
		t.Fatalf("%d cases", n)
	}

	// The link in the letter works on another device, and needs a press.
	letter := o.letter("/confirm/")
	link := find(t, `https://search.example/takedown(/confirm/\S+)\?lang=en`, letter)
	phone := o.visitor()
	contains(t, phone.get(link, 200), "One press")
	token := link[strings.LastIndex(link, "/")+1:]
	contains(t, phone.post("/confirm", 422, "case", id, "token", "wrong"), "not right")
	contains(t, phone.post("/confirm", 200, "case", id, "token", strings.ToUpper(strings.ReplaceAll(token, "-", " "))), "is confirmed")

	// Number and secret open the case on any device; a wrong secret says no more
	// than a wrong number.
	secret := find(t, caseSecret, letter)
	contains(t, phone.post("/case", 422, "case", id, "secret", "aaaa-aaaa-aaaa"), "There is no case")
	contains(t, phone.post("/case", 422, "case", strings.Repeat("a", 26), "secret", secret), "There is no case")
	contains(t, phone.post("/case", 200, "case", " "+strings.ToUpper(id), "secret", strings.ToUpper(strings.ReplaceAll(secret, "-", ""))), "A person will decide")

	alice := o.reviewer("alice")
	contains(t, alice.get("/desk/", 200), id, "Opt-out of a picture")
	page = alice.get("/desk/case/"+id, 200)
	contains(t, page, "What is registered", `src="data:image/jpeg;base64,`, "Somebody Else", "every copy of the picture", "What it would hit")
	contains(t, alice.get("/desk/case/"+id+"/letter?do=accept", 200), "We have accepted your request")
	contains(t, alice.post("/desk/case/"+id, 200, "do", "accept", "reason", "depicted"), "Accepted. It is in force.")
	contains(t, phone.get("/case", 200), "In force", "accepted")

	contains(t, phone.post("/case/withdraw", 422), "Yes, I take it back")
	contains(t, phone.post("/case/withdraw", 200, "sure", "on"), "Taken back")
	phone.post("/case/leave", 200)
	lacks(t, phone.get("/case", 200), id)
}

// Every form can be opened in every language, and asks for what it needs.
func TestDoors(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	for _, name := range web.Doors() {
		for _, lang := range []string{"en", "th"} {
			page := v.get("/ask/"+name+"?lang="+lang, 200)
			contains(t, page, `lang="`+lang+`"`, "<fieldset")
			if gap := regexp.MustCompile(`(?:field|door|group|hint|choice|statement|topic|after)\.[a-z_.-]+`).FindString(strings.ReplaceAll(page, `name="`, "")); gap != "" {
				t.Errorf("%s in %s lacks the text %q", name, lang, gap)
			}
		}
		page := v.post("/ask/"+name+"?d=", 422, "requester.language", "en")
		contains(t, page, `role="alert"`)
	}
	v.get("/ask/nothing", 404)
	v.get("/nothing", 404)
}

// What is missing is asked for, and the person completes it from the page of the
// case.
func TestComplete(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	page := v.post("/ask/link?d=", 200, "image_urls", "https://www.google.com/imgres?imgurl=https%3A%2F%2Fphotos.example%2Fa.jpg&imgrefurl=https%3A%2F%2Fphotos.example%2F\nhttps://photos.example/album/",
		"explanation", "It shows my house.", "requester.name", "Somebody", "requester.email", "some@requester.example", "requester.language", "en")
	contains(t, page, "https://photos.example/a.jpg", "google.com/imgres", "looks like the address of a page", "We will ask you for this")
	page = v.post("/send?d="+find(t, `send\?d=([A-Z0-9]{26})`, page), 200)
	id := find(t, caseNumber, page)
	contains(t, page, "Something is missing")
	page = v.get("/case/complete", 422)
	contains(t, page, "You complete a request", "It shows my house.", `id="good_faith-error"`)
	draft := find(t, `d=([A-Z0-9]{26})"`, page)
	page = v.post("/ask/link?d="+draft, 200, "image_urls", "https://photos.example/a.jpg", "explanation", "It shows my house.",
		"requester.name", "Somebody", "requester.email", "some@requester.example", "good_faith", "on", "requester.language", "en")
	page = v.post("/send?d="+find(t, `send\?d=([A-Z0-9]{26})`, page), 200)
	if got := find(t, caseNumber, page); got != id {
		t.Errorf("the completed case is %s, not %s", got, id)
	}
	lacks(t, v.get("/case", 200), "Something is missing")
}

// Reviewers only see the console, cases of children only those with that role,
// and moves need their roles.
func TestRoles(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	o.visitor().get("/desk/", 401)
	v := o.visitor()
	v.post("/desk/login/", 401, "name", "alice", "password", "wrong password")
	page := v.post("/ask/child-abuse?d=", 200, "image_urls", "https://photos.example/x.jpg", "explanation", "I saw it.", "good_faith", "on", "requester.language", "en")
	page = v.post("/send?d="+find(t, `send\?d=([A-Z0-9]{26})`, page), 200)
	id := find(t, caseNumber, page)
	alice, bob := o.reviewer("alice"), o.reviewer("bob")
	contains(t, alice.get("/desk/?tab=all", 200), id)
	lacks(t, bob.get("/desk/?tab=all", 200), id)
	bob.get("/desk/case/"+id, 404)
	bob.post("/desk/case/"+id, 404, "do", "accept")
	contains(t, alice.get("/desk/case/"+id, 200), "a child may be shown")
	bob.get("/desk/export.csv", 404)
	alice.get("/desk/export.csv", 200)
}

// A flood from one network is stopped, with words that say what to do; somebody
// else goes on.
func TestFlood(t *testing.T) {
	t.Parallel()
	o := open(t, func(opts *web.Options) { opts.PerHour = 3 })
	v := o.visitor()
	sent := 0
	for i := range 40 {
		page := v.post("/ask/link?d=", orStatus(i < 30, 200, 429), "image_urls", fmt.Sprintf("https://photos.example/%d.jpg", i), "explanation", "x", "good_faith", "on",
			"requester.name", "S", "requester.email", "s@requester.example")
		if i >= 30 {
			contains(t, page, "Too many at once")
			continue
		}
		v.post("/send?d="+find(t, `send\?d=([A-Z0-9]{26})`, page), orStatus(sent < 3, 200, 429))
		if sent < 3 {
			sent++
		}
	}
	n := 0
	for range o.desk.Cases(context.Background()) {
		n++
	}
	if n != 3 {
		t.Errorf("%d cases were taken in, want 3", n)
	}
}

func orStatus(ok bool, a, b int) int {
	if ok {
		return a
	}
	return b
}

// Forms of other sites, programs that fill in everything, and forms that are too
// large are refused.
func TestAttacks(t *testing.T) {
	t.Parallel()
	o := open(t, func(opts *web.Options) { opts.UploadBytes = 4096 })
	v := o.visitor()
	req, _ := http.NewRequest("POST", o.url+"/confirm", strings.NewReader("token=x"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	v.do(req, http.StatusForbidden)
	contains(t, v.post("/ask/link?d=", 422, "requester.website", "https://spam.example"), "perhaps by a program")
	contains(t, v.post("/ask/picture?d=", 413, "images", "@large"), "too large")
	v.post("/ask/link?d=", 400, "no_such_field", "x")
	page := v.post("/ask/link?d=", 422, "requester.name", "\u202eevil", "image_urls", "javascript:alert(1)")
	lacks(t, page, `href="javascript:`)
	for _, path := range []string{"/desk/case/x", "/check/picture/0?d=x", "/mark?d=x", "/case/complete"} {
		v.get(path, orStatus(strings.HasPrefix(path, "/desk"), 401, 200))
	}
}
