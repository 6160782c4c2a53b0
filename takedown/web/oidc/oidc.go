// Package oidc logs reviewers in with the accounts of their company, by OpenID
// Connect: the code flow with PKCE.
//
//	login, err := oidc.New(ctx, &oidc.Options{
//		Issuer: "https://accounts.example.org", ClientID: id, ClientSecret: secret,
//		URL: "https://search.example/takedown", Key: key, Roles: roles,
//	})
//	pages, err := web.New(d, &web.Options{Login: login, …})
//
// The provider is told to send browsers back to URL + "/desk/login/callback".
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/staydown/staydown/takedown/web"
)

// Claims are what the provider says of somebody.
type Claims struct {
	Subject       string   `json:"sub"`
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Name          string   `json:"name"`
	Groups        []string `json:"groups"`
}

// Options are the options of [New].
type Options struct {
	Issuer                 string
	ClientID, ClientSecret string
	// URL is the address of the pages: [web.Options].URL.
	URL string
	// Key signs the cookies. It has 32 bytes.
	Key []byte
	// Roles says whether somebody may log in, and as whom. The ID of the reviewer is
	// the code that is logged: letters, digits, ".", "_", ":" and "-". An account of
	// the company alone is no reason to see the cases.
	Roles func(Claims) (web.Reviewer, bool)
	// Life is how long somebody stays logged in; 0 means 12 hours.
	Life time.Duration
}

// Login is a [web.Login], and the handler of its own pages.
type Login struct {
	opts     Options
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	sessions *web.Sessions
	base     string // the path of the pages
}

// New returns a log-in. It reads the configuration of the provider.
func New(ctx context.Context, opts *Options) (*Login, error) {
	if opts == nil || opts.Roles == nil || opts.ClientID == "" {
		return nil, errors.New("oidc: Options.ClientID and Options.Roles are required")
	}
	u, err := url.Parse(opts.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("oidc: Options.URL has to be the http or https address of the pages")
	}
	provider, err := oidc.NewProvider(ctx, opts.Issuer)
	if err != nil {
		return nil, fmt.Errorf("oidc: the provider: %w", err)
	}
	base := strings.TrimSuffix(u.Path, "/")
	sessions, err := web.NewSessions(opts.Key, base, u.Scheme == "http", opts.Life)
	if err != nil {
		return nil, fmt.Errorf("oidc: Options.Key: %w", err)
	}
	return &Login{
		opts: *opts, base: base, sessions: sessions,
		verifier: provider.Verifier(&oidc.Config{ClientID: opts.ClientID}),
		oauth: oauth2.Config{ClientID: opts.ClientID, ClientSecret: opts.ClientSecret, Endpoint: provider.Endpoint(),
			RedirectURL: strings.TrimSuffix(opts.URL, "/") + "/desk/login/callback", Scopes: []string{oidc.ScopeOpenID, "profile", "email"}},
	}, nil
}

// Reviewer returns who is logged in.
func (l *Login) Reviewer(r *http.Request) (web.Reviewer, bool) { return l.sessions.Get(r) }

// flow is what has to come back from the provider unchanged.
type flow struct{ State, Nonce, Verifier, Next string }

// Challenge sends a browser to the provider.
func (l *Login) Challenge(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	f := flow{rand.Text(), rand.Text(), oauth2.GenerateVerifier(), r.URL.RequestURI()}
	b, err := json.Marshal(f)
	if err != nil {
		http.Error(w, "the log-in failed", http.StatusInternalServerError)
		return
	}
	l.sessions.Keep(w, "oidc", b, 10*time.Minute)
	http.Redirect(w, r, l.oauth.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusFound)
}

// ServeHTTP serves the page that the provider sends browsers back to, and the
// button to log out.
func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/out":
		l.sessions.End(w)
		http.Redirect(w, r, l.base+"/", http.StatusSeeOther)
	case r.Method == http.MethodGet && r.URL.Path == "/callback":
		next, err := l.callback(w, r)
		if err != nil {
			http.Error(w, "the log-in failed: "+err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	default:
		http.Redirect(w, r, l.base+"/desk/", http.StatusSeeOther)
	}
}

// callback logs somebody in whom the provider sends back. Its errors say nothing
// of the person.
func (l *Login) callback(w http.ResponseWriter, r *http.Request) (next string, err error) {
	b, ok := l.sessions.Value(r, "oidc")
	var f flow
	if !ok || json.Unmarshal(b, &f) != nil {
		return "", errors.New("it took longer than ten minutes, or began in another browser")
	}
	l.sessions.Drop(w, "oidc")
	q := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.State)) != 1 {
		return "", errors.New("the answer belongs to another log-in")
	}
	if q.Get("error") != "" {
		return "", errors.New("the provider refuses")
	}
	token, err := l.oauth.Exchange(r.Context(), q.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return "", errors.New("the provider does not know the code")
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := l.verifier.Verify(r.Context(), raw)
	if err != nil || id.Nonce != f.Nonce {
		return "", errors.New("the provider's token does not verify")
	}
	var c Claims
	if err := id.Claims(&c); err != nil {
		return "", errors.New("the provider's claims cannot be read")
	}
	who, ok := l.opts.Roles(c)
	if !ok || who.ID == "" {
		return "", errors.New("this account is not one of a reviewer")
	}
	if err := l.sessions.Set(w, who); err != nil {
		return "", err
	}
	if !strings.HasPrefix(f.Next, "/desk/") {
		f.Next = "/desk/"
	}
	return l.base + f.Next, nil
}
