package webtest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/staydown/staydown/internal/tools/browser"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/web"
)

var pictures = flag.String("pictures", "", "folder for a picture of each state")

const password = "correct horse"

// office is a desk with its pages, in a browser.
type office struct {
	t       *testing.T
	program string
	desk    *desk.Desk
	pages   *web.Handler
	url     string
	photo   string
	axe     string
	states  int

	mu      sync.Mutex
	letters []string
}

// open starts the pages.
func open(t *testing.T, change func(*web.Options)) *office {
	t.Helper()
	program := browser.Program()
	if program == "" {
		t.Skip("there is no Chromium: scripts/setup installs it")
	}
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skip("axe-core is not there: scripts/setup pages installs it")
	}
	o := &office{t: t, axe: string(axe)}
	if o.photo, err = filepath.Abs("../../../examples/quickstart/photos/dogs.jpg"); err != nil {
		t.Fatal(err)
	}
	if o.desk, err = desk.Open(t.TempDir(), &desk.Options{ConfirmEmail: true, Notifier: desk.NotifierFunc(func(_ context.Context, m desk.Message) error {
		subject, body, err := o.pages.Message(m)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.letters = append(o.letters, subject+"\n"+body)
		return err
	})}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.desk.Close() })
	team := web.NewAccounts()
	if err := team.Add(web.Reviewer{ID: "alice", Name: "Alice", Roles: web.RoleAll}, password); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(nil)
	o.url = "http://" + s.Listener.Addr().String()
	opts := &web.Options{Service: web.Service{Name: "Example Search"}, Key: bytes.Repeat([]byte{1}, 32), URL: o.url, Login: team, Insecure: true, PerHour: 10000}
	if change != nil {
		change(opts)
	}
	if o.pages, err = web.New(o.desk, opts); err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = o.pages
	s.Start()
	t.Cleanup(s.Close)
	o.program = program
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

// tab is a window of somebody.
type tab struct {
	o    *office
	t    *testing.T
	ctx  context.Context
	name string
}

// tab opens a window of a width, with cookies of its own.
func (o *office) tab(name string, width int64, script bool, scale float64) *tab {
	o.t.Helper()
	// A browser of its own: new ones of one browser need a window first.
	alloc, close := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(o.program), chromedp.NoSandbox)...)
	o.t.Cleanup(close)
	ctx, end := chromedp.NewContext(alloc)
	o.t.Cleanup(end)
	ctx, stop := context.WithTimeout(ctx, 4*time.Minute)
	o.t.Cleanup(stop)
	w := &tab{o, o.t, ctx, name}
	w.run(chromedp.EmulateViewport(width, 800), emulation.SetScriptExecutionDisabled(!script), page.SetBypassCSP(true))
	if scale != 1 { // text at twice its size is a page of half the width
		w.run(emulation.SetDeviceMetricsOverride(int64(float64(width)/scale), int64(800/scale), scale, false))
	}
	return w
}

func (w *tab) run(actions ...chromedp.Action) {
	w.t.Helper()
	if err := chromedp.Run(w.ctx, actions...); err != nil {
		w.t.Fatalf("%s: %v", w.name, err)
	}
}

func (w *tab) open(path string) {
	w.t.Helper()
	w.run(chromedp.Navigate(w.o.url + path))
}

// press presses a button or link and waits for the page behind it.
func (w *tab) press(selector string) {
	w.t.Helper()
	if _, err := chromedp.RunResponse(w.ctx, chromedp.Click(selector, chromedp.ByQuery)); err != nil {
		w.t.Fatalf("%s: %s: %v", w.name, selector, err)
	}
}

func (w *tab) text() string {
	w.t.Helper()
	var html string
	w.run(chromedp.OuterHTML("html", &html, chromedp.ByQuery))
	return html
}

func (w *tab) wants(texts ...string) {
	w.t.Helper()
	html := w.text()
	for _, x := range texts {
		if !strings.Contains(html, x) {
			w.t.Errorf("%s: the page lacks %q:\n%s", w.name, x, html)
		}
	}
}

// violation is a barrier that axe-core found.
type violation struct {
	ID    string
	Nodes []struct{ HTML string }
}

// look checks a state of the page: no barrier, nothing wider than the window, and
// a picture if asked for.
func (w *tab) look(state string) {
	w.t.Helper()
	w.o.states++
	var result struct {
		Found  []violation
		Over   int
		Broken []string
	}
	var raw []byte
	w.run(emulation.SetScriptExecutionDisabled(false),
		chromedp.Evaluate(w.o.axe+`;0`, nil),
		chromedp.Evaluate(`axe.run({runOnly:["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]}).then(r => JSON.stringify({
			Found: r.violations.map(v => ({ID: v.id, Nodes: v.nodes.map(n => ({HTML: n.html}))})),
			Over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
			Broken: [...document.images].filter(i => i.complete && !i.naturalWidth && i.loading !== "lazy").map(i => i.src)}))`, &raw, chromedp.EvalAsValue, awaitPromise))
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		raw = []byte(text)
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		w.t.Fatalf("%s %s: %v: %s", w.name, state, err, raw)
	}
	for _, v := range result.Found {
		w.t.Errorf("%s %s: %s: %s", w.name, state, v.ID, v.Nodes[0].HTML)
	}
	if result.Over > 0 {
		w.t.Errorf("%s %s: the page is %d pixels wider than the window", w.name, state, result.Over)
	}
	for _, src := range result.Broken {
		w.t.Errorf("%s %s: the picture %s is not shown", w.name, state, src)
	}
	if *pictures != "" {
		var png []byte
		w.run(chromedp.FullScreenshot(&png, 90))
		if err := os.WriteFile(filepath.Join(*pictures, w.name+"-"+state+".png"), png, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

func find(t *testing.T, re, text string) string {
	t.Helper()
	m := regexp.MustCompile(re).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in:\n%s", re, text)
	}
	return m[1]
}

// Somebody asks for a picture, confirms on another device, follows the case, and
// takes it back; a reviewer decides in between. On a phone in Thai, on a desk in
// English, with text at twice its size, without JavaScript.
func TestWalk(t *testing.T) {
	o := open(t, nil)
	for _, as := range []struct {
		lang   string
		width  int64
		script bool
		scale  float64
	}{{"th", 390, true, 1}, {"en", 1280, false, 1}, {"en", 320, false, 1}, {"th", 1280, true, 2}} {
		name := fmt.Sprintf("%s-%d-%gx", as.lang, as.width, as.scale)
		w := o.tab(name, as.width, as.script, as.scale)
		w.open("/?lang=" + as.lang)
		w.look("start")
		w.press(`a[href$="/about/picture"]`)
		w.look("form")
		w.press(`form button:last-of-type:not(.plain):not(.first)`)
		w.look("wrong")
		w.run(chromedp.SetUploadFiles(`input[type=file]`, []string{o.photo}, chromedp.ByQuery),
			chromedp.Click(`input[name=claim][value=depicted]`, chromedp.ByQuery),
			chromedp.SendKeys(`#requester-name`, "Somebody", chromedp.ByQuery),
			chromedp.SendKeys(`#requester-email`, "nobody@requester.example", chromedp.ByQuery))
		w.press(`form > p:last-child > button`)
		w.look("check")
		w.wants("nobody@requester.example")
		w.press(`form[action*="/send"] button`)
		w.look("received")
		id := find(t, `dir="ltr">([a-z2-7]{26})<`, w.text())
		letter := o.letter(id)
		phone := o.tab(name+"-other", 390, as.script, 1)
		phone.open(find(t, o.url+`(/confirm/`+id+`/\S+)`, o.letter("/confirm/"+id)))
		phone.look("confirm")
		phone.press(`main form button`)
		phone.look("confirmed")
		phone.open(find(t, o.url+`(/case/`+id+`/\S+)`, letter))
		phone.look("case-link")
		phone.press(`main form button`)
		phone.look("case")

		r := o.tab(name+"-reviewer", max(as.width, 390), as.script, 1)
		r.open("/desk/")
		r.look("login")
		r.run(chromedp.SendKeys(`#name`, "alice", chromedp.ByQuery), chromedp.SendKeys(`#password`, password, chromedp.ByQuery))
		r.press(`main form button`)
		r.look("queue")
		r.press(`tbody a[href*="` + id + `"]`)
		r.look("review")
		r.press(`button[value=accept]:not(.second)`)
		r.look("accepted")
		r.wants("Accepted. It is in force.")

		phone.open("/case")
		phone.look("in-force")
		phone.run(chromedp.Click(`input[name=sure]`, chromedp.ByQuery))
		phone.press(`form[action*="withdraw"] button`)
		phone.look("withdrawn")
	}
	t.Logf("%d states", o.states)
}

// Every form, empty and with all that is wrong, in both languages.
func TestForms(t *testing.T) {
	o := open(t, nil)
	for _, lang := range []string{"en", "th"} {
		w := o.tab("forms-"+lang, 390, false, 1)
		w.open("/?lang=" + lang)
		for _, topic := range []string{"child", "blocked", "face", "law"} {
			w.open("/about/" + topic)
			w.look("about-" + topic)
		}
		for _, door := range web.Doors() {
			w.open("/ask/" + door)
			w.look(door)
			w.press(`form > p:last-child > button`)
			w.look(door + "-wrong")
		}
		w.open("/case")
		w.look("case-door")
		w.open("/nothing")
		w.look("missing")
	}
	t.Logf("%d states", o.states)
}

// A form is filled in and sent with the keyboard alone.
func TestKeyboard(t *testing.T) {
	o := open(t, nil)
	w := o.tab("keyboard", 1280, false, 1)
	w.open("/ask/link?lang=en")
	w.run(emulation.SetScriptExecutionDisabled(false))
	fill := map[string]string{"image_urls": "https://photos.example/a.jpg", "explanation": "It shows my house.", "requester.name": "Somebody", "requester.email": "some@requester.example", "good_faith": " "}
	for range 60 {
		w.run(chromedp.KeyEvent(kb.Tab))
		var at struct{ Name, Text string }
		w.run(chromedp.Evaluate(`({Name: document.activeElement.name || "", Text: document.activeElement.textContent})`, &at))
		if text, ok := fill[at.Name]; ok {
			w.run(chromedp.KeyEvent(text))
			delete(fill, at.Name)
		}
		if at.Text == "Look at it before sending" {
			break
		}
	}
	if len(fill) > 0 {
		t.Fatalf("the keyboard does not reach %v", fill)
	}
	if _, err := chromedp.RunResponse(w.ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
		t.Fatal(err)
	}
	w.wants("Nothing is sent yet", "https://photos.example/a.jpg")
}
