package passkey

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/web"
)

// device is an authenticator with one passkey.
type device struct {
	origin, rp string
	key        *ecdsa.PrivateKey
	id, handle []byte
	count      uint32
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// data is what an authenticator signs; made says that a key is new.
func (d *device) data(t *testing.T, made bool) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(d.rp))
	flags := byte(0x05) // the user is there, and was verified
	if made {
		flags |= 0x40
	}
	b := binary.BigEndian.AppendUint32(append(sum[:], flags), d.count)
	if !made {
		return b
	}
	b = append(b, make([]byte, 16)...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(d.id))), d.id...)
	point, err := d.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		t.Fatal(err)
	}
	return append(b, cose...)
}

func (d *device) client(t *testing.T, typ, challenge string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"type": typ, "challenge": challenge, "origin": d.origin, "crossOrigin": false})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// register makes a key for the options of a page.
func (d *device) register(t *testing.T, options string) string {
	t.Helper()
	var o struct {
		Challenge string
		User      struct{ ID string }
	}
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	d.id = []byte(rand.Text())
	if d.handle, err = base64.RawURLEncoding.DecodeString(o.User.ID); err != nil {
		t.Fatal(err)
	}
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": d.data(t, true)})
	if err != nil {
		t.Fatal(err)
	}
	return d.answer(t, map[string]string{"clientDataJSON": b64(d.client(t, "webauthn.create", o.Challenge)), "attestationObject": b64(object)})
}

// sign answers the options of the page to log in.
func (d *device) sign(t *testing.T, options string) string {
	t.Helper()
	var o struct{ Challenge string }
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		t.Fatal(err)
	}
	data, client := d.data(t, false), d.client(t, "webauthn.get", o.Challenge)
	sum := sha256.Sum256(client)
	sum = sha256.Sum256(append(data[:len(data):len(data)], sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return d.answer(t, map[string]string{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(d.handle)})
}

func (d *device) answer(t *testing.T, response map[string]string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"id": b64(d.id), "rawId": b64(d.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// office are pages with this log-in.
type office struct {
	t        *testing.T
	login    *Login
	accounts *File
	url      string
}

func open(t *testing.T) *office {
	t.Helper()
	d, err := desk.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	o := &office{t: t}
	var pages http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	o.url = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	path := filepath.Join(t.TempDir(), "reviewers.json")
	if o.accounts, err = OpenFile(path); err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	if o.login, err = New(&Options{Name: "Example Search", URL: o.url, Key: key, Accounts: o.accounts}); err != nil {
		t.Fatal(err)
	}
	if pages, err = web.New(d, &web.Options{Service: web.Service{Name: "Example Search"}, Key: key, Login: o.login, Insecure: true}); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) device() *device { return &device{origin: o.url, rp: "localhost"} }

func (o *office) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

var dataOptions = regexp.MustCompile(`data-options="([^"]+)"`)

func (o *office) read(resp *http.Response, err error) (status int, body, options string) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	if m := dataOptions.FindSubmatch(b); m != nil {
		options = html.UnescapeString(string(m[1]))
	}
	return resp.StatusCode, string(b), options
}

func (o *office) invite(id string) string {
	o.t.Helper()
	link, err := o.login.Invite(context.Background(), web.Reviewer{ID: id, Name: "Alice", Roles: web.RoleDecide})
	if err != nil {
		o.t.Fatal(err)
	}
	return link
}

func by(link string) string {
	_, text, _ := strings.Cut(link, "?by=")
	return text
}

// register uses an invitation.
func (o *office) register(c *http.Client, d *device, link string) int {
	o.t.Helper()
	_, _, options := o.read(c.Get(link))
	status, _, _ := o.read(c.PostForm(o.url+"/desk/login/invited", url.Values{"by": {by(link)}, "answer": {d.register(o.t, options)}}))
	return status
}

// An invited reviewer registers a passkey and logs in with it, also after the accounts
// are read again. An invitation works once.
func TestPasskey(t *testing.T) {
	t.Parallel()
	o := open(t)
	link := o.invite("alice")
	c, d := o.browser(), o.device()
	if status := o.register(c, d, link); status != http.StatusOK {
		t.Fatalf("registering: %d", status)
	}
	if status, page, _ := o.read(c.Get(o.url + "/desk/")); status != http.StatusOK || !strings.Contains(page, "Queue") {
		t.Fatalf("after registering: %d\n%s", status, page)
	}
	if status, page, _ := o.read(o.browser().Get(link)); status != http.StatusForbidden || !strings.Contains(page, "was used") {
		t.Errorf("the invitation once more: %d\n%s", status, page)
	}
	again, err := OpenFile(o.accounts.path)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := again.ByID(context.Background(), "alice"); err != nil || len(a.Keys) != 1 {
		t.Fatalf("read again: %+v, %v", a, err)
	}
	c = o.browser()
	status, page, options := o.read(c.Get(o.url + "/desk/numbers"))
	if status != http.StatusUnauthorized || !strings.Contains(page, "Log in with a passkey") {
		t.Fatalf("without a session: %d\n%s", status, page)
	}
	d.count++
	status, page, _ = o.read(c.PostForm(o.url+"/desk/login/", url.Values{"answer": {d.sign(t, options)}, "next": {"/desk/numbers"}}))
	if status != http.StatusOK || !strings.Contains(page, "Numbers") {
		t.Fatalf("logging in: %d\n%s", status, page)
	}
	if err := o.accounts.Remove("alice"); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := o.read(c.Get(o.url + "/desk/")); status != http.StatusUnauthorized {
		t.Errorf("with a removed account: %d", status)
	}
}

// Nothing but the key of an account, for this place and this challenge, logs in.
func TestAttacks(t *testing.T) {
	t.Parallel()
	o := open(t)
	d := o.device()
	if status := o.register(o.browser(), d, o.invite("alice")); status != http.StatusOK {
		t.Fatal(status)
	}
	stranger := o.device()
	if status := o.register(o.browser(), stranger, o.invite("bob")); status != http.StatusOK {
		t.Fatal(status)
	}
	if err := o.accounts.Remove("bob"); err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]func(options string) string{
		"nothing":   func(string) string { return "" },
		"no answer": func(string) string { return `{"id":"x"}` },
		"of another place": func(options string) string {
			e := *d
			e.origin = "https://elsewhere.example"
			return e.sign(t, options)
		},
		"for another host":  func(options string) string { e := *d; e.rp = "elsewhere.example"; return e.sign(t, options) },
		"another challenge": func(string) string { return d.sign(t, `{"challenge":"`+b64(make([]byte, 32))+`"}`) },
		"another key": func(options string) string {
			e := *d
			e.key = stranger.key
			return e.sign(t, options)
		},
		"a removed account": func(options string) string { return stranger.sign(t, options) },
		"somebody's handle": func(options string) string { e := *stranger; e.handle = d.handle; return e.sign(t, options) },
	} {
		c := o.browser()
		_, _, options := o.read(c.Get(o.url + "/desk/"))
		if status, _, _ := o.read(c.PostForm(o.url+"/desk/login/", url.Values{"answer": {answer(options)}})); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
		if status, _, _ := o.read(c.Get(o.url + "/desk/")); status != http.StatusUnauthorized {
			t.Errorf("%s: logged in", name)
		}
	}
	o.replay(d)
	for _, link := range []string{o.url + "/desk/login/invited?by=x", o.url + "/desk/login/invited?by=" + b64([]byte(`{"ID":"alice","Keys":1,"Until":"2999-01-01T00:00:00Z"}`+strings.Repeat("x", 32)))} {
		if status, _, _ := o.read(o.browser().Get(link)); status != http.StatusForbidden {
			t.Errorf("%s: %d", link, status)
		}
	}
	o.login.opts.Now = func() time.Time { return time.Now().Add(-inviteLife) }
	link := o.invite("carol")
	o.login.opts.Now = time.Now
	if status, _, _ := o.read(o.browser().Get(link)); status != http.StatusForbidden {
		t.Errorf("an invitation that is over: %d", status)
	}
}

// replay sends an answer twice, with the cookies of the first time.
func (o *office) replay(d *device) {
	o.t.Helper()
	c := o.browser()
	resp, err := c.Get(o.url + "/desk/")
	cookies := resp.Cookies()
	_, _, options := o.read(resp, err)
	d.count++
	answer := url.Values{"answer": {d.sign(o.t, options)}}
	if status, _, _ := o.read(c.PostForm(o.url+"/desk/login/", answer)); status != http.StatusOK {
		o.t.Fatalf("logging in: %d", status)
	}
	req, err := http.NewRequest("POST", o.url+"/desk/login/", strings.NewReader(answer.Encode()))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, k := range cookies {
		req.AddCookie(k)
	}
	if status, _, _ := o.read(http.DefaultClient.Do(req)); status != http.StatusForbidden {
		o.t.Errorf("an answer sent twice: %d", status)
	}
	// A copy of the key whose counter lags behind.
	c = o.browser()
	_, _, options = o.read(c.Get(o.url + "/desk/"))
	d.count--
	if status, _, _ := o.read(c.PostForm(o.url+"/desk/login/", url.Values{"answer": {d.sign(o.t, options)}})); status != http.StatusForbidden {
		o.t.Errorf("a counter that goes back: %d", status)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	accounts, err := OpenFile(filepath.Join(t.TempDir(), "accounts"))
	if err != nil {
		t.Fatal(err)
	}
	good := Options{Name: "x", URL: "https://search.example/takedown", Key: make([]byte, 32), Accounts: accounts}
	if _, err := New(&good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"name": func(o *Options) { o.Name = "" }, "url": func(o *Options) { o.URL = "search" }, "key": func(o *Options) { o.Key = nil }, "accounts": func(o *Options) { o.Accounts = nil },
	} {
		o := good
		if change(&o); o.Name == "x" && o.URL == good.URL && o.Key != nil && o.Accounts != nil {
			t.Fatal(name)
		}
		if _, err := New(&o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(nil); err == nil {
		t.Error("nil: no error")
	}
}
