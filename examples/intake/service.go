package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/pgstore"
	"github.com/staydown/staydown/takedown/request"
	"github.com/staydown/staydown/takedown/web"
)

// service is a desk with its pages.
type service struct {
	desk    *desk.Desk
	pages   *web.Handler
	index   album
	handler http.Handler

	mu      sync.Mutex
	letters []letter // newest first; a real service sends them
	token   string   // the last one that a letter had, for the cases of seed
}

// letter is a message as its recipient reads it.
type letter struct {
	To, Subject, Body string
	At                time.Time
}

func newService(ctx context.Context, c config, url string) (*service, error) {
	s := &service{}
	var err error
	if s.index, err = readAlbum(c.photos); err != nil {
		return nil, err
	}
	// The pages need the desk, and the desk's letters need the pages: a letter that
	// comes before them waits.
	opts := &desk.Options{Notifier: desk.NotifierFunc(s.notify), ConfirmEmail: true, Policy: "example-1"}
	if c.postgres != "" {
		db, err := pgstore.Open(ctx, c.postgres, nil)
		if err != nil {
			return nil, err
		}
		opts.Store, opts.Journal = db.Cases(), db.Journal() // closed with the desk
	}
	if s.desk, err = desk.Open(filepath.Join(c.dir, "desk"), opts); err != nil {
		return nil, err
	}
	key, err := keyOf(c.dir)
	if err != nil {
		return nil, errors.Join(err, s.desk.Close())
	}
	team := web.NewAccounts()
	for _, r := range []web.Reviewer{
		{ID: "alice", Name: "Alice", Roles: web.RoleAll},
		{ID: "bob", Name: "Bob", Roles: web.RoleDecide | web.RoleLead},
		{ID: "carol", Name: "Carol", Roles: web.RoleDecide},
	} {
		if err := team.Add(r, c.password); err != nil {
			return nil, errors.Join(err, s.desk.Close())
		}
	}
	pages, err := web.New(s.desk, &web.Options{
		Service: web.Service{Name: "Example Search", Contact: "privacy@search.example", Operator: "Example Search, 1 Example Street"},
		Key:     key, URL: url, Login: team, Insecure: true,
		Index: s.index.items, Thumbnail: s.index.thumbnail, MatchPicture: s.index.match, Logger: slog.Default(),
	})
	if err != nil {
		return nil, errors.Join(err, s.desk.Close())
	}
	s.mu.Lock()
	s.pages = pages
	s.mu.Unlock()
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.HandleFunc("GET /mailbox", s.mailbox)
	s.handler = mux
	return s, s.desk.Notify(context.Background())
}

func (s *service) Close() error { return errors.Join(s.pages.Close(), s.desk.Close()) }

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// notify keeps a message as a letter.
func (s *service) notify(_ context.Context, m desk.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages == nil {
		return errors.New("the pages are not there yet")
	}
	subject, body, err := s.pages.Message(m)
	if err != nil {
		return err
	}
	if m.Token != "" {
		s.token = m.Token
	}
	s.letters = slices.Insert(s.letters, 0, letter{cmp.Or(m.To.Email, m.To.Phone, "whom it affects"), subject, body, m.Time})
	return nil
}

var mailbox = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Mailbox</title><link rel="stylesheet" href="/style.css"></head><body><main><h1>Mailbox</h1>
<p>The letters that this example would send, newest first.</p>
{{range .}}<section><h2>{{.Subject}}</h2><p class="soft">{{.To}} · {{.At.Format "2006-01-02 15:04"}}</p><dd>{{.Body}}</dd></section>{{else}}<p>No letters.</p>{{end}}</main></body></html>`))

func (s *service) mailbox(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	if err := mailbox.Execute(&b, s.letters); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

// seed submits a few requests, so that the console is not empty.
func (s *service) seed(ctx context.Context) error {
	for _, err := range s.desk.Cases(ctx) {
		return err // there are cases already, or they cannot be read
	}
	now := time.Now()
	said := func(text string) request.Statement { return request.Statement{Text: text, Accepted: now} }
	who := func(name, email, lang string) request.Requester {
		return request.Requester{Name: name, Email: email, Language: lang, Country: "DE"}
	}
	picture := func(i int) []request.File { return []request.File{request.FromBytes(s.index[i%len(s.index)].file)} }
	requests := []request.Request{
		request.ImageOptOut{Requester: who("Requester One", "one@requester.example", "en"), Images: picture(0), Claim: request.ClaimDepicted, Reason: "This is me, and I never agreed to it."},
		request.ImageOptOut{Requester: who("Requester Two", "two@requester.example", "th"), Images: picture(2), Claim: request.ClaimOwner, Reason: "I took this photograph."},
		request.DSANotice{Requester: who("Requester Three", "three@requester.example", "en"), ImageURLs: []string{"https://photos.example/dogs.jpg", "https://copies.example/a.jpg"},
			PageURLs: []string{"https://photos.example/album"}, Ground: request.GroundPrivacy, Explanation: "It shows my house with its address.", GoodFaith: said("I believe in good faith that this is accurate and complete.")},
		request.IntimateImage{Requester: who("Requester Four", "four@requester.example", "en"), ImageURLs: []string{"https://copies.example/private.jpg"},
			NoConsent: said("The person shown did not consent."), MinorDepicted: request.AnswerNo, Signature: "Requester Four"},
	}
	for _, r := range requests {
		c, err := s.desk.Submit(ctx, r)
		if err == nil {
			err = s.desk.Notify(ctx)
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		token := s.token
		s.mu.Unlock()
		if err := s.desk.Confirm(ctx, c.ID, token); err != nil {
			return err
		}
	}
	if err := s.seedMatches(ctx); err != nil {
		return err
	}
	return s.desk.Notify(ctx) // what waited for the addresses
}

// seedMatches puts a case into force and reports what a crawler finds in the index, so
// that matches wait for an answer.
func (s *service) seedMatches(ctx context.Context) error {
	c, err := s.desk.Import(ctx, request.ImageOptOut{Requester: request.Requester{Name: "Requester Five", Email: "five@requester.example", Language: "en", Country: "TH"},
		Images: []request.File{request.FromBytes(s.index[1%len(s.index)].file)}, Claim: request.ClaimDepicted, Reason: "I am in it."}, time.Now().Add(-72*time.Hour))
	if err != nil {
		return err
	}
	var second *desk.SecondReviewError
	for _, by := range []string{"alice", "bob"} {
		if err = s.desk.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: by, Reason: "depicted"}}); !errors.As(err, &second) {
			break
		}
	}
	if err != nil {
		return err
	}
	for _, e := range s.index {
		d := s.desk.Enforcer().Check(e.Candidate)
		if d.Why == 0 || d.Case != c.ID {
			continue
		}
		if _, err := s.desk.AddMatches(ctx, takedown.Match{Candidate: e.Candidate, Decision: d}); err != nil {
			return err
		}
	}
	return nil
}
