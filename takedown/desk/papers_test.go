package desk_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// The row of every kind of request, ground and scope is what the Transparency
// Database takes, by its schema and by its dates.
func TestTransparencyRow(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(sharedtest.Path(t, "dsa-tdb", "derived", "statement.schema.json"))
	ok(t, err)
	schema := compileSchema(t, b)
	o := newOffice(t)
	var requests []request.Request
	for kind, r := range samples(t, takedown.CaseID{}) {
		switch kind {
		case request.KindCounterNotice, request.KindObjection, request.KindComplaint, request.KindWithdrawal:
		default:
			requests = append(requests, r)
		}
	}
	for _, g := range []request.Ground{
		"", request.GroundCopyright, request.GroundTrademark, request.GroundPrivacy, request.GroundIntimateImage, request.GroundImpersonation,
		request.GroundDefamation, request.GroundHate, request.GroundFraud, request.GroundMinors, request.GroundChildSexualAbuse, request.GroundOther,
	} {
		n := notice("https://example.org/" + string(g))
		n.Ground, n.Requester.Role, n.Requester.FlaggerID, n.Law = g, request.RoleTrustedFlagger, "DE-17", strings.Repeat("ภ", 500)
		requests = append(requests, n)
	}
	for _, r := range requests {
		c := o.submit(t, r)
		g := desk.Grant{End: day0.AddDate(1, 0, 0)}
		if r.Kind() == request.KindDSANotice {
			g.Territories = []string{"EU27", "NO", "US"}
		}
		acceptByTwo(t, o.Desk, c.ID, g)
		c, err := o.Case(ctx, c.ID)
		ok(t, err)
		s := desk.NewStatementOfReasons(&c)
		row, err := s.TransparencyRow("", day0.AddDate(-1, 0, 0))
		if r.Kind() == request.KindAuthorityOrder { // Article 17(5)
			if !errors.Is(err, desk.ErrNoRow) {
				t.Errorf("an order: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", r.Kind(), err)
			continue
		}
		b, err := json.Marshal(row)
		ok(t, err)
		switch r.Kind() { // of these no law of the Union is the ground
		case request.KindDSANotice, request.KindGDPRRequest:
			if row.DecisionGround != "DECISION_GROUND_ILLEGAL_CONTENT" || row.IllegalContentLegalGround == "" {
				t.Errorf("%v: %s", r.Kind(), b)
			}
		default:
			if row.DecisionGround != "DECISION_GROUND_INCOMPATIBLE_CONTENT" || strings.Contains(string(b), "U.S.C.") {
				t.Errorf("%v: %s", r.Kind(), b)
			}
		}
		// What the requester wrote of the law may tell who that is.
		if strings.Contains(s.Law+string(b), "ภภภ") {
			t.Errorf("%v: the statement repeats the requester's words", r.Kind())
		}
		if err := checkSchema(t, schema, b); err != nil {
			t.Errorf("%v: %v\n%s", r.Kind(), err, b)
		}
		if n := len(row.TerritorialScope); r.Kind() == request.KindDSANotice && n != 28 {
			t.Errorf("%d territories, want the 27 and Norway", n)
		}
		if strings.Contains(string(b), "equester") && strings.Contains(string(b), "example.org") {
			t.Errorf("the row has something personal: %s", b)
		}
	}
	// Dates that the database refuses are refused here.
	c := o.submit(t, notice("https://example.org/z.jpg"))
	ok(t, o.Accept(ctx, c.ID, desk.Grant{}))
	c, err = o.Case(ctx, c.ID)
	ok(t, err)
	s := desk.NewStatementOfReasons(&c)
	if _, err := s.TransparencyRow("", time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)); err == nil || !strings.Contains(err.Error(), "content_date") {
		t.Errorf("content of 1999: %v", err)
	}
	if _, err := s.TransparencyRow("not a puid", day0); err == nil || !strings.Contains(err.Error(), "puid") {
		t.Errorf("a puid with blanks: %v", err)
	}
	s.Territories = []string{"US"}
	if _, err := s.TransparencyRow("", day0); err == nil {
		t.Error("a restriction outside the EEA has a row")
	}
}

// Each restriction of a case has a PUID of its own, which stays the same.
func TestTransparencyRow_PUID(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.submit(t, notice("https://example.org/a.jpg"))
	puid := func() string {
		t.Helper()
		c, err := o.Case(ctx, c.ID)
		ok(t, err)
		row, err := desk.NewStatementOfReasons(&c).TransparencyRow("", day0)
		ok(t, err)
		return row.PUID
	}
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	first := puid()
	ok(t, o.Amend(ctx, c.ID, desk.Grant{Actor: alice, Territories: []string{"DE"}}))
	second := puid()
	ok(t, o.Reverse(ctx, c.ID, alice))
	if third := puid(); first == second || second != third || first != c.ID.String()+"-1" {
		t.Errorf("%s, then %s, then %s", first, second, third)
	}
}

// Whoever says that they are a trusted flagger is one in a statement of reasons
// only when a person has found them in the list; a completed notice may have
// another sender.
func TestConfirmFlagger(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	n := notice("https://example.org/a.jpg")
	n.Requester.Role = request.RoleTrustedFlagger
	err := request.Validate(n, nil)
	if got := problems(err); len(got) != 1 || !strings.HasPrefix(got[0], "requester.flagger_id: required") {
		t.Errorf("without its entry: %v", got)
	}
	n.Requester.FlaggerID = "DE-17"
	source := func(c desk.Case) desk.Origin {
		t.Helper()
		c, err := o.Case(ctx, c.ID)
		ok(t, err)
		return desk.NewStatementOfReasons(&c).Origin
	}
	c := o.submit(t, n)
	ok(t, o.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
	if s := o.last(desk.MessageStatement).Statement; s.Origin != desk.OriginArticle16 {
		t.Errorf("not checked: %v", s.Origin)
	}
	checked := o.submit(t, n)
	if err := o.ConfirmFlagger(ctx, checked.ID, desk.Actor{}); err == nil {
		t.Error("confirmed by nobody")
	}
	ok(t, o.ConfirmFlagger(ctx, checked.ID, alice))
	if got := source(checked); got != desk.OriginTrustedFlagger {
		t.Errorf("checked: %v", got)
	}
	ok(t, o.AskInfo(ctx, checked.ID, alice, []string{"explanation"}))
	n.Requester.FlaggerID = "DE-18"
	_, err = o.Complete(ctx, checked.ID, n)
	ok(t, err)
	if got := source(checked); got != desk.OriginArticle16 {
		t.Errorf("completed by another: %v", got)
	}
	var me *desk.MoveError
	if err := o.ConfirmFlagger(ctx, o.submit(t, notice("https://example.org/b.jpg")).ID, alice); !errors.As(err, &me) {
		t.Errorf("of somebody else: %v", err)
	}
}
