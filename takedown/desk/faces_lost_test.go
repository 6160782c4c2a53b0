package desk_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// listKeys returns the file with the keys of the faces in a desk's list.
func listKeys(tb testing.TB, dir string) string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "list", "face-keys*"))
	if err != nil || len(names) != 1 {
		tb.Fatal(names, err)
	}
	return names[0]
}

// damageKey changes a bit of the slot of a key.
func damageKey(tb testing.TB, path string, slot int) {
	tb.Helper()
	b, err := os.ReadFile(path)
	ok(tb, err)
	b[8+80*slot+30] ^= 1
	ok(tb, os.WriteFile(path, b, 0o600))
}

// A list that has lost keys of faces gets their rules anew from the desk: the
// same faces are blocked as before, on the same terms, and nobody is told twice.
func TestOpen_RestoresFaces(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		lose    func(t *testing.T, keys string, before []byte)
		renewed []bool // which of the three cases have new rules
	}{
		{"no key lost", func(*testing.T, string, []byte) {}, []bool{false, false, false}},
		{"the file is missing", func(t *testing.T, keys string, _ []byte) { ok(t, os.Remove(keys)) }, []bool{true, true, true}},
		{"a bit has changed", func(t *testing.T, keys string, _ []byte) { damageKey(t, keys, 1) }, []bool{false, true, false}},
		{"it is older than the journal", func(t *testing.T, keys string, before []byte) { ok(t, os.WriteFile(keys, before, 0o600)) }, []bool{false, false, true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var letters atomic.Int64
			opts := func(o *desk.Options) {
				o.Notifier = desk.NotifierFunc(func(context.Context, desk.Message) error { letters.Add(1); return nil })
			}
			d := faceDesk(t, dir, opts)
			ids := []takedown.CaseID{
				accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{}),
				accept(t, d, faceOptOut(portrait(t, 2, 0), portrait(t, 2, 1)), desk.Grant{Territories: []string{"DE"}, Face: desk.FaceThreshold{Block: 0.85}}),
			}
			// Somebody saw another picture of the first, which is learned.
			copied := testCandidate(t, 5)
			before, err := os.ReadFile(listKeys(t, dir))
			ok(t, err)
			ids = append(ids, accept(t, d, faceOptOut(portrait(t, 3, 0)), desk.Grant{Effect: blocklist.EffectReview}))
			c0, err := d.Case(ctx, ids[0])
			ok(t, err)
			_, err = d.Resolve(ctx, desk.Match{Candidate: copied, Decision: takedown.Decision{Rule: c0.Rules[0]}, File: testJPEG(t, 5)}, desk.SameImage)
			ok(t, err)
			look := func(e *takedown.Enforcer) (got []takedown.Decision) {
				for _, c := range []takedown.Candidate{withFaces(portrait(t, 1, 7)), withFaces(portrait(t, 2, 7)), withFaces(between(t, 2, 0.83)), withFaces(portrait(t, 3, 7)), withFaces(portrait(t, 4, 0)), copied} {
					x := e.In("DE").Check(c)
					x.Rule = 0
					got = append(got, x)
				}
				return got
			}
			want := look(d.Enforcer())
			for i, v := range []takedown.Verdict{takedown.Block, takedown.Block, takedown.Review, takedown.Review, takedown.Allow, takedown.Block} {
				if want[i].Verdict != v {
					t.Fatalf("candidate %d: %v, want %v", i, want[i], v)
				}
			}
			cases := func() (list []desk.Case) {
				for _, id := range ids {
					c, err := d.Case(ctx, id)
					ok(t, err)
					list = append(list, c)
				}
				return list
			}
			was := cases()
			ok(t, d.Notify(ctx))
			sent := letters.Load()
			if sent == 0 {
				t.Fatal("nobody was told anything")
			}
			ok(t, d.Close())

			tc.lose(t, listKeys(t, dir), before)
			for _, again := range []bool{false, true} {
				d = faceDesk(t, dir, opts)
				if diff := cmp.Diff(want, look(d.Enforcer())); diff != "" {
					t.Fatalf("opened (again: %v) (-want +got):\n%s", again, diff)
				}
				path := filepath.Join(t.TempDir(), "p")
				ok(t, d.Publish(ctx, path))
				node, err := takedown.Load(path, &takedown.EnforcerOptions{EncryptionKey: &blocklist.EncryptionKey{1}})
				ok(t, err)
				rounded := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 0.0051 })
				if diff := cmp.Diff(want, look(node), rounded); diff != "" {
					t.Fatalf("at a node (-want +got):\n%s", diff)
				}
				for i, c := range cases() {
					if !slices.Equal(c.Rules, was[i].Rules) != tc.renewed[i] || len(c.Rules) != 1 || c.Items[0].Rule != c.Rules[0] || d.Record(c.ID).Silent {
						t.Errorf("case %d has rules %v, had %v; %+v", i, c.Rules, was[i].Rules, c.Items)
					}
					if c.State != desk.StateInForce || c.Face != was[i].Face || c.Granted != was[i].Granted {
						t.Errorf("case %d: %v, %v, %v", i, c.State, c.Face, c.Granted)
					}
					if last := c.Moves[max(0, len(c.Moves)-2)]; tc.renewed[i] != (last.Reason == "face_keys_lost") {
						t.Errorf("case %d: moves %+v", i, c.Moves)
					}
				}
				_, _, err = d.VerifyLog(ctx)
				ok(t, err)
				ok(t, d.Notify(ctx))
				if n := letters.Load(); n != sent {
					t.Errorf("%d letters, had %d", n, sent)
				}
				ok(t, d.Close())
			}
			// What is restored is withdrawn as before.
			d = faceDesk(t, dir, opts)
			for _, id := range ids {
				ok(t, d.Withdraw(ctx, id, desk.Actor{}))
			}
			wantVerdict(t, "withdrawn", d.Enforcer().Check(withFaces(portrait(t, 2, 0))), takedown.Allow)
		})
	}
}

// If the desk has lost the template too, it does not open, and says whose. With
// Salvage it does; it blocks the faces that are left, and does not say that it
// compared with all until the case is withdrawn.
func TestOpen_FacesLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := faceDesk(t, dir)
	kept := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	lost := accept(t, d, faceOptOut(portrait(t, 2, 0)), desk.Grant{})
	c, err := d.Case(ctx, lost)
	ok(t, err)
	ok(t, d.Close())
	keys := filepath.Join(dir, "keys")
	b, err := os.ReadFile(keys)
	ok(t, err)
	slot := bytes.Index(b, c.Items[0].Template)
	b[slot+30] ^= 1
	ok(t, os.WriteFile(keys, b, 0o600))
	ok(t, os.Remove(listKeys(t, dir)))
	opts := &desk.Options{FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true, ListKey: &blocklist.EncryptionKey{1}}
	for range 2 {
		var fe *desk.FacesLostError
		if _, err := desk.Open(dir, opts); !errors.Is(err, desk.ErrFacesLost) || !errors.As(err, &fe) || !slices.Equal(fe.Cases, []takedown.CaseID{lost}) {
			t.Fatalf("%v, want ErrFacesLost of %v", err, lost)
		}
	}
	salvage := *opts
	salvage.Salvage = true
	d = open(t, dir, &salvage)
	check := func(what string, e *takedown.Enforcer, compared bool) {
		t.Helper()
		for person, want := range map[uint64]takedown.Verdict{1: takedown.Block, 2: takedown.Allow, 3: takedown.Allow} {
			got := e.Check(withFaces(portrait(t, person, 1)))
			wantVerdict(t, what, got, want)
			if got.Checked.Has(takedown.TierFace) != compared {
				t.Errorf("%s, person %d: checked %v", what, person, got.Checked)
			}
		}
	}
	node := func() *takedown.Enforcer {
		path := filepath.Join(t.TempDir(), "p")
		ok(t, d.Publish(ctx, path))
		e, err := takedown.Load(path, &takedown.EnforcerOptions{EncryptionKey: opts.ListKey})
		ok(t, err)
		return e
	}
	check("salvaged", d.Enforcer(), false)
	check("salvaged, at a node", node(), false)
	ok(t, d.Compact(ctx))
	check("salvaged, compacted", d.Enforcer(), false)
	check("salvaged, compacted, at a node", node(), false)
	ok(t, d.Withdraw(ctx, lost, desk.Actor{}))
	check("withdrawn", d.Enforcer(), true)
	check("withdrawn, at a node", node(), true)
	ok(t, d.Close())
	d = open(t, dir, opts)
	check("opened again", d.Enforcer(), true)
	if c, err = d.Case(ctx, kept); err != nil || c.State != desk.StateInForce {
		t.Errorf("%v, %v", c.State, err)
	}
}

// With a wrong operator key the faces of the list do not open either. That is no
// loss: Open says so and changes nothing.
func TestOpen_OtherOperatorKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	with := func(b byte) *desk.Options {
		return &desk.Options{
			FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true, ListKey: &blocklist.EncryptionKey{1},
			OperatorKey: bytes.Repeat([]byte{b}, 32), Salvage: true,
		}
	}
	d := open(t, dir, with(1))
	id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	before, err := d.Case(ctx, id)
	ok(t, err)
	ok(t, d.Close())
	for range 2 {
		if _, err := desk.Open(dir, with(2)); err == nil || errors.Is(err, desk.ErrFacesLost) {
			t.Fatalf("with another operator key: %v", err)
		}
	}
	d = open(t, dir, with(1))
	got := d.Enforcer().Check(withFaces(portrait(t, 1, 1)))
	if wantVerdict(t, "with its own again", got, takedown.Block); !got.Checked.Has(takedown.TierFace) || got.Rule != before.Rules[0] {
		t.Errorf("%v, checked %v; the rule was %d", got, got.Checked, before.Rules[0])
	}
}
