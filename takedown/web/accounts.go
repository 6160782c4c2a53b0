package web

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Accounts are reviewers with passwords, kept in memory: for a demonstration, and
// for a team that has no other log-in. Larger teams use that of their company: see
// package oidc beside this one.
type Accounts struct {
	h       *Handler // set by Bind
	list    map[string]account
	session time.Duration
}

type account struct {
	who        Reviewer
	salt, hash []byte
}

const rounds = 600_000 // of PBKDF2 with SHA-256: some 0.2 s

// NewAccounts returns accounts without anybody in them.
func NewAccounts() *Accounts {
	return &Accounts{list: map[string]account{}, session: 12 * time.Hour}
}

// Add adds somebody. The password has 10 characters or more; only its digest is
// kept.
func (a *Accounts) Add(who Reviewer, password string) error {
	if who.ID == "" || len(password) < 10 {
		return errors.New("web: an account needs an ID, and a password of 10 characters or more")
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	hash, err := pbkdf2.Key(sha256.New, password, salt, rounds, 32)
	if err != nil {
		return err
	}
	a.list[who.ID] = account{who, salt, hash}
	return nil
}

// bind gives the accounts the handler whose cookies they use.
func (a *Accounts) bind(h *Handler) { a.h = h }

// Reviewer returns who is logged in.
func (a *Accounts) Reviewer(r *http.Request) (Reviewer, bool) {
	id, ok := a.h.cookies.Value(r, "reviewer")
	if !ok {
		return Reviewer{}, false
	}
	acc, ok := a.list[string(id)]
	return acc.who, ok
}

// Challenge sends a browser to the page to log in.
func (a *Accounts) Challenge(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	a.show(w, r, http.StatusUnauthorized, "", r.URL.RequestURI())
}

func (a *Accounts) show(w http.ResponseWriter, r *http.Request, status int, alert, next string) {
	p := a.h.page(r, "login", map[string]string{"Next": next, "Name": r.PostFormValue("name")})
	p.Alert, p.Here = alert, "/desk/"
	a.h.render(w, r, status, "login", p)
}

// ServeHTTP serves the page to log in, and the button to log out.
func (a *Accounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/out":
		a.h.cookies.Drop(w, "reviewer")
		a.h.redirect(w, r, "/desk/")
	case r.Method == http.MethodPost:
		a.login(w, r)
	default:
		a.show(w, r, http.StatusOK, "", "/desk/")
	}
}

func (a *Accounts) login(w http.ResponseWriter, r *http.Request) {
	if !a.h.allowed(w, r, "login", 30) {
		return
	}
	acc, ok := a.list[r.FormValue("name")]
	if !ok {
		acc.salt, acc.hash = make([]byte, 16), make([]byte, 32) // take as long for a name that there is not
	}
	hash, err := pbkdf2.Key(sha256.New, r.FormValue("password"), acc.salt, rounds, 32)
	next := r.FormValue("next")
	if !strings.HasPrefix(next, "/desk/") {
		next = "/desk/"
	}
	if err != nil || subtle.ConstantTimeCompare(hash, acc.hash) != 1 || !ok {
		words := a.h.wordsOf(r)
		a.show(w, r, http.StatusUnauthorized, words.of("login.wrong"), next)
		return
	}
	a.h.cookies.Keep(w, "reviewer", []byte(acc.who.ID), a.session)
	http.Redirect(w, r, a.h.opts.Path+next, http.StatusSeeOther)
}
