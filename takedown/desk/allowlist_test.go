package desk_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// common is testJPEG with the given seed, as a candidate.
func common(tb testing.TB, seed uint32) takedown.Candidate {
	tb.Helper()
	file := testJPEG(tb, seed)
	return takedown.Candidate{SHA256: sha256.Sum256(file), Hashes: hashes(tb, file)}
}

var logo = desk.Actor{By: "carol", Reason: "logo"}

// A picture on the allow list is left alone where it is matched by
// likeness: here, at the nodes, after a restart, until it is taken off. Its file
// and its addresses are blocked by who asked for them, orders are enforced, and
// intimate pictures where they are identical.
func TestAddCommon_Shields(t *testing.T) {
	t.Parallel()
	now, dir := &clock{t: day0}, t.TempDir()
	d := open(t, dir, &desk.Options{Now: now.Now})
	c := common(t, 1)
	own := c.Hashes[0]
	r := optOut(t, 1)
	byPicture := accept(t, d, r, desk.Grant{Actor: alice})
	accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{Actor: alice})

	var conflict *desk.AllowConflictError
	if _, err := d.AddToAllowList(ctx, c, logo, ""); !errors.As(err, &conflict) || !slices.Equal(conflict.Cases, []takedown.CaseID{byPicture}) {
		t.Fatalf("a picture that is blocked was listed: %v", err)
	}
	for what, a := range map[string]desk.Actor{"nobody": {Reason: "logo"}, "no reason": {By: "carol"}, "a text": {By: "carol", Reason: "it is a logo"}} {
		if _, err := d.AddToAllowList(ctx, c, a, "agreed"); err == nil {
			t.Errorf("listed by %s", what)
		}
	}
	listed, err := d.AddToAllowList(ctx, c, logo, "agreed")
	ok(t, err)
	if cc, err := d.Case(ctx, byPicture); err != nil || !slices.Contains(cc.Flags, desk.FlagAllowListed) || cc.State != desk.StateInForce {
		t.Errorf("%v: flags %v", err, cc.Flags)
	}

	far := outerCopies(own, 12, 1)[0]
	near := outerCopies(own, phash.AlgPDQ.Radii(0).Near, 1)[0]
	wrapped := takedown.Candidate{Hashes: []phash.Hash{pdq(t, 7), own}} // another picture, of which own is a reading
	check := func(what string, e *takedown.Enforcer, shielded takedown.Verdict) {
		t.Helper()
		wantVerdict(t, what+", itself", e.Filter("", own), shielded)
		wantVerdict(t, what+", in another size", e.Filter("", near), shielded)
		wantVerdict(t, what+", a picture like it", e.Filter("", far), takedown.Block)
		wantVerdict(t, what+", as a part", e.Check(wrapped), shielded)
		wantVerdict(t, what+", the file", e.Check(takedown.Candidate{SHA256: c.SHA256}), takedown.Block)
		wantVerdict(t, what+", the address", e.Filter("https://example.org/a.jpg", own), takedown.Block)
	}
	nodes := func(what string, shielded takedown.Verdict) {
		t.Helper()
		check(what, d.Enforcer(), shielded)
		snap := filepath.Join(t.TempDir(), "list.snap")
		ok(t, d.Publish(ctx, snap))
		e, err := takedown.Load(snap, &takedown.EnforcerOptions{Now: now.Now})
		ok(t, err)
		defer e.Close()
		check(what+", at a node", e, shielded)
	}
	nodes("listed", takedown.Allow)
	ok(t, d.Close())
	d = open(t, dir, &desk.Options{Now: now.Now})
	nodes("listed, after a restart", takedown.Allow)

	// Orders and intimate pictures.
	order := samples(t, takedown.CaseID{})[request.KindAuthorityOrder].(request.AuthorityOrder)
	order.Images, order.Territories = images(testJPEG(t, 1)), []string{"DE"}
	x, err := d.Submit(ctx, order)
	ok(t, err)
	ordered := x.ID
	ok(t, acceptedByTwo(d, ordered, desk.Grant{}))
	wantVerdict(t, "ordered", d.Enforcer().In("DE").Filter("", own), takedown.Block)
	ok(t, d.Reverse(ctx, ordered, alice))
	intimate := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	intimate.Hashes, intimate.Images, intimate.AllCopies = nil, images(testJPEG(t, 1)), true
	x, err = d.Submit(ctx, intimate)
	ok(t, err)
	ok(t, d.Hold(ctx, x.ID, alice))
	wantVerdict(t, "an identical intimate picture, on hold", d.Enforcer().Filter("", own), takedown.Block)
	var ge *desk.GrantError
	if err := d.Accept(ctx, x.ID, desk.Grant{Actor: alice}); !errors.As(err, &ge) {
		t.Errorf("all copies of a picture on the list: %v", err)
	}
	ok(t, acceptedByTwo(d, x.ID, desk.Grant{Scope: takedown.ScopeIdentical}))
	wantVerdict(t, "an identical intimate picture", d.Enforcer().Filter("", near), takedown.Block)
	ok(t, d.Reverse(ctx, x.ID, alice))
	wantVerdict(t, "reversed", d.Enforcer().Filter("", near), takedown.Allow)

	// It is told who listed it, and taken off by its number only.
	list, err := d.AllowList(ctx)
	if diff := cmp.Diff([]desk.AllowedPicture{listed}, list, hashText); err != nil || diff != "" ||
		!listed.Time.Equal(day0) || listed.By != "carol" || listed.Despite != "agreed" || listed.Event == 0 {
		t.Errorf("%v %+v (-want +got):\n%s", err, listed, diff)
	}
	if err := d.Revert(ctx, listed.Event, alice); !errors.Is(err, desk.ErrNoEvent) {
		t.Errorf("Undo took it off the list: %v", err)
	}
	if err := d.RemoveFromAllowList(ctx, listed.Event+1, logo); !errors.Is(err, desk.ErrNoEvent) {
		t.Errorf("an event of something else was taken off: %v", err)
	}
	ok(t, d.RemoveFromAllowList(ctx, listed.Event, logo))
	if err := d.RemoveFromAllowList(ctx, listed.Event, logo); !errors.Is(err, desk.ErrNoEvent) {
		t.Errorf("taken off twice: %v", err)
	}
	nodes("taken off", takedown.Block)
	var changes []takedown.EventType
	for c, err := range d.Enforcer().Events(ctx, new(takedown.Cursor)) {
		if ok(t, err); c.Rule == 0 {
			changes = append(changes, c.Type)
		}
	}
	if diff := cmp.Diff([]takedown.EventType{takedown.RuleException, takedown.ExceptionEnded}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	var log []string
	ok(t, eachEntry(d, 1, func(e desk.LogEntry) bool {
		if e.By == "carol" {
			log = append(log, fmt.Sprint(e.From, ">", e.To, " ", e.Reason))
		}
		return true
	}))
	if diff := cmp.Diff([]string{">allow_listed logo", "in_force>allow_listed logo", "allow_listed>off_allow_list logo"}, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// acceptedByTwo accepts a case by two reviewers, if it takes two.
func acceptedByTwo(d *desk.Desk, id takedown.CaseID, g desk.Grant) error {
	g.Actor = alice
	err := d.Accept(ctx, id, g)
	var second *desk.SecondReviewError
	if errors.As(err, &second) {
		g.Actor = bob
		err = d.Accept(ctx, id, g)
	}
	return err
}

// Who asks for a picture that is on the list gets its file blocked at most, and
// is told so; who asks for one that is near gets it by two reviewers.
func TestAddCommon_Requests(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	listed, err := d.AddToAllowList(ctx, common(t, 1), logo, "")
	ok(t, err)
	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	if !slices.Contains(c.Flags, desk.FlagAllowListed) {
		t.Errorf("flags %v", c.Flags)
	}
	var x index
	for i, seed := range []uint32{1, 1, 2} {
		x = append(x, takedown.Item{Key: fmt.Sprint(i), Candidate: takedown.Candidate{Hashes: hashes(t, testJPEG(t, seed))}})
	}
	p, err := d.Preview(ctx, c.ID, x.items, nil)
	ok(t, err)
	if p.Block != 0 || p.Allowed != 2 || len(p.AllowedFound) != 2 || p.AllowedFound[0].Decision.Distance != 0 || !slices.Equal(p.Listed, []int{0}) {
		t.Errorf("a preview: %+v", p)
	}
	var ge *desk.GrantError
	for _, w := range []takedown.Scope{0, takedown.ScopeIdentical, takedown.ScopeDuplicate} {
		if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: w}); !errors.As(err, &ge) {
			t.Errorf("scope %v: %v", w, err)
		}
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: takedown.ScopeBytes}))
	if err := d.Amend(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &ge) {
		t.Errorf("a change to what was asked: %v", err)
	}
	ok(t, d.RemoveFromAllowList(ctx, listed.Event, logo))
	ok(t, d.Amend(ctx, c.ID, desk.Grant{Actor: alice}))
	wantVerdict(t, "taken off the list", d.Enforcer().Filter("", pdq(t, 1)), takedown.Block)

	// A hash near a listed one; a hash of a listed one has no file to block.
	near := outerCopies(pdq(t, 3), 20, 1)[0]
	_, err = d.AddToAllowList(ctx, takedown.Candidate{Hashes: []phash.Hash{near}}, logo, "")
	ok(t, err)
	c, err = d.Submit(ctx, optOut(t, 3))
	ok(t, err)
	if p, err = d.Preview(ctx, c.ID, x.items, nil); err != nil || !slices.Equal(p.Risks, []request.Flag{desk.FlagAllowListed}) || len(p.Listed) != 0 {
		t.Errorf("near: risks %v, listed %v, %v", p.Risks, p.Listed, err)
	}
	var second *desk.SecondReviewError
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || !slices.Equal(second.Risks, []request.Flag{desk.FlagAllowListed}) {
		t.Errorf("near: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: bob}))
	wantVerdict(t, "near, by two", d.Enforcer().Filter("", pdq(t, 3)), takedown.Block)
	wantVerdict(t, "the listed one", d.Enforcer().Filter("", near), takedown.Allow)
	c, err = d.Submit(ctx, request.HashEntry{Requester: person, Hashes: []phash.Hash{near}, Claim: request.ClaimOwner})
	ok(t, err)
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &ge) {
		t.Errorf("the hash of a listed picture: %v", err)
	}
	// What is in force can be withdrawn in part although a picture of it was
	// listed since.
	r := optOut(t, 5)
	r.Images = append(r.Images, request.FromBytes(testJPEG(t, 6)))
	id := accept(t, d, r, desk.Grant{Actor: alice})
	_, err = d.AddToAllowList(ctx, common(t, 6), logo, "agreed")
	ok(t, err)
	w, err := d.Submit(ctx, request.Withdrawal{Requester: r.Requester, Case: id, Items: []int{0}})
	ok(t, err)
	ok(t, d.Accept(ctx, w.ID, desk.Grant{Actor: alice}))

	for what, c := range map[string]takedown.Candidate{
		"nothing": {}, "a flat one": {Hashes: []phash.Hash{phash.FromPDQ([32]byte{1})}},
		"an animation": {Hashes: hashes(t, testJPEG(t, 8)), Frames: []takedown.Frame{{Hashes: []phash.Hash{pdq(t, 9)}}}},
	} {
		if _, err := d.AddToAllowList(ctx, c, logo, ""); err == nil {
			t.Errorf("%s was listed", what)
		}
	}
}

// A case whose rules have yet to begin is in force as well.
func TestAddCommon_Scheduled(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now})
	id := accept(t, d, optOut(t, 1), desk.Grant{Start: day0.Add(time.Hour)})
	accept(t, d, optOut(t, 2), desk.Grant{Start: day0.Add(time.Hour)})
	accept(t, d, optOut(t, 1), desk.Grant{Start: day0.Add(time.Hour), Scope: takedown.ScopeBytes})
	var conflict *desk.AllowConflictError
	if _, err := d.AddToAllowList(ctx, common(t, 1), logo, ""); !errors.As(err, &conflict) || !slices.Equal(conflict.Cases, []takedown.CaseID{id}) {
		t.Errorf("%v", err)
	}
	_, err := d.AddToAllowList(ctx, common(t, 3), logo, "")
	ok(t, err)
}

// Wherever it is cut short: after the next Open a picture is on the list, for
// the desk and the enforcer, or it is not.
func TestAddCommon_CutShort(t *testing.T) {
	t.Parallel()
	for _, remove := range []bool{false, true} {
		for in := 1; in <= 2; in++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprint(remove, in, after), func(t *testing.T) {
					dir, err := memoryDir()
					ok(t, err)
					defer os.RemoveAll(dir)
					store := &faulty{Store: storetest.Memory()}
					d := open(t, dir, &desk.Options{Store: store})
					accept(t, d, optOut(t, 1), desk.Grant{Actor: alice})
					var event uint64
					if remove {
						p, err := d.AddToAllowList(ctx, common(t, 1), logo, "agreed")
						ok(t, err)
						event = p.Event
					}
					store.fail(in, after)
					if remove {
						err = d.RemoveFromAllowList(ctx, event, logo)
					} else {
						_, err = d.AddToAllowList(ctx, common(t, 1), logo, "agreed")
					}
					store.fail(0, false)
					if err == nil {
						t.Fatal("it was not cut short")
					}
					ok(t, d.Close())
					d = open(t, dir, &desk.Options{Store: store})
					list, err := d.AllowList(ctx)
					ok(t, err)
					happened := in == 2 || after
					want := takedown.Block
					if happened != remove {
						want = takedown.Allow
					}
					wantVerdict(t, "the picture", d.Enforcer().Filter("", pdq(t, 1)), want)
					if (len(list) == 1) != (want == takedown.Allow) {
						t.Errorf("%d on the list, and the verdict is %v", len(list), want)
					}
					if _, _, err := d.VerifyLog(ctx); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// soft is a picture with little in it, though enough to be registered.
func soft(tb testing.TB) []byte {
	tb.Helper()
	for amplitude := 4; amplitude < 100; amplitude++ {
		m := image.NewGray(image.Rect(0, 0, 256, 256))
		for y := range 256 {
			for x := range 256 {
				v := 128 + (x*x/97+y*31/13+x*y/201)%amplitude/2 + amplitude*(x/64*7+y/50*11)%23*amplitude/23
				m.SetGray(x, y, color.Gray{Y: uint8(min(v, 255))})
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			tb.Fatal(err)
		}
		pic, err := phash.Decode(bytes.NewReader(b.Bytes()), nil)
		if err != nil {
			tb.Fatal(err)
		}
		if r, err := phash.HashesToStore(pic, nil); err == nil && (r.Quality < 75 || r.Stability > 28) {
			return b.Bytes()
		}
	}
	tb.Fatal("no picture is soft enough and can be registered")
	return nil
}

// A picture with little in it can be granted by one reviewer as far as its file,
// and by two as a picture.
func TestAccept_FlatTakesTwo(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	r := optOut(t, 1)
	r.Images = images(soft(t))
	c, err := d.Submit(ctx, r)
	ok(t, err)
	if c.Pictures[0].MaxScope != takedown.ScopeDuplicate {
		t.Fatalf("%+v", c.Pictures[0])
	}
	var second *desk.SecondReviewError
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || !slices.Contains(second.Risks, desk.FlagFlat) {
		t.Errorf("by one reviewer: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: takedown.ScopeBytes}))
	c, err = d.Submit(ctx, r)
	ok(t, err)
	ok(t, acceptedByTwo(d, c.ID, desk.Grant{}))
}

// What a preview shows to hit very many pictures takes two reviewers, at that
// scope and beyond.
func TestPreview_Crowded(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now, ManyMatches: 30})
	own := pdq(t, 1)
	var x index
	for i, h := range append(outerCopies(own, 6, 10), outerCopies(own, 40, 25)...) {
		x = append(x, takedown.Item{Key: fmt.Sprint(100 + i), Candidate: takedown.Candidate{Hashes: []phash.Hash{h}}})
	}
	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	p, err := d.Preview(ctx, c.ID, x.items, &desk.Grant{Scope: takedown.ScopeIdentical})
	if ok(t, err); len(p.Risks) != 0 {
		t.Errorf("identical: %v", p.Risks)
	}
	p, err = d.Preview(ctx, c.ID, x.items, nil)
	if ok(t, err); !slices.Equal(p.Risks, []request.Flag{desk.FlagCrowded}) || p.Block != 35 {
		t.Errorf("duplicate: %v, %d", p.Risks, p.Block)
	}
	var second *desk.SecondReviewError
	if err := d.Accept(ctx, c.ID, desk.Grant{Actor: alice}); !errors.As(err, &second) || !slices.Equal(second.Risks, []request.Flag{desk.FlagCrowded}) {
		t.Errorf("duplicate, by one: %v", err)
	}
	ok(t, d.Accept(ctx, c.ID, desk.Grant{Actor: alice, Scope: takedown.ScopeIdentical}))

	// So does a share of a big sample, and more weak matches than the match budget.
	for name, tt := range map[string]struct {
		opts   desk.Options
		sample int
		far    int
		want   bool
	}{
		"one in a hundred":              {desk.Options{MatchBudget: -1}, 1100, 11, false},
		"more than one in a hundred":    {desk.Options{MatchBudget: -1}, 1100, 12, true},
		"of a small sample":             {desk.Options{MatchBudget: -1}, 999, 30, false},
		"weak":                          {desk.Options{MatchBudget: 20}, 40, 21, true},
		"weak, no more than the budget": {desk.Options{MatchBudget: 21}, 40, 21, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, t.TempDir(), &tt.opts)
			c, err := d.Submit(ctx, optOut(t, 1))
			ok(t, err)
			x := make(index, tt.sample)
			far := outerCopies(own, 40, tt.far)
			for i := range x {
				x[i].Key = fmt.Sprintf("%05d", i)
				if i < len(far) {
					x[i].Candidate.Hashes = far[i : i+1]
				}
			}
			p, err := d.Preview(ctx, c.ID, x.items, nil)
			if ok(t, err); slices.Contains(p.Risks, desk.FlagCrowded) != tt.want {
				t.Errorf("risks %v, want crowded %v", p.Risks, tt.want)
			}
		})
	}
}

// The query path stays without allocations when the list is asked.
func TestAddCommon_NoAllocation(t *testing.T) {
	d := open(t, t.TempDir(), nil)
	accept(t, d, optOut(t, 1), desk.Grant{})
	_, err := d.AddToAllowList(ctx, common(t, 1), logo, "agreed")
	ok(t, err)
	e, c := d.Enforcer(), common(t, 1)
	c.SHA256 = [32]byte{}
	if n := sharedtest.AllocsPerRun(1000, func() {
		if e.Filter("", c.Hashes[0]).Verdict != takedown.Allow || e.Check(c).Verdict != takedown.Allow {
			t.Error("it is not shielded")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
