package webtest

import (
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/disintegration/imaging"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/web"
	"github.com/staydown/staydown/takedown/web/passkey"
)

// indexed is the picture of an index.
type indexed struct {
	item takedown.Item
	file []byte
}

// index makes an index of some photographs, with a cropped and mirrored copy of each.
func index(t *testing.T) (list []indexed) {
	t.Helper()
	for _, name := range []string{"dogs", "beach5", "city4"} {
		file, err := os.ReadFile(filepath.Join("../../../examples/quickstart/photos", name+".jpg"))
		if err != nil {
			t.Fatal(err)
		}
		pic, err := jpeg.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var copied bytes.Buffer
		b := pic.Bounds()
		cropped := imaging.Crop(pic, b.Inset(b.Dx()/8))
		if err := jpeg.Encode(&copied, imaging.FlipH(imaging.Fit(cropped, 480, 480, imaging.Lanczos)), nil); err != nil {
			t.Fatal(err)
		}
		for key, file := range map[string][]byte{name + ".jpg": file, name + "-copy.jpg": copied.Bytes()} {
			c, err := takedown.Inspect(bytes.NewReader(file), takedown.Source{ImageURL: "https://photos.example/" + key}, nil)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, indexed{takedown.Item{Key: key, Candidate: c}, file})
		}
	}
	return list
}

// console opens pages with an index, cases that wait, and matches to answer.
func console(t *testing.T) (o *office, opened takedown.CaseID) {
	t.Helper()
	list := index(t)
	fileOf := func(is func(*indexed) bool) ([]byte, error) {
		for i := range list {
			if is(&list[i]) {
				return list[i].file, nil
			}
		}
		return nil, os.ErrNotExist
	}
	o = open(t, func(opts *web.Options) {
		opts.Index = func(context.Context, string) iter.Seq2[takedown.Item, error] {
			return func(yield func(takedown.Item, error) bool) {
				for _, x := range list {
					if !yield(x.item, nil) {
						return
					}
				}
			}
		}
		opts.Thumbnail = func(_ context.Context, key string) ([]byte, error) {
			return fileOf(func(x *indexed) bool { return x.item.Key == key })
		}
		opts.MatchPicture = func(_ context.Context, m takedown.Match) ([]byte, error) {
			return fileOf(func(x *indexed) bool { return x.item.Candidate.SHA256 == m.Candidate.SHA256 })
		}
	})
	ctx, now := context.Background(), time.Now()
	add := func(r request.Request, ago time.Duration) takedown.CaseID {
		c, err := o.desk.Import(ctx, r, now.Add(-ago))
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	who := func(i int, lang string) request.Requester {
		return request.Requester{Name: fmt.Sprintf("Requester %d", i), Email: fmt.Sprintf("r%d@requester.example", i), Language: lang, Country: "DE"}
	}
	file := func(key string) []request.File {
		b, err := fileOf(func(x *indexed) bool { return x.item.Key == key })
		if err != nil {
			t.Fatal(err)
		}
		return []request.File{request.FromBytes(b)}
	}
	said := func(text string) request.Statement { return request.Statement{Text: text, Accepted: now} }
	opened = add(request.ImageOptOut{Requester: who(1, "th"), Images: file("dogs.jpg"), Claim: request.ClaimDepicted, Reason: "These are my dogs, in my garden."}, 20*time.Hour)
	for i := range 6 {
		add(request.DSANotice{Requester: who(2+i, "en"), ImageURLs: []string{fmt.Sprintf("https://photos.example/%d.jpg", i), "https://copies.example/a.jpg"},
			Ground: request.GroundPrivacy, Explanation: "It shows my house with its address.", GoodFaith: said("I believe it.")}, time.Duration(30+i)*time.Hour)
	}
	add(request.IntimateImage{Requester: who(9, "en"), Images: file("city4.jpg"), NoConsent: said("No consent."), MinorDepicted: request.AnswerNo, Signature: "R"}, 50*time.Hour)
	inForce := add(request.ImageOptOut{Requester: who(10, "en"), Images: file("beach5.jpg"), Claim: request.ClaimOwner, Reason: "I took it."}, 100*time.Hour)
	for _, by := range []string{"alice", "bob"} {
		if c, err := o.desk.Case(ctx, inForce); err != nil {
			t.Fatal(err)
		} else if c.State != desk.StateInForce {
			o.desk.Accept(ctx, inForce, desk.Grant{Actor: desk.Actor{By: by, Reason: "owner"}}) // the state is looked at below
		}
	}
	n := 0
	for _, x := range list {
		if d := o.desk.Enforcer().Check(x.item.Candidate); d.Case == inForce && d.Why != 0 {
			if _, err := o.desk.AddMatches(ctx, takedown.Match{Candidate: x.item.Candidate, Decision: d}); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if n != 2 {
		t.Fatalf("%d matches wait, want the picture and its copy", n)
	}
	return o, opened
}

func (w *tab) logIn() {
	w.t.Helper()
	w.open("/desk/?lang=en")
	w.run(chromedp.SendKeys(`#name`, "alice", chromedp.ByQuery), chromedp.SendKeys(`#password`, password, chromedp.ByQuery))
	w.press(`main form button`)
}

// key presses a key, with the focus where it is.
func (w *tab) key(keys string) {
	w.t.Helper()
	w.run(chromedp.KeyEvent(keys))
}

// goes presses a key that leads to another page.
func (w *tab) goes(key string) {
	w.t.Helper()
	if _, err := chromedp.RunResponse(w.ctx, chromedp.KeyEvent(key)); err != nil {
		w.t.Fatalf("%s: key %q: %v", w.name, key, err)
	}
}

// A reviewer works from the queue to the letter: cases are selected by keys, an action
// is undone, a part of a picture is chosen by two clicks, its effect is tried, the letter
// is changed and sent, and matches are answered by keys alone.
func TestConsole(t *testing.T) {
	o, id := console(t)
	w := o.tab("console-en", 1280, true, 1)
	w.logIn()
	w.look("queue")
	w.run(chromedp.Focus(`tbody tr:nth-child(2) input`, chromedp.ByQuery))
	w.key("x")
	w.key("j")
	w.key("x")
	w.press(`button[value=spam]`)
	w.look("waits")
	w.wants("2 cases are rejected as spam")
	w.run(chromedp.Focus(`tbody tr:nth-child(1) input`, chromedp.ByQuery))
	w.goes("u")
	w.wants("Undone. Nothing has happened.")

	w.open("/desk/case/" + id.String())
	w.look("case")
	w.wants("What would disappear", "dogs-copy.jpg")
	w.press(`button[formaction*="/crop/0"]`)
	w.look("crop")
	w.clicks(`input[type=image]`, .1, .1)
	w.look("crop-second")
	w.clicks(`input[type=image]`, .9, .8)
	w.look("crop-chosen")
	w.press(`main form button:not(.second)`)
	w.look("terms")
	w.wants("This is what the terms on the right would do")
	w.run(chromedp.Click(`#terms details summary`, chromedp.ByQuery), chromedp.SetValue(`#explanation`, "สุนัขของท่าน", chromedp.ByQuery)) // chromedp drops combining characters
	w.press(`#terms button[formaction$="/letter"]`)
	w.look("letter")
	w.wants("สุนัขของท่าน", `lang="th"`)
	w.press(`button[value=accept]:not(.second)`)
	w.look("decided")
	w.wants(`name="view0" value="0/0/63,47,575,383" checked`) // the part that is in force

	w.open("/desk/matches")
	w.look("matches")
	w.key("y")
	w.key("n")
	w.goes(kb.Enter)
	w.look("answered")
	w.wants("2 answers are recorded")
	for _, page := range []string{"numbers", "due", "alarms"} {
		w.open("/desk/" + page)
		w.look(page)
	}
	small := o.tab("console-th", 390, false, 1)
	small.logIn()
	for name, path := range map[string]string{"queue": "/desk/?lang=th", "case": "/desk/case/" + id.String(), "all": "/desk/?tab=all&select=all", "numbers": "/desk/numbers", "due": "/desk/due", "crop": "/desk/case/" + id.String() + "/crop/0?left=10&top=10&right=300&bottom=300", "letter": "/desk/case/" + id.String() + "/letter?do=reject"} {
		small.open(path)
		small.look(name)
	}
	t.Logf("%d states", o.states)
}

// clicks clicks at a place of an element, in shares of its sides, and waits for the page
// behind it.
func (w *tab) clicks(selector string, x, y float64) {
	w.t.Helper()
	var box struct{ X, Y float64 }
	w.run(chromedp.Evaluate(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: "center"}); const b = e.getBoundingClientRect(); return {X: b.x + b.width * %g, Y: b.y + b.height * %g} })()`, selector, x, y), &box))
	if _, err := chromedp.RunResponse(w.ctx, chromedp.MouseClickXY(box.X, box.Y)); err != nil {
		w.t.Fatalf("%s: %s: %v", w.name, selector, err)
	}
}

// An invited reviewer registers a passkey with an authenticator of the browser, and logs
// in with it.
func TestPasskey(t *testing.T) {
	o := open(t, nil)
	accounts, err := passkey.OpenFile(filepath.Join(t.TempDir(), "reviewers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pages http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	o.url = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // browsers have no passkeys for addresses
	key := bytes.Repeat([]byte{2}, 32)
	login, err := passkey.New(&passkey.Options{Name: "Example Search", URL: o.url, Key: key, Accounts: accounts})
	if err != nil {
		t.Fatal(err)
	}
	if pages, err = web.New(o.desk, &web.Options{Service: web.Service{Name: "Example Search"}, Key: key, Login: login, Insecure: true}); err != nil {
		t.Fatal(err)
	}
	link, err := login.Invite(context.Background(), web.Reviewer{ID: "alice", Name: "Alice", Roles: web.RoleAll})
	if err != nil {
		t.Fatal(err)
	}
	w := o.tab("passkey", 390, true, 1)
	w.run(webauthn.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}).Do(ctx)
		return err
	}))
	w.open(strings.TrimPrefix(link, o.url))
	w.look("invited")
	w.press(`main form button`)
	w.wants("Queue", "Alice")
	w.press(`form[action$="/out"] button`)
	w.open("/desk/")
	w.look("login")
	w.press(`main form button`)
	w.wants("Queue", "Alice")
}
