package main

import (
	"bytes"
	"context"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

const photos = "../quickstart/photos"

// visitor is somebody with a browser.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
	name   string // of a reviewer
}

func (v *visitor) do(req *http.Request, want int) string {
	v.t.Helper()
	if v.name != "" {
		req.SetBasicAuth(v.name, "secret")
	}
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

// post sends a form as a browser does. A value that begins with "@" is a file.
func (v *visitor) post(path string, want int, fields ...string) string {
	v.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		var err error
		if file, ok := strings.CutPrefix(fields[i+1], "@"); ok {
			var content []byte
			if file != "" { // else no file was chosen
				if content, err = os.ReadFile(filepath.Join(photos, file)); err != nil {
					v.t.Fatal(err)
				}
			}
			var w io.Writer
			if w, err = m.CreateFormFile(fields[i], file); err == nil {
				_, err = w.Write(content)
			}
		} else {
			err = m.WriteField(fields[i], fields[i+1])
		}
		if err != nil {
			v.t.Fatal(err)
		}
	}
	m.Close()
	req, err := http.NewRequest("POST", v.base+path, &b)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", m.FormDataContentType())
	return v.do(req, want)
}

// decide sends the form of a reviewer's page.
func (v *visitor) decide(id, do string, want int, fields ...string) string {
	v.t.Helper()
	values := url.Values{"do": {do}}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequest("POST", v.base+"/desk/case/"+id, strings.NewReader(values.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(req, want)
}

// some is a folder with a few of the photos: reading all takes its time.
func some(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"dogs.jpg", "beach5.jpg", "city4.jpg", "graf3.jpg"} {
		b, err := os.ReadFile(filepath.Join(photos, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type office struct {
	*server
	visitor, alice, bob *visitor
}

func open(t *testing.T) *office {
	t.Helper()
	s, err := newServer(t.TempDir(), some(t), map[string]string{"alice": "secret", "bob": "secret"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.Close()
		s.Close()
	})
	who := func(name string) *visitor {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		return &visitor{t, web.URL, &http.Client{Jar: jar}, name}
	}
	return &office{s, who(""), who("alice"), who("bob")}
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

var number = regexp.MustCompile(`\b[a-z2-7]{26}\b`)

// An opt-out from the form to the withdrawal: what is wrong is said beside its
// field, the email address is confirmed, a reviewer sees what would go, and the
// requester never does.
func TestOptOut(t *testing.T) {
	t.Parallel()
	o := open(t)
	contains(t, o.visitor.get("/?lang=th", 200), `lang="th"`, "ท่านต้องการให้นำสิ่งใดออก", "/ask/image_opt_out?lang=th")
	contains(t, o.visitor.get("/ask/image_opt_out?lang=en", 200), `type="file"`, `autocomplete="email"`, "A picture, everywhere")
	o.visitor.get("/ask/authority_order", 404)

	// Everything that is wrong at once, beside its field, and nothing lost.
	page := o.visitor.post("/ask/image_opt_out?lang=en", 422,
		"images", "@", "claim", "", "reason", `"><script>alert(1)</script>`, "requester.name", "", "requester.email", "nobody", "requester.phone", "12", "requester.country", "")
	contains(t, page, `id="images-error"><p>This is needed.`, `id="claim-error"><p>This is needed.`, `id="requester-name-error"`,
		`id="requester-email-error"><p>This is not an email address.`, `id="requester-phone-error"`, `value="nobody"`, `href="#requester-email"`, "alert(1)")
	lacks(t, page, "<script>", `id="requester-country-error"`, `id="reason-error"`)
	contains(t, o.visitor.post("/ask/image_opt_out?lang=th", 422, "images", "@"), "กรุณาระบุข้อมูลนี้")
	contains(t, o.visitor.post("/ask/image_opt_out?lang=en", 422, "images", "@README.md", "claim", "owner", "requester.name", "สมชาย", "requester.email", "s@example.org"),
		"Picture 1: This file is not a picture.", words["en"]["again"], `value="สมชาย"`, `value="owner" selected`)
	contains(t, o.visitor.post("/ask/image_opt_out?lang=en", 400, "no_such_field", "x"), words["en"]["not_a_form"])

	page = o.visitor.post("/ask/image_opt_out?lang=en", 200, "images", "@dogs.jpg", "claim", "depicted",
		"requester.name", "สมชาย", "requester.email", " s@example.org ", "requester.phone", "+66 81 234 5678", "requester.language", "en", "examples", "see https://photos.example/dogs.jpg, please")
	id := number.FindString(page)
	contains(t, page, "We have received your request", id)
	lacks(t, page, "dogs", "copies.example")

	// The code of the message confirms the address, once.
	messages := o.alice.get("/desk/messages", 200)
	var token string
	for _, n := range number.FindAllString(messages, -1) {
		if n != id {
			token = n
		}
	}
	o.visitor.post("/confirm?lang=en", 422, "case", id, "token", "wrong")
	contains(t, o.visitor.post("/confirm?lang=en", 200, "case", id, "token", token), "is confirmed")
	o.visitor.post("/confirm?lang=en", 422, "case", id, "token", token)

	// Reviewers only.
	o.visitor.get("/desk/", 401)
	o.visitor.get("/desk/case/"+id, 401)
	o.visitor.get("/desk/index/dogs.jpg", 401)
	o.visitor.get("/desk/case/"+id+"/image/0", 401)
	contains(t, o.alice.get("/desk/", 200), id, "waits for a reviewer")
	page = o.alice.get("/desk/case/"+id, 200)
	contains(t, page, "s@example.org", "dogs.jpg", "mirrored-dogs.jpg", "copies.example (1)", "2 would be blocked", `value="accept"`)
	for _, path := range []string{"/desk/case/" + id + "/image/0", "/desk/index/mirrored-dogs.jpg"} {
		m, err := jpeg.Decode(strings.NewReader(o.alice.get(path, 200)))
		if err != nil || m.Bounds().Dx() > 240 || m.Bounds().Dy() > 240 {
			t.Errorf("%s: no thumbnail: %v", path, err)
		}
	}
	o.alice.get("/desk/case/"+id+"/image/1", 404)
	o.alice.get("/desk/index/nothing.jpg", 404)

	verdict := func(want takedown.Verdict) {
		t.Helper()
		it, _, ok := o.index.get("mirrored-dogs.jpg")
		if got := o.desk.Enforcer().Filter(it.Candidate.ImageURLs[0], it.Candidate.Hashes...); !ok || got.Verdict != want {
			t.Errorf("the copy: %v, want %v", got, want)
		}
	}
	verdict(takedown.Allow)
	contains(t, o.alice.decide(id, "accept", 422, "scope", "5"), "cannot be granted")
	contains(t, o.alice.decide(id, "accept", 422, "reason", "not a code"), "codes")
	contains(t, o.alice.decide(id, "accept", 200, "scope", "4", "reason", "shown"), "Done.", "in force", "2 are blocked")
	verdict(takedown.Block)
	contains(t, o.alice.decide(id, "accept", 422), "cannot become")
	contains(t, o.alice.get("/desk/messages", 200), "We have accepted your request", "Your removal is in force")
	lacks(t, o.alice.get("/desk/messages", 200), "copies.example")

	// A wrong match is excepted.
	o.alice.decide(id, "resolve", 200, "key", "mirrored-dogs.jpg", "same", "no")
	verdict(takedown.Allow)

	// A stranger's withdrawal takes two reviewers.
	page = o.visitor.post("/ask/withdrawal?lang=en", 422, "case", "something", "requester.email", "stranger@example.org")
	contains(t, page, `id="case-error"><p>There is no case with this number`)
	page = o.visitor.post("/ask/withdrawal?lang=en", 200, "case", id, "requester.email", "stranger@example.org")
	reply := number.FindString(page)
	for _, n := range number.FindAllString(o.alice.get("/desk/messages", 200), -1) {
		if o.desk.Confirm(context.Background(), caseID(t, reply), n) == nil {
			break
		}
	}
	contains(t, o.alice.decide(reply, "accept", 200), "Another reviewer", "not by who made the request")
	contains(t, o.bob.decide(reply, "accept", 200), "closed")
	contains(t, o.alice.get("/desk/case/"+id, 200), "withdrawn")
}

func caseID(t *testing.T, s string) takedown.CaseID {
	t.Helper()
	id, err := takedown.ParseCaseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A notice blocks the links that were pasted, and only those.
func TestNotice(t *testing.T) {
	t.Parallel()
	o := open(t)
	page := o.visitor.post("/ask/dsa_notice?lang=en", 422, "image_urls", "not an address\nhttps://photos.example/beach5.jpg", "ground", "privacy",
		"requester.name", "A. Person", "requester.email", "p@example.org")
	contains(t, page, `id="image_urls-error"><p>Line 1: This is not a web address`, `id="explanation-error"`, `id="good_faith-error"><p>This statement has to be accepted.`, "beach5.jpg", `value="privacy" selected`)
	page = o.visitor.post("/ask/dsa_notice?lang=en", 422, "image_urls", "https://photos.example/beach5.jpg", "explanation", "It shows me.", "good_faith", "on",
		"requester.name", "A. Person", "requester.email", "nobody")
	contains(t, page, ` checked`, words["en"]["box.good_faith"])
	page = o.visitor.post("/ask/dsa_notice?lang=en", 200, "image_urls", "https://photos.example/beach5.jpghttps://photos.example/city4.jpg", "explanation", "It shows me.",
		"good_faith", "on", "requester.name", "A. Person", "requester.email", "p@example.org")
	id := number.FindString(page)
	c, err := o.desk.Case(context.Background(), caseID(t, id))
	if err != nil || len(c.Items) != 2 || c.Request.(request.DSANotice).GoodFaith.Text != words["en"]["box.good_faith"] {
		t.Fatalf("%v: %+v", err, c)
	}
	contains(t, o.alice.decide(id, "accept", 200), "in force")
	for key, want := range map[string]takedown.Verdict{"beach5.jpg": takedown.Block, "mirrored-beach5.jpg": takedown.Allow, "dogs.jpg": takedown.Allow} {
		it, _, _ := o.index.get(key)
		if got := o.desk.Enforcer().Check(it.Candidate); got.Verdict != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
	contains(t, o.alice.decide(id, "reverse", 200, "reason", "mistake"), "reversed")
	open := o.visitor.post("/ask/open_opt_out?lang=th", 200, "images", "@dogs.jpg", "claim", "depicted", "requester.name", "ก", "requester.email", "k@example.org")
	contains(t, open, "เราได้รับคำขอของท่านแล้ว")
	id = number.FindString(open)
	contains(t, o.alice.decide(id, "reject", 200, "reason", "not_illegal"), "rejected")
}

// What is too large is said to be, and not read to its end.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	o := open(t)
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for range 8 {
		w, err := m.CreateFormFile("images", "large.jpg")
		if err == nil {
			_, err = w.Write(make([]byte, 9<<20))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m.Close()
	w := httptest.NewRecorder()
	req := httptest.NewRequest("POST", "/ask/image_opt_out?lang=en", &b)
	req.Header.Set("Content-Type", m.FormDataContentType())
	o.server.ServeHTTP(w, req)
	if w.Code != http.StatusRequestEntityTooLarge || b.Len() == 0 {
		t.Errorf("status %d, %d bytes left", w.Code, b.Len())
	}
	contains(t, w.Body.String(), words["en"]["too_large"])
}

// A form on another site sends nothing in a visitor's name.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	o := open(t)
	req, err := http.NewRequest("POST", o.visitor.base+"/ask/withdrawal", strings.NewReader("case=x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	o.visitor.do(req, 403)
}

// Every word of one language is there in the other, and every field has its
// words.
func TestWords(t *testing.T) {
	t.Parallel()
	for key := range words["en"] {
		if words["th"][key] == "" {
			t.Errorf("no Thai for %q", key)
		}
	}
	if len(words["en"]) != len(words["th"]) {
		t.Errorf("%d English words, %d Thai", len(words["en"]), len(words["th"]))
	}
	for _, f := range forms {
		for _, key := range []string{f.Kind.String(), f.Kind.String() + ".about"} {
			if words["en"][key] == "" {
				t.Errorf("no words for %q", key)
			}
		}
		for _, ff := range f.Fields {
			if words["en"][ff.Name] == "" {
				t.Errorf("no words for %q", ff.Name)
			}
			for _, c := range ff.Choices {
				if words["en"][ff.Name+"."+c] == "" {
					t.Errorf("no words for %q of %q", c, ff.Name)
				}
			}
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	err := run(ctx, "localhost:0", "", some(t), "secret", func(addr string) {
		go func() {
			defer stop()
			resp, err := http.Get("http://" + addr + "/")
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("the first page: %v", err)
				return
			}
			resp.Body.Close()
		}()
	})
	if err != nil {
		t.Error(err)
	}
}

// What a visitor meets beside the straight way.
func TestPages(t *testing.T) {
	t.Parallel()
	o := open(t)
	// A link to a page is enough, and the form says so.
	page := o.visitor.post("/ask/dsa_notice?lang=en", 422, "image_urls", "")
	contains(t, page, words["en"]["either"], `id="image_urls-error"><p>`+words["en"]["one_address"])
	page = o.visitor.post("/ask/dsa_notice?lang=en", 422, "image_urls", "none\nhttps://a.example/\nneither")
	contains(t, page, "<p>Line 1: ", "<p>Line 3: ")
	// Countries have names.
	contains(t, o.visitor.get("/ask/image_opt_out?lang=th", 200), `<option value="TH">ไทย</option>`)
	contains(t, o.visitor.get("/ask/image_opt_out?lang=en", 200), `<option value="DE">Germany</option>`, `lang="en" aria-current="true"`)
	// Nothing was sent: there is no case to show.
	lacks(t, o.visitor.get("/received?lang=en", 200), words["en"]["number"])
	contains(t, o.visitor.get("/nothing?lang=th", 404), words["th"]["missing"])
	contains(t, o.alice.get("/desk/case/nothing", 404), words["en"]["missing"])

	page = o.visitor.post("/ask/open_opt_out?lang=en", 200, "images", "@dogs.jpg", "claim", "depicted", "biometric", "on", "requester.name", "A", "requester.email", "a@example.org")
	id := number.FindString(page)
	// After a wrong code the other language is a page that there is.
	page = o.visitor.post("/confirm?lang=en", 422, "case", id, "token", "wrong")
	contains(t, page, `href="/received?lang=th"`)
	contains(t, o.visitor.get("/received?lang=th", 200), id)
	contains(t, o.alice.get("/desk/case/"+id, 200), "has not confirmed", "no model that finds faces", `alt="picture 1 of the request"`)

	// A decision is followed by the page, which can be loaded again.
	o.alice.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.alice.decide(id, "reject", http.StatusSeeOther, "reason", "not_illegal")
	contains(t, o.alice.get("/desk/case/"+id+"?note=done", 200), "Done.")
}
