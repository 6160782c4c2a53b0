package oidc_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/web"
	"github.com/staydown/staydown/takedown/web/oidc"
)

// provider is an OpenID provider on loopback, at which a test is logged in.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey
	nonce  string
	email  string
	forged bool // the token is signed by somebody else
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, email: "alice@search.example"}
	known := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "RS256"}}}
	mux := http.NewServeMux()
	mux.Handle("/", known)
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		p.nonce = q.Get("nonce")
		if q.Get("code_challenge_method") != "S256" {
			t.Error("no PKCE")
		}
		http.Redirect(w, r, q.Get("redirect_uri")+"?code=c&state="+url.QueryEscape(q.Get("state")), http.StatusFound)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") != "c" || r.FormValue("code_verifier") == "" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		var signer crypto.Signer = p.key
		if p.forged {
			signer, _ = rsa.GenerateKey(rand.Reader, 2048)
		}
		token := oidctest.SignIDToken(signer.(*rsa.PrivateKey), "k", "RS256", fmt.Sprintf(`{"iss":%q,"aud":"desk","sub":"1","exp":%d,"nonce":%q,"email":%q,"email_verified":true,"name":"Alice"}`,
			p.URL, time.Now().Add(time.Hour).Unix(), p.nonce, p.email))
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": token})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	known.SetIssuer(p.URL)
	return p
}

func TestLogin(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	d, err := desk.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := httptest.NewUnstartedServer(nil)
	base := "http://" + s.Listener.Addr().String() + "/takedown"
	login, err := oidc.New(context.Background(), &oidc.Options{Issuer: p.URL, ClientID: "desk", ClientSecret: "s", URL: base, Key: bytes.Repeat([]byte{3}, 32),
		Roles: func(c oidc.Claims) (web.Reviewer, bool) {
			return web.Reviewer{ID: "alice", Name: c.Name, Roles: web.RoleAll}, c.EmailVerified && c.Email == "alice@search.example"
		}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := web.New(d, &web.Options{Service: web.Service{Name: "Example"}, Key: bytes.Repeat([]byte{1}, 32), Path: "/takedown", Login: login, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = http.StripPrefix("/takedown", pages)
	s.Start()
	defer s.Close()
	visit := func(client *http.Client, path string) (int, string) {
		t.Helper()
		resp, err := client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	browser := func() *http.Client {
		jar, _ := cookiejar.New(nil)
		return &http.Client{Jar: jar}
	}
	alice := browser()
	if code, page := visit(alice, "/desk/due"); code != 200 || !strings.Contains(page, "Alice") || !strings.Contains(page, "Deadlines") {
		t.Fatalf("%d:\n%s", code, page)
	}
	if code, _ := visit(alice, "/desk/login/callback?code=c&state=x"); code != http.StatusForbidden {
		t.Errorf("an answer to no question: %d", code)
	}
	p.email = "somebody@search.example"
	if code, page := visit(browser(), "/desk/"); code != http.StatusForbidden || strings.Contains(page, "somebody") {
		t.Errorf("an account that is not of a reviewer: %d %s", code, page)
	}
	p.email, p.forged = "alice@search.example", true
	if code, _ := visit(browser(), "/desk/"); code != http.StatusForbidden {
		t.Errorf("a forged token: %d", code)
	}
	resp, err := alice.Post(base+"/desk/login/out", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if code, _ := visit(alice, "/desk/"); code != http.StatusForbidden {
		t.Errorf("after the log-out: %d", code)
	}
}
