package desk_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
)

// carried is a desk with one opt-out of testJPEG 1, for whose rule three copies
// were learned and one picture was excepted.
type carried struct {
	*desk.Desk
	id                            takedown.CaseID
	same, identical, crop, undone takedown.Candidate // learned; undone was forgotten again
	wrong                         takedown.Candidate // excepted
	file                          []byte
}

func copyAt(n int) string { return fmt.Sprintf("https://copies.example/%d.jpg", n) }

func newCarried(t *testing.T, d *desk.Desk, accept func(takedown.CaseID)) *carried {
	t.Helper()
	x := &carried{Desk: d, file: testJPEG(t, 1)}
	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	x.id = c.ID
	accept(c.ID)
	own := hashes(t, x.file)[0]
	rule := d.Enforcer().Filter("", own).Rule
	// A copy in another encoding, and a "crop" that only a person recognised.
	var b bytes.Buffer
	m, err := jpeg.Decode(bytes.NewReader(x.file))
	ok(t, err)
	ok(t, png.Encode(&b, m))
	learn := func(n int, file []byte) (c takedown.Candidate) {
		c = takedown.Candidate{ImageURLs: []string{copyAt(n)}, SHA256: sha256.Sum256(file), Hashes: hashes(t, file)}
		done, err := d.Resolve(ctx, desk.Match{Candidate: c, Decision: takedown.Decision{Rule: rule}, File: file}, desk.SameImage)
		ok(t, err)
		if n == 4 {
			for _, e := range done.Events {
				ok(t, d.Revert(ctx, e, alice))
			}
		}
		return c
	}
	x.same, x.identical, x.crop, x.undone = learn(1, x.file), learn(2, b.Bytes()), learn(3, testJPEG(t, 3)), learn(4, testJPEG(t, 4))
	x.wrong = takedown.Candidate{Hashes: []phash.Hash{nearCopy(own, 18)}}
	_, err = d.Resolve(ctx, desk.Match{Candidate: x.wrong, Decision: takedown.Decision{Rule: rule}}, desk.NotTheSame)
	ok(t, err)
	return x
}

// reach says what is blocked of the copies: the addresses, the files and the
// hashes of each, and whether the excepted picture still is.
func (x *carried) reach(e asker) (got []string) {
	for _, c := range []struct {
		name string
		takedown.Candidate
	}{{"same", x.same}, {"identical", x.identical}, {"crop", x.crop}, {"undone", x.undone}} {
		for what, d := range map[string]takedown.Decision{
			"address": e.FilterURL(c.ImageURLs[0]), "file": e.Check(takedown.Candidate{SHA256: c.SHA256}), "hash": e.Filter("", c.Hashes[0]),
		} {
			if d.Verdict == takedown.Block {
				got = append(got, c.name+" "+what)
			}
		}
	}
	if e.Check(x.wrong).Verdict == takedown.Block {
		got = append(got, "excepted")
	}
	return got
}

// asker is an Enforcer, or a Region of one.
type asker interface {
	FilterURL(string) takedown.Decision
	Filter(string, ...phash.Hash) takedown.Decision
	Check(takedown.Candidate) takedown.Decision
}

// What people said of matches outlives new terms, as far as the new scope
// reaches.
func TestChange_CarriesOver(t *testing.T) {
	t.Parallel()
	every := []string{
		"same address", "same file", "same hash", "identical address", "identical file", "identical hash", "crop address", "crop file", "crop hash",
	}
	identical := every[:6]
	sorted := cmpSorted()
	for _, tt := range []struct {
		name  string
		grant desk.Grant
		want  []string
	}{
		{"the same scope, elsewhere", desk.Grant{Territories: []string{"EU27", "US"}}, every},
		{"identical", desk.Grant{Scope: takedown.ScopeIdentical}, identical},
		{"bytes", desk.Grant{Scope: takedown.ScopeBytes}, []string{"same address", "same file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := &clock{t: day0}
			d := open(t, t.TempDir(), &desk.Options{Now: now.Now, RecheckAfter: 10 * 24 * time.Hour})
			x := newCarried(t, d, func(id takedown.CaseID) { ok(t, d.Accept(ctx, id, desk.Grant{Actor: alice})) })
			if diff := cmp.Diff(every, x.reach(x.Enforcer()), sorted); diff != "" {
				t.Fatalf("before (-want +got):\n%s", diff)
			}
			ok(t, d.Amend(ctx, x.id, tt.grant))
			reach := func() []string { return x.reach(d.Enforcer().In("DE")) }
			if diff := cmp.Diff(tt.want, reach(), sorted); diff != "" {
				t.Errorf("after (-want +got):\n%s", diff)
			}
			// And once more; what a person takes back then, is taken back.
			ok(t, d.Amend(ctx, x.id, tt.grant))
			if diff := cmp.Diff(tt.want, reach(), sorted); diff != "" {
				t.Errorf("after another change (-want +got):\n%s", diff)
			}
			now.set(day0.Add(10 * 24 * time.Hour))
			for _, what := range reach() {
				if what == "crop address" || what == "identical address" || what == "same address" {
					t.Errorf("%s is blocked for longer than it was learned for", what)
				}
			}
			// Wider again: what is not there any more does not come back.
			ok(t, d.Amend(ctx, x.id, desk.Grant{Scope: takedown.ScopeDuplicate}))
			if d.Enforcer().Check(x.wrong).Verdict == takedown.Block {
				t.Error("the exception was lost")
			}
			for c, err := range d.Enforcer().Events(ctx, new(takedown.Cursor)) {
				ok(t, err)
				if c.Type == takedown.RuleException && c.Rule == d.Enforcer().Filter("", hashes(t, x.file)[0]).Rule {
					ok(t, d.Revert(ctx, c.Seq, alice))
				}
			}
			wantVerdict(t, "the exception, undone", d.Enforcer().Check(x.wrong), takedown.Block)
		})
	}
}

func cmpSorted() cmp.Option {
	return cmp.Transformer("sorted", func(s []string) map[string]bool {
		m := map[string]bool{}
		for _, x := range s {
			m[x] = true
		}
		return m
	})
}

// A picture that was excepted while the case was on hold stays so when the case
// is accepted.
func TestAccept_CarriesOverFromHold(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	x := newCarried(t, d, func(id takedown.CaseID) { ok(t, d.Hold(ctx, id, alice)) })
	ok(t, d.Accept(ctx, x.id, desk.Grant{Actor: alice}))
	want := []string{
		"same address", "same file", "same hash", "identical address", "identical file", "identical hash", "crop address", "crop file", "crop hash",
	}
	if diff := cmp.Diff(want, x.reach(x.Enforcer()), cmpSorted()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Wherever a change of terms is cut short, after the next Open it has not
// happened or it has, with all that goes over.
func TestChange_CutShort(t *testing.T) {
	t.Parallel()
	before := []string{
		"same address", "same file", "same hash", "identical address", "identical file", "identical hash", "crop address", "crop file", "crop hash",
	}
	happened := map[bool]int{}
	for in := 1; in <= 3; in++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(in, after), func(t *testing.T) {
				dir, err := memoryDir()
				ok(t, err)
				defer os.RemoveAll(dir)
				store := &faulty{Store: storetest.Memory()}
				d := open(t, dir, &desk.Options{Store: store})
				x := newCarried(t, d, func(id takedown.CaseID) { ok(t, d.Accept(ctx, id, desk.Grant{Actor: alice})) })
				store.fail(in, after)
				err = d.Amend(ctx, x.id, desk.Grant{Scope: takedown.ScopeIdentical})
				failed := err != nil
				store.fail(0, false)
				ok(t, d.Close())
				x.Desk = open(t, dir, &desk.Options{Store: store})
				c, err := x.Case(ctx, x.id)
				ok(t, err)
				if c.State != desk.StateInForce || len(c.Rules) != 1 {
					t.Fatalf("the case is %s, with rules %v", c.State, c.Rules)
				}
				want := before
				if c.Granted == takedown.ScopeIdentical {
					want = before[:6]
				}
				if diff := cmp.Diff(want, x.reach(x.Enforcer()), cmpSorted()); diff != "" {
					t.Errorf("granted %v (-want +got):\n%s", c.Granted, diff)
				}
				if !failed && c.Granted != takedown.ScopeIdentical {
					t.Error("a change that succeeded has not happened")
				}
				happened[c.Granted == takedown.ScopeIdentical]++
			})
		}
	}
	if happened[true] < 2 || happened[false] < 1 {
		t.Errorf("happened %v: the test proves too little", happened)
	}
}

// The hash of a copy is learned only if a registration would take it; where the
// copy lies, and its file, in any case.
func TestResolve_TestsHashes(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	accept(t, d, optOut(t, 1), desk.Grant{})
	own := d.Enforcer().Filter("", hashes(t, testJPEG(t, 1))...)
	// A soft gradient: it has a hash, and next to no structure.
	flat := image.NewGray(image.Rect(0, 0, 256, 256))
	for y := range 256 {
		for x := range 256 {
			flat.SetGray(x, y, color.Gray{Y: uint8(100 + x/16 + y/32)})
		}
	}
	var b bytes.Buffer
	ok(t, png.Encode(&b, flat))
	for i, tt := range []struct {
		name string
		file []byte // of the candidate
		give []byte // to Resolve
		want desk.NotDerived
	}{
		{"a picture", testJPEG(t, 5), testJPEG(t, 5), ""},
		{"nothing to look at", testJPEG(t, 6), nil, desk.NotDerivedNoFile},
		{"another file", testJPEG(t, 6), testJPEG(t, 5), desk.NotDerivedOther},
		{"too little in it", b.Bytes(), b.Bytes(), desk.NotDerivedQuality},
		{"cut off", testJPEG(t, 7)[:len(testJPEG(t, 7))*2/3], testJPEG(t, 7)[:len(testJPEG(t, 7))*2/3], desk.NotDerivedTruncated},
	} {
		c, err := takedown.Inspect(bytes.NewReader(tt.file), takedown.Source{ImageURL: copyAt(i)}, nil)
		ok(t, err)
		got, err := d.Resolve(ctx, desk.Match{Candidate: c, Decision: own, File: tt.give}, desk.SameImage)
		ok(t, err)
		if got.NotDerived != tt.want || (got.Hashes == 0) != (tt.want != "") || got.Addresses != 1 || got.Files != 1 {
			t.Errorf("%s: %+v", tt.name, got)
		}
		hash := takedown.Allow
		if tt.want == "" {
			hash = takedown.Block
		}
		wantVerdict(t, tt.name+", by hash", d.Enforcer().Filter("", c.Hashes[0]), hash)
		wantVerdict(t, tt.name+", by address", d.Enforcer().FilterURL(copyAt(i)), takedown.Block)
	}
}

// Whatever people say of matches, take back and change, in any order, with the
// store failing at any write and the process restarted: what is blocked is what
// a plain reading says. Each copy that is learned is registered for its test,
// which takes time: 20 runs, or with STAYDOWN_LONG=1 all that rapid.checks asks
// for.
func TestResolve_Model(t *testing.T) {
	t.Parallel()
	file := testJPEG(t, 1)
	var png1 bytes.Buffer
	m, err := jpeg.Decode(bytes.NewReader(file))
	ok(t, err)
	ok(t, png.Encode(&png1, m))
	type picture struct {
		takedown.Candidate
		file  []byte
		reach takedown.Scope // the narrowest that reaches it by itself
	}
	// The file itself, the identical picture, and two of which a person says so.
	pictures := []picture{{file: file, reach: takedown.ScopeBytes}, {file: png1.Bytes(), reach: takedown.ScopeIdentical},
		{file: testJPEG(t, 3), reach: takedown.ScopeDuplicate}, {file: testJPEG(t, 4), reach: takedown.ScopeDuplicate}}
	for i := range pictures {
		p := &pictures[i]
		p.Candidate = takedown.Candidate{ImageURLs: []string{copyAt(i)}, SHA256: sha256.Sum256(p.file), Hashes: hashes(t, p.file)}
	}
	type fact struct {
		event          uint64 // of the rule in force now; found anew after each change
		picture        int
		address, image bool // what of it was learned; hash, whether its hashes were too
		hash           bool
		excepted       bool
		until          time.Time
	}
	request, runs := optOut(t, 1), 0
	rapid.Check(t, func(t *rapid.T) {
		if runs++; runs > 20 && os.Getenv("STAYDOWN_LONG") == "" {
			return
		}
		check := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		dir, err := memoryDir()
		check(err)
		defer os.RemoveAll(dir)
		now := &clock{t: day0}
		store := &faulty{Store: storetest.Memory()}
		reopen := func() *desk.Desk {
			d, err := desk.Open(dir, &desk.Options{Now: now.Now, Store: store, RecheckAfter: 48 * time.Hour})
			check(err)
			return d
		}
		d := reopen()
		defer func() { d.Close() }()
		c, err := d.Submit(ctx, request)
		check(err)
		check(d.Accept(ctx, c.ID, desk.Grant{Actor: alice}))
		width, rule := takedown.ScopeDuplicate, uint64(1)
		var facts []fact
		narrow := func(w takedown.Scope) {
			var kept []fact
			for _, f := range facts {
				if !f.until.IsZero() && !now.Now().Before(f.until) {
					f.address = false
				}
				if !f.excepted && w < width {
					// Of what lies at an address, only the copy that was learned tells; and
					// of that, its hash, or that it is the very file.
					reach := pictures[f.picture].reach
					reached := f.image && reach <= w && (f.hash || reach == takedown.ScopeBytes)
					f.address, f.image, f.hash = f.address && reached, reached, f.hash && reached && w >= takedown.ScopeIdentical
				}
				if f.excepted || f.address || f.image {
					kept = append(kept, f)
				}
			}
			facts, width = kept, w
		}
		t.Repeat(map[string]func(*rapid.T){
			"learn": func(t *rapid.T) {
				p := rapid.IntRange(0, len(pictures)-1).Draw(t, "picture")
				got, err := d.Resolve(ctx, desk.Match{Candidate: pictures[p].Candidate, Decision: takedown.Decision{Rule: rule}, File: pictures[p].file}, desk.SameImage)
				check(err)
				if got.NotDerived != "" || (got.Hashes > 0) != (width >= takedown.ScopeIdentical) || len(got.Events) != 2 {
					t.Fatalf("%+v", got)
				}
				facts = append(facts, fact{event: got.Events[0], picture: p, image: true, address: true, hash: width >= takedown.ScopeIdentical, until: now.Now().Add(48 * time.Hour)})
			},
			"except": func(t *rapid.T) {
				p := rapid.IntRange(0, len(pictures)-1).Draw(t, "picture")
				got, err := d.Resolve(ctx, desk.Match{Candidate: pictures[p].Candidate, Decision: takedown.Decision{Rule: rule}}, desk.NotTheSame)
				check(err)
				facts = append(facts, fact{event: got.Events[0], picture: p, excepted: true})
			},
			"take back": func(t *rapid.T) {
				if len(facts) == 0 {
					t.Skip("nothing was said")
				}
				i := rapid.IntRange(0, len(facts)-1).Draw(t, "fact")
				f := &facts[i]
				if f.event == 0 {
					t.Skip("it has another number since a change")
				}
				check(d.Revert(ctx, f.event, alice))
				if f.excepted || !f.address {
					facts = append(facts[:i], facts[i+1:]...)
				} else {
					f.image, f.hash, f.event = false, false, 0
				}
			},
			"change": func(t *rapid.T) {
				w := takedown.Scope(rapid.IntRange(int(takedown.ScopeBytes), int(takedown.ScopeDuplicate)).Draw(t, "scope"))
				store.fail(rapid.IntRange(0, 3).Draw(t, "fails at"), rapid.Bool().Draw(t, "after"))
				err := d.Amend(ctx, c.ID, desk.Grant{Actor: alice, Scope: w})
				if err != nil && !errors.Is(err, errInjected) {
					t.Fatal(err)
				}
				store.fail(0, false)
				if err != nil {
					check(d.Close())
					d = reopen()
				}
				now, err := d.Case(ctx, c.ID)
				check(err)
				if now.State != desk.StateInForce || len(now.Rules) != 1 {
					t.Fatalf("%s, rules %v", now.State, now.Rules)
				}
				if now.Rules[0] != rule {
					narrow(w)
					rule = now.Rules[0]
					for i := range facts {
						facts[i].event = 0
					}
				}
			},
			"time": func(t *rapid.T) {
				now.set(now.Now().Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour))
			},
			"restart": func(t *rapid.T) {
				check(d.Close())
				d = reopen()
			},
			"": func(t *rapid.T) {
				e := d.Enforcer()
				for i, p := range pictures {
					excepted, address := false, false
					hash := width >= takedown.ScopeIdentical && p.reach <= takedown.ScopeIdentical
					for _, f := range facts {
						if f.picture != i {
							// The first two are one picture, by their hashes.
							near := i < 2 && f.picture < 2
							excepted = excepted || near && f.excepted
							hash = hash || near && f.hash
							continue
						}
						excepted = excepted || f.excepted
						hash = hash || f.hash
						address = address || f.address && now.Now().Before(f.until)
					}
					if width < takedown.ScopeIdentical {
						hash = false
					}
					want := map[bool]takedown.Verdict{true: takedown.Block, false: takedown.Allow}
					if got := e.FilterURL(p.ImageURLs[0]); got.Verdict != want[address] {
						t.Fatalf("picture %d, its address: %v, want %v; scope %v, facts %+v", i, got, want[address], width, facts)
					}
					if got := e.Check(takedown.Candidate{Hashes: p.Hashes}); got.Verdict != want[hash && !excepted] {
						t.Fatalf("picture %d, its hash: %v, want %v; scope %v, facts %+v", i, got, want[hash && !excepted], width, facts)
					}
				}
			},
		})
	})
}

// The frame of an animation at which the person looked is the one that is
// tested and learned.
func TestResolve_Frame(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	accept(t, d, optOut(t, 1), desk.Grant{})
	var g gif.GIF
	for _, seed := range []uint32{5, 6} {
		m, err := jpeg.Decode(bytes.NewReader(testJPEG(t, seed)))
		ok(t, err)
		p := image.NewPaletted(m.Bounds(), greys)
		draw.Draw(p, p.Rect, m, image.Point{}, draw.Src)
		g.Image, g.Delay = append(g.Image, p), append(g.Delay, 10)
	}
	var b bytes.Buffer
	ok(t, gif.EncodeAll(&b, &g))
	c, err := takedown.Inspect(bytes.NewReader(b.Bytes()), takedown.Source{}, nil)
	ok(t, err)
	if len(c.Frames) != 1 {
		t.Fatalf("%d further frames", len(c.Frames))
	}
	hit := d.Enforcer().Filter("", pdq(t, 1))
	hit.Frame = 1
	got, err := d.Resolve(ctx, desk.Match{Candidate: c, Decision: hit, File: b.Bytes()}, desk.SameImage)
	ok(t, err)
	if got.NotDerived != "" || got.Hashes != len(c.Frames[0].Hashes) || got.Files != 1 {
		t.Errorf("%+v", got)
	}
	wantVerdict(t, "the second frame", d.Enforcer().Filter("", c.Frames[0].Hashes[0]), takedown.Block)
	wantVerdict(t, "the first frame", d.Enforcer().Filter("", c.Hashes[0]), takedown.Allow)
	// The file of another animation.
	c.Frames[0].Hashes = hashes(t, testJPEG(t, 8))
	c.SHA256 = [32]byte{}
	if got, err = d.Resolve(ctx, desk.Match{Candidate: c, Decision: hit, File: b.Bytes()}, desk.SameImage); err == nil {
		t.Errorf("a frame that the file does not have: %+v", got)
	}
}
