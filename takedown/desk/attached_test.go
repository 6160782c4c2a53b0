package desk_test

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/form"
	"github.com/staydown/staydown/takedown/request"
)

// Papers of a form go with its request: they are sealed, shown to who may see them,
// handed out to their sender, and erased.
func TestPapers(t *testing.T) {
	t.Parallel()
	mandate := bytes.Repeat([]byte("I, the mother, authorise my lawyer. "), 4000)
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range map[string]string{
		"requester.name": "Requester", "requester.email": "requester@example.org", "image_urls": "https://example.org/a.jpg",
		"explanation": "Shown without consent.", "good_faith": "on",
	} {
		ok(t, w.WriteField(name, value))
	}
	for _, p := range []struct {
		field, name string
		data        []byte
	}{{"papers.mandate", `C:\Users\somebody\man` + "\u202e" + `date.pdf`, mandate}, {"papers.police_report", "report.pdf", []byte("Report 17")}, {"papers.other", "empty.txt", nil}} {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + p.field + `"; filename="` + strings.ReplaceAll(p.name, `\`, `\\`) + `"`}})
		ok(t, err)
		_, err = part.Write(p.data)
		ok(t, err)
	}
	ok(t, w.Close())
	post := httptest.NewRequest("POST", "/", &body)
	post.Header.Set("Content-Type", w.FormDataContentType())
	var papers []request.Paper
	r, err := form.Decode(post, &form.Options{
		Kind: request.KindDSANotice, Statements: map[string]request.Statement{"good_faith": {Text: "It is true."}},
		Papers: func(p request.Paper) { papers = append(papers, p) },
	})
	ok(t, err)

	o := newOffice(t, func(opts *desk.Options) {
		opts.May = func(by string, do desk.Duty, _ *desk.Case) bool { return by != "guest" }
	})
	c, err := o.Submit(ctx, r, papers...)
	ok(t, err)
	notes, err := o.Notes(ctx, c.ID)
	ok(t, err)
	if len(notes) != 2 || notes[0].Paper != request.PaperMandate || notes[0].Name != "mandate.pdf" || notes[0].Size != len(mandate) || notes[0].By != "" ||
		notes[1].Paper != request.PaperPolice || notes[1].Name != "report.pdf" {
		t.Fatalf("notes %+v", notes)
	}
	if got, err := o.ViewPaper(ctx, c.ID, alice, 0); err != nil || !bytes.Equal(got, mandate) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := o.ViewPaper(ctx, c.ID, desk.Actor{By: "guest"}, 0); !errors.Is(err, desk.ErrNotAllowed) {
		t.Errorf("who may not see it: %v", err)
	}
	list, err := o.LogOf(ctx, c.ID)
	ok(t, err)
	if last := list[len(list)-1]; last.To != "viewed_paper" || last.By != "alice" {
		t.Errorf("the log says %+v", last)
	}
	// What the sender gets of their own case is theirs.
	ok(t, o.AddNote(ctx, c.ID, alice, "Looks forged.", "", nil))
	own, err := o.Dossier(ctx, c.ID, bob, false)
	ok(t, err)
	if len(own.Notes) != 2 {
		t.Errorf("their own dossier has the notes %+v", own.Notes)
	}
	// More when the request is completed.
	ok(t, o.AskInfo(ctx, c.ID, alice, nil, "Do you have a judgment?"))
	_, err = o.Complete(ctx, c.ID, r, request.Paper{Kind: request.PaperCourt, Name: "judgment.pdf", Data: []byte("In the name of the people")})
	ok(t, err)
	if notes, err = o.Notes(ctx, c.ID); err != nil || len(notes) != 4 || notes[3].Paper != request.PaperCourt {
		t.Errorf("notes %+v, %v", notes, err)
	}
	for _, bad := range []request.Paper{
		{Kind: "passport", Data: []byte("x")}, {Kind: request.PaperOther}, {Kind: request.PaperOther, Data: []byte("x"), Name: "a\nb"},
		{Kind: request.PaperOther, Data: make([]byte, request.MaxPaperBytes+1)},
	} {
		var arg *takedown.ArgumentError
		if _, err := o.Submit(ctx, notice("https://example.org/b.jpg"), bad); !errors.As(err, &arg) {
			t.Errorf("%s, %d bytes: %v", bad.Kind, len(bad.Data), err)
		}
	}
	// Nothing of them is readable in the folder, and with the case they go.
	folder := func(what string) bool {
		found := false
		ok(t, filepath.WalkDir(o.Dir(), func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			found = found || bytes.Contains(b, []byte(what))
			return err
		}))
		return found
	}
	for _, secret := range []string{"the mother", "mandate.pdf", "Report 17"} {
		if folder(secret) {
			t.Errorf("%q lies in the folder in plain", secret)
		}
	}
	ok(t, o.Reject(ctx, c.ID, refuse(alice)))
	ok(t, o.Erase(ctx, c.ID, bob))
	if _, err := o.Attachment(ctx, c.ID, 0); !errors.Is(err, desk.ErrErased) {
		t.Errorf("after the erasure: %v", err)
	}
}

// A form takes papers only where it says so, and no more than it says.
func TestPapers_Refused(t *testing.T) {
	t.Parallel()
	send := func(field string, n, size int, opts form.Options) error {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for range n {
			part, err := w.CreateFormFile(field, "a.pdf")
			ok(t, err)
			_, err = part.Write(make([]byte, size))
			ok(t, err)
		}
		ok(t, w.Close())
		post := httptest.NewRequest("POST", "/", &body)
		post.Header.Set("Content-Type", w.FormDataContentType())
		opts.Kind = request.KindWithdrawal
		_, err := form.Decode(post, &opts)
		return err
	}
	taken := func(request.Paper) {}
	for what, tc := range map[string]struct {
		field   string
		n, size int
		opts    form.Options
		ok      bool
	}{
		"one":                {"papers.mandate", 1, 100, form.Options{Papers: taken}, true},
		"ten":                {"papers.mandate", 10, 100, form.Options{Papers: taken}, true},
		"eleven":             {"papers.mandate", 11, 100, form.Options{Papers: taken}, false},
		"of no kind":         {"papers.passport", 1, 100, form.Options{Papers: taken}, false},
		"too large":          {"papers.other", 1, request.MaxPaperBytes + 1, form.Options{Papers: taken}, false},
		"larger than a form": {"papers.other", 2, 600, form.Options{Papers: taken, MaxBytes: 1000}, false},
		"none are taken":     {"papers.mandate", 1, 100, form.Options{}, false},
	} {
		err := send(tc.field, tc.n, tc.size, tc.opts)
		var fe *request.FormatError
		if tc.ok && err != nil || !tc.ok && !errors.As(err, &fe) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A case of the past keeps its dates, also those of its decision, and nobody is
// written to about it.
func TestImport_Decided(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	received, decided := day0.AddDate(0, -3, 0), day0.AddDate(0, -2, 0)
	for _, accepted := range []bool{true, false} {
		c, err := o.Import(ctx, notice(published[0]), received)
		ok(t, err)
		decide := func(past time.Time) error {
			if accepted {
				return o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Past: past})
			}
			return o.Reject(ctx, c.ID, desk.Refusal{Actor: desk.Actor{By: "alice", Reason: "not_illegal"}, Past: past})
		}
		var ge *desk.GrantError
		for _, bad := range []time.Time{received.Add(-time.Hour), o.Now().Add(time.Hour)} {
			if err := decide(bad); !errors.As(err, &ge) {
				t.Errorf("decided at %v: %v", bad, err)
			}
		}
		ok(t, decide(decided))
		want := map[bool]desk.State{true: desk.StateInForce, false: desk.StateRejected}[accepted]
		c = o.wantState(t, c.ID, want)
		if c.Times[desk.MilestoneReceived] != received || c.Times[desk.MilestoneDecided] != decided || c.Times[desk.MilestoneInformed] != decided {
			t.Errorf("times %v", c.Times)
		}
		if accepted {
			wantVerdict(t, "imported", o.Enforcer().FilterURL(published[0]), takedown.Block)
			ok(t, o.Reverse(ctx, c.ID, bob))
			o.wantLetters(t, c.ID, desk.MessageReversed) // what happens now is told
		} else {
			o.wantLetters(t, c.ID)
		}
		o.later(time.Hour)
	}
	c := o.submit(t, notice(published[1]))
	var ge *desk.GrantError
	if err := o.Accept(ctx, c.ID, desk.Grant{Actor: alice, Past: decided}); !errors.As(err, &ge) {
		t.Errorf("of a case of today: %v", err)
	}
}

// Other sizes of a picture are offered to the reviewer.
func TestOffers(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(opts *desk.Options) {
		opts.Siblings = func(key string) []string { return []string{"https://example.org/photo-300x200.jpg"} }
	})
	c := o.submit(t, notice("https://example.org/photo.jpg?w=1200"))
	list, err := o.Offers(ctx, c.ID)
	ok(t, err)
	if len(list) != 2 || list[0].Address != "https://example.org/photo-300x200.jpg" || list[1].Address != "https://example.org/photo.jpg" {
		t.Errorf("offers %+v", list)
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "what was only offered", o.Enforcer().FilterURL("https://example.org/photo-300x200.jpg"), takedown.Allow)
}
