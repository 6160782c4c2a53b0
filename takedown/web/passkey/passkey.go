// Package passkey logs reviewers in with passkeys: a key that a phone, a computer or a
// security key keeps, in place of a password (W3C Web Authentication, level 3).
//
//	accounts, err := passkey.OpenFile("reviewers.json")
//	login, err := passkey.New(&passkey.Options{
//		Name: "Example Search", URL: "https://search.example/takedown", Key: key, Accounts: accounts,
//	})
//	pages, err := web.New(d, &web.Options{Login: login, …})
//	link, err := login.Invite(ctx, web.Reviewer{ID: "alice", Name: "Alice", Roles: web.RoleDecide})
//
// An invitation is a link. Whoever opens it first registers a passkey for the account,
// so it is handed over as a password would be. A reviewer who has a passkey gets
// further ones by further invitations.
//
// Passkeys need JavaScript. The pages have no other use for it.
package passkey

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/staydown/staydown/takedown/web"
)

// Account is a reviewer with passkeys.
type Account struct {
	Reviewer web.Reviewer `json:"reviewer"`
	// Handle names the account to authenticators. It is random and says nothing of the
	// person.
	Handle []byte                `json:"handle"`
	Keys   []webauthn.Credential `json:"keys"`
}

// Accounts keeps accounts. Its methods are called at once from several goroutines.
type Accounts interface {
	// ByID and ByHandle return an account. The error wraps [ErrNoAccount] if there is
	// none.
	ByID(ctx context.Context, id string) (Account, error)
	ByHandle(ctx context.Context, handle []byte) (Account, error)
	// Put stores an account under its Reviewer.ID.
	Put(ctx context.Context, a Account) error
}

// ErrNoAccount is returned for an account that there is not.
var ErrNoAccount = errors.New("passkey: there is no such account")

// Options are the options of [New].
type Options struct {
	// Name is that of the service, as authenticators show it.
	Name string
	// URL is the address of the pages: [web.Options].URL. Passkeys are bound to its
	// host. Browsers want https, except on localhost.
	URL string
	// Key signs cookies and invitations. It has 32 bytes.
	Key      []byte
	Accounts Accounts
	// Life is how long somebody stays logged in; 0 means 12 hours.
	Life time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Login is a [web.Login], and the handler of its own pages.
type Login struct {
	opts     Options
	rp       *webauthn.WebAuthn
	sessions *web.Sessions
	invites  []byte // the key of invitations
	base     string // the path of the pages

	mu   sync.Mutex
	used map[string]time.Time // challenges that were answered, until they are over
}

// ceremonyLife is how long a browser has to answer, and inviteLife how long an
// invitation can be used.
const (
	ceremonyLife = 5 * time.Minute
	inviteLife   = 48 * time.Hour
)

// New returns a log-in.
func New(opts *Options) (*Login, error) {
	if opts == nil || opts.Accounts == nil || opts.Name == "" {
		return nil, errors.New("passkey: Options.Name and Options.Accounts are required")
	}
	u, err := url.Parse(opts.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("passkey: Options.URL has to be the http or https address of the pages")
	}
	rp, err := webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: opts.Name, RPOrigins: []string{u.Scheme + "://" + u.Host}})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	l := &Login{opts: *opts, rp: rp, base: strings.TrimSuffix(u.Path, "/"), used: map[string]time.Time{}}
	if l.opts.Now == nil {
		l.opts.Now = time.Now
	}
	if l.sessions, err = web.NewSessions(opts.Key, l.base, u.Scheme == "http", opts.Life); err != nil {
		return nil, fmt.Errorf("passkey: Options.Key: %w", err)
	}
	l.invites, err = hkdf.Key(sha256.New, opts.Key, nil, "staydown passkey invitations", 32)
	return l, err
}

// user is an account as the library wants it.
type user struct{ Account }

func (u user) WebAuthnID() []byte                         { return u.Handle }
func (u user) WebAuthnName() string                       { return u.Reviewer.ID }
func (u user) WebAuthnDisplayName() string                { return u.Reviewer.Name }
func (u user) WebAuthnCredentials() []webauthn.Credential { return u.Keys }

// Reviewer returns who is logged in. The roles are those of the account now.
func (l *Login) Reviewer(r *http.Request) (web.Reviewer, bool) {
	who, ok := l.sessions.Get(r)
	if !ok {
		return web.Reviewer{}, false
	}
	a, err := l.opts.Accounts.ByID(r.Context(), who.ID)
	return a.Reviewer, err == nil && len(a.Keys) > 0
}

// invitation is what a link of Invite says. Keys is how many passkeys the account had,
// so that a link can be used once.
type invitation struct {
	ID    string
	Keys  int
	Until time.Time
}

// Invite stores an account, if it is new, and returns a link by which a passkey is
// registered for it. The link can be used once, within two days.
func (l *Login) Invite(ctx context.Context, who web.Reviewer) (link string, err error) {
	a, err := l.opts.Accounts.ByID(ctx, who.ID)
	switch {
	case errors.Is(err, ErrNoAccount):
		a.Handle = make([]byte, 32)
		rand.Read(a.Handle)
	case err != nil:
		return "", err
	}
	if a.Reviewer = who; who.ID == "" {
		return "", errors.New("passkey: a reviewer needs an ID")
	}
	if err := l.opts.Accounts.Put(ctx, a); err != nil {
		return "", err
	}
	b, err := json.Marshal(invitation{who.ID, len(a.Keys), l.opts.Now().Add(inviteLife)})
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(l.opts.URL, "/") + "/desk/login/invited?by=" + base64.RawURLEncoding.EncodeToString(append(b, l.mac(b)...)), nil
}

func (l *Login) mac(b []byte) []byte {
	m := hmac.New(sha256.New, l.invites)
	m.Write(b)
	return m.Sum(nil)
}

var errInvitation = errors.New("the invitation is not valid, was used, or is over; ask for another one")

// invited returns the account of an invitation.
func (l *Login) invited(ctx context.Context, text string) (Account, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < sha256.Size {
		return Account{}, errInvitation
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	var i invitation
	if !hmac.Equal(sum, l.mac(b)) || json.Unmarshal(b, &i) != nil || !l.opts.Now().Before(i.Until) {
		return Account{}, errInvitation
	}
	a, err := l.opts.Accounts.ByID(ctx, i.ID)
	if err != nil || len(a.Keys) != i.Keys {
		return Account{}, errInvitation
	}
	return a, nil
}

// Challenge shows the page to log in.
func (l *Login) Challenge(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	l.showLogin(w, http.StatusUnauthorized, r.URL.RequestURI(), "")
}

// ServeHTTP serves the pages of the log-in.
func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	switch r.Method + " " + r.URL.Path {
	case "POST /out":
		l.sessions.End(w)
		http.Redirect(w, r, l.base+"/", http.StatusSeeOther)
	case "GET /passkey.js":
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Write(script)
	case "GET /invited":
		l.showInvited(w, r, http.StatusOK, "")
	case "POST /invited":
		l.register(w, r)
	case "POST /":
		l.login(w, r)
	default:
		l.showLogin(w, http.StatusOK, "/desk/", "")
	}
}

// page is what the pages of the log-in show.
type page struct {
	Base, Service, Title, About, Button, Alert string
	Action, Next, By                           string
	Do                                         string // get or create
	Options                                    string // of the browser's call, as JSON
}

//go:embed passkey.html passkey.js
var assets embed.FS

var (
	pages     = template.Must(template.ParseFS(assets, "passkey.html"))
	script, _ = assets.ReadFile("passkey.js")
)

func (l *Login) render(w http.ResponseWriter, status int, p page) {
	p.Base, p.Service = l.base, l.opts.Name
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, "passkey.html", p); err != nil {
		http.Error(w, "the log-in failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// begin keeps a ceremony in the browser, signed, and returns the options of its call.
func (l *Login) begin(w http.ResponseWriter, name string, s *webauthn.SessionData, options any) (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	l.sessions.Keep(w, name, b, ceremonyLife)
	b, err = json.Marshal(options)
	return string(b), err
}

// end returns the ceremony that a browser answers. Each is answered once.
func (l *Login) end(w http.ResponseWriter, r *http.Request, name string) (s webauthn.SessionData, err error) {
	b, ok := l.sessions.Value(r, name)
	if !ok || json.Unmarshal(b, &s) != nil {
		return s, errors.New("it took longer than five minutes; try again")
	}
	l.sessions.Drop(w, name)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() // of the cookie
	for c, until := range l.used {
		if now.After(until) {
			delete(l.used, c)
		}
	}
	if _, ok := l.used[s.Challenge]; ok {
		return s, errors.New("it was answered already; try again")
	}
	l.used[s.Challenge] = now.Add(ceremonyLife)
	return s, nil
}

func (l *Login) showLogin(w http.ResponseWriter, status int, next, alert string) {
	options, s, err := l.rp.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	var text string
	if err == nil {
		text, err = l.begin(w, "passkey", s, options.Response)
	}
	if err != nil {
		http.Error(w, "the log-in failed", http.StatusInternalServerError)
		return
	}
	l.render(w, status, page{Title: "Log in", About: "Use the passkey that you registered for this service.", Button: "Log in with a passkey",
		Alert: alert, Action: "/desk/login/", Next: next, Do: "get", Options: text})
}

// login logs somebody in whose passkey signs the challenge.
func (l *Login) login(w http.ResponseWriter, r *http.Request) {
	next := r.FormValue("next")
	if !strings.HasPrefix(next, "/desk/") {
		next = "/desk/"
	}
	a, err := l.verify(w, r)
	if err == nil {
		err = l.sessions.Set(w, a.Reviewer)
	}
	if err != nil {
		l.showLogin(w, http.StatusForbidden, next, "That did not work: the passkey is not known here, or the answer came too late.")
		return
	}
	http.Redirect(w, r, l.base+next, http.StatusSeeOther)
}

// verify returns the account whose passkey has signed.
func (l *Login) verify(w http.ResponseWriter, r *http.Request) (a Account, err error) {
	s, err := l.end(w, r, "passkey")
	if err != nil {
		return a, err
	}
	answer, err := protocol.ParseCredentialRequestResponseBody(strings.NewReader(r.FormValue("answer")))
	if err != nil {
		return a, err
	}
	key, err := l.rp.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		a, err = l.opts.Accounts.ByHandle(r.Context(), handle)
		return user{a}, err
	}, s, answer)
	if err != nil {
		return a, err
	}
	if key.Authenticator.CloneWarning {
		return a, errors.New("passkey: the counter of the key goes back: it may have been copied")
	}
	for i := range a.Keys {
		if bytes.Equal(a.Keys[i].ID, key.ID) {
			a.Keys[i] = *key // with its new counter
		}
	}
	return a, l.opts.Accounts.Put(r.Context(), a)
}

// showInvited shows the page on which somebody registers a passkey.
func (l *Login) showInvited(w http.ResponseWriter, r *http.Request, status int, alert string) {
	by := r.FormValue("by")
	a, err := l.invited(r.Context(), by)
	if err != nil {
		l.render(w, http.StatusForbidden, page{Title: "Register a passkey", Alert: errInvitation.Error()})
		return
	}
	options, s, err := l.rp.BeginRegistration(user{a}, webauthn.WithResidentKeyRequirement(protocol.ResidentKeyRequirementRequired),
		webauthn.WithExclusions(webauthn.Credentials(a.Keys).CredentialDescriptors()))
	var text string
	if err == nil {
		text, err = l.begin(w, "passkey_new", s, options.Response)
	}
	if err != nil {
		http.Error(w, "the registration failed", http.StatusInternalServerError)
		return
	}
	l.render(w, status, page{Title: "Register a passkey", About: "This makes a passkey on your device for " + a.Reviewer.Name + ". You log in with it from now on.",
		Button: "Register a passkey", Alert: alert, Action: "/desk/login/invited", By: by, Do: "create", Options: text})
}

// register stores the passkey of an invited reviewer and logs them in.
func (l *Login) register(w http.ResponseWriter, r *http.Request) {
	a, err := l.invited(r.Context(), r.FormValue("by"))
	var s webauthn.SessionData
	var answer *protocol.ParsedCredentialCreationData
	var key *webauthn.Credential
	if err == nil {
		s, err = l.end(w, r, "passkey_new")
	}
	if err == nil {
		answer, err = protocol.ParseCredentialCreationResponseBody(strings.NewReader(r.FormValue("answer")))
	}
	if err == nil {
		key, err = l.rp.CreateCredential(user{a}, s, answer)
	}
	if err == nil {
		a.Keys = append(a.Keys, *key)
		err = l.opts.Accounts.Put(r.Context(), a)
	}
	if err == nil {
		err = l.sessions.Set(w, a.Reviewer)
	}
	if err != nil {
		l.showInvited(w, r, http.StatusForbidden, "That did not work. Try again.")
		return
	}
	http.Redirect(w, r, l.base+"/desk/", http.StatusSeeOther)
}
