package desk_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// After a change of the operator key everything is as before, with the new key, and
// nothing opens with the old one: cases, faces, kept pictures, searches.
func TestChangeOperatorKey(t *testing.T) {
	t.Parallel()
	for name, with := range map[string][]byte{"in the folder": nil, "given": bytes.Repeat([]byte{1}, 32), "in a database": bytes.Repeat([]byte{1}, 32)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, fresh := t.TempDir(), bytes.Repeat([]byte{2}, 32)
			opts := desk.Options{FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true, ListKey: &blocklist.EncryptionKey{1}, KeepPictures: true, OperatorKey: with}
			if name == "in a database" {
				s, j := storetest.MemoryWithJournal()
				opts.Store, opts.Journal = s, jointOf{j, s}
			}
			d := open(t, dir, &opts)
			picture := accept(t, d, optOut(t, 1), desk.Grant{})
			accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
			erased := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
			ok(t, d.Erase(ctx, erased, alice))
			ok(t, d.Close())
			old, err := os.ReadFile(filepath.Join(dir, "operator.key"))
			if with != nil {
				old, err = with, nil
			}
			ok(t, err)
			ok(t, desk.ChangeOperatorKey(ctx, dir, &opts, fresh))

			was := opts
			was.OperatorKey = old
			var m *desk.MismatchError
			if _, err := desk.Open(dir, &was); !errors.As(err, &m) || m.Part != desk.PartOperatorKey {
				t.Errorf("with the old key: %v", err)
			}
			if with != nil {
				opts.OperatorKey = fresh
			}
			for range 2 {
				d = open(t, dir, &opts)
				ok(t, d.Verify(ctx))
				if p := d.Health(ctx); len(p) > 0 {
					t.Errorf("%+v", p)
				}
				wantVerdict(t, "picture", d.Enforcer().Filter("", hashes(t, testJPEG(t, 1))...), takedown.Block)
				wantVerdict(t, "face", d.Enforcer().Check(withFaces(portrait(t, 1, 2))), takedown.Block)
				if c, err := d.Case(ctx, picture); err != nil || len(c.Request.(request.ImageOptOut).Images) != 1 {
					t.Errorf("the request: %v", err)
				}
				if f, err := d.Picture(ctx, picture, 0); err != nil || !bytes.Equal(content(t, f), testJPEG(t, 1)) {
					t.Errorf("the kept picture: %v", err)
				}
				if c, err := d.Case(ctx, erased); err != nil || c.Request != nil {
					t.Errorf("the erased case: %v, %v", c.Request, err)
				}
				ok(t, d.Close())
			}
			for _, name := range []string{"keys.new", "keys.old", "operator.key.new", "operator.key.old", "operator.key.changed"} {
				if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is left: %v", name, err)
				}
			}
			d = open(t, dir, &opts)
			ok(t, d.Withdraw(ctx, picture, alice))
			accept(t, d, faceOptOut(portrait(t, 2, 0)), desk.Grant{})
		})
	}
}

// The queue of matches goes on under the new key, and is empty when the key is lost.
func TestChangeOperatorKey_Matches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	accept(t, d, optOut(t, 40), desk.Grant{})
	match := func(file []byte, digest byte, address string) takedown.Match {
		c := takedown.Candidate{ImageURLs: []string{address}, Hashes: hashes(t, file)}
		m := takedown.Match{Candidate: c, Decision: d.Enforcer().Check(c)}
		if m.Decision.Why == 0 {
			t.Fatalf("%s matches nothing", address)
		}
		if digest != 0 {
			m.Candidate.Hashes, m.Candidate.SHA256 = nil, [32]byte{digest}
		}
		return m
	}
	own := testJPEG(t, 40)
	all := []takedown.Match{
		match(own, 0, "https://example.org/1.jpg"), match(covered(t, own), 0, "https://example.org/2.jpg"), match(own, 1, "https://example.org/3.jpg"),
	}
	added, err := d.AddMatches(ctx, all...)
	if err != nil || added.New != 3 {
		t.Fatalf("%+v, %v", added, err)
	}
	page, err := d.QueuedMatches(ctx, "", 10)
	ok(t, err)
	for _, q := range page.Matches {
		if u := q.Match.Candidate.ImageURLs[0]; u != "https://example.org/1.jpg" {
			_, err := d.ResolveMatch(ctx, q.Number, alice, desk.SameImage, nil)
			ok(t, err)
		}
	}
	answers, err := d.MatchAnswers(ctx, 0, 10)
	if err != nil || len(answers) != 2 {
		t.Fatalf("%+v, %v", answers, err)
	}
	ok(t, d.Close())
	ok(t, desk.ChangeOperatorKey(ctx, dir, nil, bytes.Repeat([]byte{2}, 32)))

	d = open(t, dir, nil)
	page, err = d.QueuedMatches(ctx, "", 10)
	if err != nil || page.Waiting != 1 || len(page.Matches) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	if now, err := d.MatchAnswers(ctx, 0, 10); err != nil || !slices.Equal(now, answers) {
		t.Errorf("%+v, %v, before: %+v", now, err, answers)
	}
	if added, err := d.AddMatches(ctx, all...); err != nil || added != (desk.AddedMatches{Again: 1, Known: 2}) {
		t.Errorf("the same again: %+v, %v", added, err)
	}
	ok(t, d.Close())

	ok(t, os.Remove(filepath.Join(dir, "operator.key")))
	_, err = desk.Recover(ctx, dir, nil, desk.LoseOperatorKey)
	ok(t, err)
	d = open(t, dir, nil)
	if page, err := d.QueuedMatches(ctx, "", 10); err != nil || page.Waiting != 0 || len(page.Matches) != 0 {
		t.Errorf("with a lost key: %+v, %v", page, err)
	}
	if list, err := d.MatchAnswers(ctx, 0, 10); err != nil || len(list) != 0 {
		t.Errorf("with a lost key: %+v, %v", list, err)
	}
	if added, err := d.AddMatches(ctx, all[:1]...); err != nil || added.New != 1 {
		t.Errorf("with a new key: %+v, %v", added, err)
	}
}

// Wherever a change is cut short, the folder opens with one of the two keys, and is whole.
func TestChangeOperatorKey_Cut(t *testing.T) {
	t.Parallel()
	keys := [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}
	for n := range 12 {
		store := &faulty{Store: storetest.Memory()}
		dir := t.TempDir()
		opts := desk.Options{FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true, ListKey: &blocklist.EncryptionKey{1}, OperatorKey: keys[0], Store: store}
		d := open(t, dir, &opts)
		id := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
		gone := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
		ok(t, d.Close())
		var how context.Context = ctx
		if n < 6 {
			how = &countdown{Context: ctx, left: n}
		} else {
			store.fail(1+(n-6)/2, n%2 == 0)
		}
		err := desk.ChangeOperatorKey(how, dir, &opts, keys[1])
		store.fail(0, false)
		var opened int
		for _, key := range keys {
			o := opts
			o.OperatorKey = key
			d, openErr := desk.Open(dir, &o)
			if errors.Is(openErr, desk.ErrMismatch) {
				continue
			}
			ok(t, openErr)
			opened++
			ok(t, d.Verify(ctx))
			wantVerdict(t, "face", d.Enforcer().Check(withFaces(portrait(t, 1, 2))), takedown.Block)
			if c, err := d.Case(ctx, id); err != nil || c.Request == nil {
				t.Errorf("%d: %v", n, err)
			}
			// What is erased now leaves no copy of its key.
			ok(t, d.Erase(ctx, gone, alice))
			ok(t, d.Close())
			for _, name := range []string{"keys", "keys.new", "keys.old"} {
				if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil && bytes.Contains(b, gone[:]) {
					t.Errorf("%d: %s has the key of an erased case", n, name)
				}
			}
		}
		if opened != 1 {
			t.Errorf("%d: %v, and %d keys open the folder", n, err, opened)
		}
	}
}
