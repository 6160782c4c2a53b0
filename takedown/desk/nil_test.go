package desk_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// What is nil has a meaning that is documented, or an error that says what is
// missing.
func TestNil(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	var typed *request.DSANotice
	for name, r := range map[string]request.Request{"nil": nil, "a nil pointer": typed} {
		_, submitted := d.Submit(ctx, r)
		_, completed := d.Complete(ctx, takedown.CaseID{}, r)
		for what, err := range map[string]error{"Submit": submitted, "Complete": completed, "Validate": request.Validate(r, []request.Profile{request.ProfileLenso})} {
			if diff := cmp.Diff([]string{"kind: required incomplete"}, problems(err)); diff != "" {
				t.Errorf("%s of %s: %v", what, name, err)
			}
		}
		_, err := request.Encode(r)
		if bad := new(request.FormatError); !errors.As(err, &bad) {
			t.Errorf("request.Encode of %s: %v", name, err)
		}
	}

	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	p, err := d.Preview(ctx, c.ID, nil, nil)
	if err != nil || p.Looked != 0 || len(p.Pictures) != 1 {
		t.Errorf("Preview: %+v, %v", p, err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))

	var bad *takedown.ArgumentError
	if _, err := takedown.Inspect(nil, takedown.Source{}, nil); !errors.As(err, &bad) {
		t.Errorf("Inspect: %v", err)
	}
	n := 0
	for _, err := range d.Enforcer().Sweep(ctx, nil, new(takedown.Cursor)) {
		if n++; !errors.As(err, &bad) {
			t.Errorf("Sweep of nothing: %v", err)
		}
	}
	for f, err := range d.Enforcer().Sweep(ctx, index{{Key: "a", Candidate: testCandidate(t, 1)}}.items, nil) {
		if n++; err != nil || f.Item.Key != "a" {
			t.Errorf("Sweep: %v, %v", f, err)
		}
	}
	for c, err := range d.Enforcer().Events(ctx, nil) {
		if n++; err != nil || c.Type != takedown.RuleAdded {
			t.Errorf("Changes: %v, %v", c, err)
		}
	}
	if n != 3 {
		t.Errorf("%d steps, want 3", n)
	}
}

// Without a cursor nothing is remembered: a sequence gives the same again when it
// is ranged over twice.
func TestNilCursor_RemembersNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	accept(t, o.Desk, notice(published[0]), desk.Grant{Actor: alice})
	items := func(context.Context, string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			yield(takedown.Item{Key: "a", Candidate: takedown.Candidate{ImageURLs: published[:1]}}, nil)
		}
	}
	sweep, changes := o.Enforcer().Sweep(ctx, items, nil), o.Enforcer().Events(ctx, nil)
	for range 2 {
		found := 0
		for _, err := range sweep {
			ok(t, err)
			found++
		}
		changed := 0
		for _, err := range changes {
			ok(t, err)
			changed++
		}
		if found != 1 || changed != 1 {
			t.Errorf("found %d, changes %d, want 1 and 1", found, changed)
		}
	}
}
