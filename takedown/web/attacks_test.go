package web_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/web"
)

// send posts fields and files, and returns the status and the page, whatever they are.
func (v *visitor) send(path string, fields map[string]string, files map[string][]byte) (int, string) {
	v.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		m.WriteField(name, fields[name])
	}
	for name, file := range files {
		w, err := m.CreateFormFile("images", name)
		if err == nil {
			_, err = w.Write(file)
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
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, string(page)
}

const attack = `"'><script>alert(1)</script><img src=x onerror=alert(2)>`

var fieldNames = regexp.MustCompile(`<(?:input|textarea)[^>]* name="([a-z_.\[\]0-9]+)"`)

// Script in every field of every form comes out as text: on the form, and at the console.
func TestAttacks_Script(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	clean := func(where, page string) {
		t.Helper()
		for _, bad := range []string{"<script>", "<img src=x", "onerror=alert(2)>"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s has %q:\n%s", where, bad, page)
			}
		}
	}
	for _, door := range web.Doors() {
		fields := map[string]string{}
		for _, m := range fieldNames.FindAllStringSubmatch(v.get("/ask/"+door, 200), -1) {
			if m[1] != "images" && m[1] != "requester.website" {
				fields[m[1]] = attack
			}
		}
		status, page := v.send("/ask/"+door+"?d=", fields, map[string][]byte{attack + ".jpg": []byte(attack)})
		if status >= 500 {
			t.Errorf("%s: %d", door, status)
		}
		clean(door, page)
	}
	c, err := o.desk.Import(context.Background(), request.DSANotice{Requester: request.Requester{Name: attack, Organisation: attack, Email: "s@requester.example"}, ImageURLs: []string{"https://photos.example/?q=" + attack},
		Ground: request.GroundPrivacy, Explanation: attack, GoodFaith: request.Statement{Text: attack, Accepted: time.Now()}}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	alice := o.reviewer("alice")
	path := "/desk/case/" + c.ID.String()
	if _, page := alice.send(path+"/note", map[string]string{"text": attack}, nil); page == "" {
		t.Error("no page")
	}
	for _, p := range []string{path, path + "/letter?do=accept&facts=%3Cscript%3E&reason=" + "%22%3E%3Cscript%3E", path + "?do=preview&end=%3Cscript%3E&territory=%3Cscript%3E", "/desk/?q=%3Cscript%3E%20%3Cscript%3E", "/desk/?tab=%3Cscript%3E&kind=%3Cscript%3E", "/?lang=%3Cscript%3E", "/case/%3Cscript%3E/%3Cscript%3E", "/confirm/%3Cscript%3E/%3Cscript%3E", "/%3Cscript%3E"} {
		req, err := http.NewRequest("GET", o.url+p, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := alice.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode >= 500 {
			t.Errorf("%s: %d, %v", p, resp.StatusCode, err)
		}
		clean(p, string(b))
	}
}

// hugePNG says that it has a billion pixels.
func hugePNG() []byte {
	head := append([]byte("IHDR"), 0, 0, 0x80, 0, 0, 0, 0x80, 0, 8, 6, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\r"), head...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(head))
}

// What is no picture, or one that costs too much, is refused with words. What is cut off
// is taken as far as it goes.
func TestAttacks_Uploads(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	whole := picture("upload")
	for name, file := range map[string][]byte{
		"empty.jpg": {}, "text.jpg": []byte("hello"), "page.jpg": []byte("<html><script>alert(1)</script>"), "huge.png": hugePNG(),
		"drawing.svg": []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), "head.jpg": whole[:30], "../../etc/passwd": []byte("root:x"),
		"zip.gif": append([]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), bytes.Repeat([]byte{0x2c}, 200)...),
	} {
		status, page := v.send("/ask/picture?d=", map[string]string{"claim": "depicted", "requester.name": "S", "requester.email": "s@requester.example"}, map[string][]byte{name: file})
		if status != http.StatusUnprocessableEntity || !strings.Contains(page, `id="images-error"`) {
			t.Errorf("%s: %d\n%s", name, status, page)
		}
	}
	files := map[string][]byte{}
	for i := range 25 {
		files[fmt.Sprint(i, ".jpg")] = append(slices.Clone(whole), byte(i))
	}
	if status, _ := v.send("/ask/picture?d=", map[string]string{"claim": "depicted"}, files); status >= 500 || status == 200 {
		t.Errorf("25 pictures: %d", status)
	}
}

// A case does not open without its secret, tokens work once and for their case, and
// what a browser makes up opens nothing.
func TestAttacks_Guesses(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	ask := func(n int) (id, secret, token string) {
		t.Helper()
		page := v.post("/ask/link?d=", 200, "image_urls", fmt.Sprintf("https://photos.example/%d.jpg", n), "explanation", "x", "good_faith", "on", "requester.name", "S", "requester.email", fmt.Sprintf("s%d@requester.example", n))
		page = v.post("/send?d="+find(t, `send\?d=([A-Z0-9]{26})`, page), 200)
		id = find(t, caseNumber, page)
		return id, find(t, `([a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4})<`, page), find(t, `/confirm/`+id+`/(\S+)\?lang=en`, o.letter("/confirm/"+id))
	}
	id, secret, token := ask(1)
	other, otherSecret, otherToken := ask(2)
	thief := o.visitor()
	for _, guess := range [][2]string{{id, otherSecret}, {other, secret}, {id, ""}, {id, "0000-0000-0000"}, {"", secret}, {strings.Repeat("a", 26), secret}} {
		contains(t, thief.post("/case", 422, "case", guess[0], "secret", guess[1]), `role="alert"`)
	}
	for _, guess := range [][2]string{{id, otherToken}, {other, token}, {id, "0"}, {strings.Repeat("a", 26), token}} {
		thief.post("/confirm", 422, "case", guess[0], "token", guess[1])
	}
	thief.post("/confirm", 200, "case", id, "token", token)
	for range 2 { // pressed twice, or replayed: it does nothing more
		thief.send("/confirm", map[string]string{"case": id, "token": token}, nil)
	}
	if c, err := o.desk.Find(context.Background(), desk.Query{Person: "s1@requester.example"}); err != nil || len(c.Cases) != 1 || c.Cases[0].State != desk.StateInReview {
		t.Errorf("after replays: %+v, %v", c.Cases, err)
	}
	lacks(t, thief.get("/case", 200), id, secret)
	// Cookies that the service did not sign, or signed for something else.
	case1 := o.visitor()
	case1.post("/case", 200, "case", id, "secret", secret)
	var signed string
	req, _ := http.NewRequest("GET", o.url+"/", nil)
	for _, c := range case1.client.Jar.Cookies(req.URL) {
		if c.Name == "staydown_case" {
			signed = c.Value
		}
	}
	for name, value := range map[string]string{"staydown_reviewer": signed, "staydown_case": signed[:len(signed)-2] + "AA", "staydown_session": signed} {
		req, _ := http.NewRequest("GET", o.url+map[bool]string{true: "/case", false: "/desk/"}[name == "staydown_case"], nil)
		req.AddCookie(&http.Cookie{Name: name, Value: value})
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || name != "staydown_case" && resp.StatusCode != http.StatusUnauthorized || strings.Contains(string(b), id) {
			t.Errorf("%s: %d\n%s", name, resp.StatusCode, b)
		}
	}
	for range 60 { // guesses of one network come to an end
		v.send("/case", map[string]string{"case": id, "secret": "0000-0000-0000"}, nil)
	}
	v.post("/case", 429, "case", id, "secret", "0000-0000-0000")
}

// No form of another site does anything, and no text of a visitor becomes a header.
func TestAttacks_Forged(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	alice := o.reviewer("alice")
	if status, page := o.visitor().send("/ask/link?d=", map[string]string{"requester.name": "\u202eevil", "requester.email": "s@requester.example\r\nBcc: x@y.example"}, nil); status != http.StatusUnprocessableEntity ||
		!strings.Contains(page, `id="requester-name-error"`) || !strings.Contains(page, `id="requester-email-error"`) {
		t.Errorf("a name that turns the text around, and lines in an address: %d\n%s", status, page)
	}
	c, err := o.desk.Import(context.Background(), request.DSANotice{Requester: request.Requester{Name: "Evil", Email: "s@requester.example"}, ImageURLs: []string{"https://photos.example/1.jpg"},
		Ground: request.GroundPrivacy, Explanation: "x", GoodFaith: request.Statement{Text: "I believe it.", Accepted: time.Now()}}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/ask/link", "/mark", "/send", "/confirm", "/resend", "/case", "/case/leave", "/case/withdraw", "/desk/case/" + c.ID.String(), "/desk/case/" + c.ID.String() + "/note", "/desk/bulk", "/desk/matches", "/desk/undo/x", "/desk/login/out"} {
		for _, from := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://elsewhere.example"}}} {
			req, err := http.NewRequest("POST", o.url+path, strings.NewReader("do=accept"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = from.Clone()
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			alice.do(req, http.StatusForbidden)
		}
	}
	contains(t, alice.get("/desk/case/"+c.ID.String(), 200), "<bdi>Evil</bdi>")
	client := *alice.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, next := range []string{"https://elsewhere.example/", "//elsewhere.example/desk/", "/desk/\r\nSet-Cookie: a=b", "/desk/../../elsewhere", `/desk/\elsewhere.example`} {
		resp, err := client.PostForm(o.url+"/desk/login/", map[string][]string{"name": {"alice"}, "password": {password}, "next": {next}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); !strings.HasPrefix(to, "/desk/") && to != "/elsewhere" || strings.ContainsAny(to, "\r\n") || resp.Header.Get("Set-Cookie") == "a=b" {
			t.Errorf("%q leads to %q", next, to)
		}
	}
	resp, err := client.Get(o.url + "/case/complete?lang=en%0d%0aSet-Cookie:%20a=b")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if strings.Contains(fmt.Sprint(resp.Header["Set-Cookie"]), "a=b") {
		t.Errorf("headers: %v", resp.Header)
	}
}

// Somebody who files request after request in a stranger's name fills no mailbox.
func TestAttacks_Mailbox(t *testing.T) {
	t.Parallel()
	o := open(t, nil)
	v := o.visitor()
	const n = 40
	for i := range n {
		page := v.post("/ask/link?d=", 200, "image_urls", fmt.Sprintf("https://photos.example/%d.jpg", i), "explanation", "x", "good_faith", "on", "requester.name", "Buy now", "requester.email", "victim@requester.example")
		v.post("/send?d="+find(t, `send\?d=([A-Z0-9]{26})`, page), 200)
	}
	if err := o.desk.Notify(context.Background()); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	sent := 0
	for _, l := range o.letters {
		if strings.HasPrefix(l, "To: victim@") {
			sent++
			if strings.Contains(l, "Buy now") {
				t.Errorf("it carries the words of the sender:\n%s", l)
			}
		}
	}
	t.Logf("%d requests, %d letters", n, sent)
	if sent == 0 || sent > 10 {
		t.Errorf("%d requests cost the victim %d letters", n, sent)
	}
}
