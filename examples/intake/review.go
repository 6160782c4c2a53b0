package main

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// review is what a reviewer sees of a case.
type review struct {
	Case     desk.Case
	Who      request.Requester
	Said     []string
	Images   []int // their numbers
	Preview  *desk.Preview
	Problem  string // why there is no preview
	Scopes   []takedown.Scope
	Note     string
	CanReply bool // a decision is awaited
	// FaceAsked says that a face is meant, perhaps, but nobody could look for one.
	FaceAsked bool
}

// details returns what the page shows of a request.
func details(r request.Request) (said []string) {
	switch r := r.(type) {
	case request.ImageOptOut:
		return append([]string{string(r.Claim), r.Reason}, r.Examples...)
	case request.OpenOptOut:
		return []string{string(r.Claim), r.Reason, r.Biometric.Text}
	case request.DSANotice:
		return append([]string{string(r.Ground), r.Explanation, r.GoodFaith.Text}, slices.Concat(r.ImageURLs, r.PageURLs)...)
	case request.Withdrawal:
		return []string{"about " + r.Case.String(), r.Reason}
	}
	return nil
}

func (s *server) cases(w http.ResponseWriter, r *http.Request, reviewer string) {
	p := page{Lang: "en", Title: "Cases", Reviewer: reviewer}
	for c, err := range s.desk.Cases(r.Context()) {
		if err != nil {
			http.Error(w, "the cases cannot be read", http.StatusInternalServerError)
			return
		}
		p.Cases = append(p.Cases, c)
	}
	// What waits for a reviewer comes first, then the newest.
	waits := func(c desk.Case) int {
		return map[desk.State]int{desk.StateSecondReview: -2, desk.StateInReview: -1}[c.State]
	}
	slices.SortStableFunc(p.Cases, func(a, b desk.Case) int {
		return cmp.Or(cmp.Compare(waits(a), waits(b)), b.Received.Compare(a.Received))
	})
	s.render(w, http.StatusOK, "cases", p)
}

func (s *server) outbox(w http.ResponseWriter, _ *http.Request, reviewer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.render(w, http.StatusOK, "messages", page{Lang: "en", Title: "Messages", Reviewer: reviewer, Messages: s.messages})
}

// find returns the case that a path names.
func (s *server) find(w http.ResponseWriter, r *http.Request) (c desk.Case, ok bool) {
	id, err := takedown.ParseCaseID(r.PathValue("id"))
	if err == nil {
		c, err = s.desk.Case(r.Context(), id)
	}
	if err != nil {
		s.missing(w, r)
	}
	return c, err == nil
}

func (s *server) review(w http.ResponseWriter, r *http.Request, reviewer string) {
	c, ok := s.find(w, r)
	if !ok {
		return
	}
	s.showCase(w, r, http.StatusOK, reviewer, c, notes[r.URL.Query().Get("note")])
}

// notes are what a reviewer reads after a decision.
var notes = map[string]string{
	"done":   "Done.",
	"second": "Noted. Another reviewer has to grant the same.",
}

func (s *server) showCase(w http.ResponseWriter, r *http.Request, status int, reviewer string, c desk.Case, note string) {
	v := &review{Case: c, Note: note}
	if c.Request != nil { // the personal data was not erased
		v.Who, v.Said = c.Request.From(), details(c.Request)
		for i, file := range request.Images(c.Request) {
			if !file.IsZero() { // not one of several faces that is gone
				v.Images = append(v.Images, i)
			}
		}
	}
	switch c.State {
	case desk.StateInReview, desk.StateSecondReview, desk.StateNeedsInfo:
		v.CanReply = true
	}
	v.FaceAsked = c.Asked == takedown.ScopeFace && !slices.ContainsFunc(c.Items, func(it desk.CaseItem) bool { return it.Kind == request.ItemFace })
	if c.Asked > takedown.ScopeURL {
		for x := takedown.ScopeBytes; x <= min(c.Asked, takedown.ScopeDuplicate); x++ {
			v.Scopes = append(v.Scopes, x)
		}
		slices.Reverse(v.Scopes)
	}
	if c.Asked != 0 {
		p, err := s.desk.Preview(r.Context(), c.ID, s.index.items, nil)
		if err != nil {
			v.Problem = err.Error()
		} else {
			v.Preview = &p
		}
	}
	s.render(w, status, "review", page{Lang: "en", Title: "Case " + c.ID.String(), Reviewer: reviewer, Review: v})
}

// decide does what the reviewer chose, and sends the browser to the case as it
// is then, so that to load the page again does nothing again.
func (s *server) decide(w http.ResponseWriter, r *http.Request, reviewer string) {
	c, ok := s.find(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	act := desk.Actor{By: reviewer, Reason: r.FormValue("reason")}
	var err error
	switch r.FormValue("do") {
	case "accept":
		g := desk.Grant{Actor: act}
		if n, err := strconv.ParseUint(r.FormValue("scope"), 10, 8); err == nil {
			g.Scope = takedown.Scope(n)
		}
		err = s.desk.Accept(r.Context(), c.ID, g)
	case "reject":
		err = s.desk.Reject(r.Context(), c.ID, desk.Refusal{Actor: act})
	case "reverse":
		err = s.desk.Reverse(r.Context(), c.ID, act)
	case "resolve":
		err = s.resolve(r, act)
	default:
		err = errors.New("choose what to do")
	}
	var second *desk.SecondReviewError
	note := "done"
	if errors.As(err, &second) {
		note, err = "second", nil
	}
	if err == nil {
		http.Redirect(w, r, "/desk/case/"+c.ID.String()+"?note="+note, http.StatusSeeOther)
		return
	}
	if c, ok = s.find(w, r); ok {
		s.showCase(w, r, http.StatusUnprocessableEntity, reviewer, c, err.Error())
	}
}

// resolve records what the reviewer says of a match in the index.
func (s *server) resolve(r *http.Request, act desk.Actor) error {
	it, file, ok := s.index.get(r.FormValue("key"))
	if !ok {
		return errors.New("there is no such picture in the index")
	}
	d := s.desk.Enforcer().Check(it.Candidate)
	if d.Why == 0 {
		return errors.New("it is not matched any more")
	}
	how := desk.NotTheSame
	if r.FormValue("same") == "yes" {
		how = desk.SameImage
	}
	_, err := s.desk.Resolve(r.Context(), desk.Match{Actor: act, Candidate: it.Candidate, Decision: d, File: file}, how)
	return err
}

// image serves a thumbnail of a picture of a request.
func (s *server) image(w http.ResponseWriter, r *http.Request, _ string) {
	c, ok := s.find(w, r)
	if !ok {
		return
	}
	var images []request.File
	if c.Request != nil {
		images = request.Images(c.Request)
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(images) {
		http.NotFound(w, r)
		return
	}
	file, err := images[n].Bytes(phash.DefaultMaxBytes)
	if err != nil {
		http.Error(w, "the picture cannot be read", http.StatusInternalServerError)
		return
	}
	serveThumbnail(w, r, file)
}

// indexImage serves a thumbnail of a picture of the index.
func (s *server) indexImage(w http.ResponseWriter, r *http.Request, _ string) {
	_, file, ok := s.index.get(r.PathValue("key"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	serveThumbnail(w, r, file)
}

func serveThumbnail(w http.ResponseWriter, r *http.Request, file []byte) {
	var b bytes.Buffer
	if err := thumbnail(&b, file); err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Write(b.Bytes())
}
