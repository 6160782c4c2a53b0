package desk_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// A report about a child is taken in whatever it lacks, waits for nobody, is handed
// over, and is for the people who are responsible for it.
func TestChildSafety(t *testing.T) {
	t.Parallel()
	var handed []takedown.CaseID
	o := newOffice(t, func(opts *desk.Options) {
		opts.ChildSafety = func(by string) bool { return by == "carol" }
		opts.HandOver = func(c desk.Case) { handed = append(handed, c.ID) }
		opts.KeepPictures = true
	})
	minor := request.IntimateImage{Images: images(testJPEG(t, 1)), MinorDepicted: request.AnswerYes}
	anonymous := notice("https://example.org/a.jpg")
	anonymous.Requester, anonymous.GoodFaith, anonymous.Ground = request.Requester{}, request.Statement{}, request.GroundChildSexualAbuse
	var cases []desk.Case
	for _, r := range []request.Request{minor, anonymous} {
		c := o.submit(t, r)
		if c.State != desk.StateInReview || !slices.Contains(c.Flags, request.FlagChildSafety) || !c.Delicate() {
			t.Errorf("a %v is %s, flags %v, problems %v", c.Kind, c.State, c.Flags, c.Problems)
		}
		cases = append(cases, c)
	}
	if len(handed) != 2 {
		t.Errorf("handed over: %v", handed)
	}
	id := cases[0].ID
	for what, err := range map[string]error{
		"accepted": o.Accept(ctx, id, desk.Grant{Actor: alice}),
		"rejected": o.Reject(ctx, id, refuse(alice)),
		"reported": o.MarkReported(ctx, id, alice, time.Hour),
	} {
		if !errors.Is(err, desk.ErrNotAllowed) {
			t.Errorf("%s by anybody: %v", what, err)
		}
	}
	carol := desk.Actor{By: "carol"}
	if c, err := o.View(ctx, id, alice); err != nil || c.Request != nil || c.Pictures != nil {
		t.Errorf("anybody sees it: %v, %v", c.Request, err)
	}
	if c, err := o.View(ctx, id, carol); err != nil || c.Request == nil {
		t.Errorf("carol does not see it: %v", err)
	}
	if _, err := o.View(ctx, id, desk.Actor{}); err == nil {
		t.Error("nobody looks")
	}
	seen := 0
	for e, err := range o.Log(ctx, 1) {
		if ok(t, err); e.Case == id && e.To == "viewed" {
			seen++
		}
	}
	if seen != 2 {
		t.Errorf("%d looks in the log", seen)
	}
	ok(t, o.Accept(ctx, id, desk.Grant{Actor: carol}))
	if f, err := o.Picture(ctx, id, 0); err != nil || !f.IsZero() {
		t.Errorf("its picture is kept: %v", err)
	}
	ok(t, o.MarkReported(ctx, id, carol, 365*24*time.Hour))
	var me *desk.MoveError
	if err := o.Erase(ctx, id, carol); !errors.As(err, &me) {
		t.Errorf("erased before its time: %v", err)
	}
	o.later(366 * 24 * time.Hour)
	ok(t, o.Erase(ctx, id, carol))
	if err := o.MarkReported(ctx, o.submit(t, notice("https://example.org/b.jpg")).ID, carol, 0); !errors.As(err, &me) {
		t.Errorf("another case: %v", err)
	}
}

// Who is shown in an intimate image and can be asked is asked, not turned away.
func TestIntimate_Curable(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := request.IntimateImage{Requester: person, ImageURLs: []string{"https://example.org/a.jpg"}, MinorDepicted: request.AnswerNo}
	if c := o.submit(t, r); c.State != desk.StateNeedsInfo || len(c.Problems) == 0 {
		t.Errorf("%s, %v", c.State, c.Problems)
	}
	r.ImageURLs = nil
	if _, err := o.Submit(ctx, r); err == nil {
		t.Error("nothing is named")
	}
}
