package desk_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
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
	for name, with := range map[string][]byte{"in the folder": nil, "given": bytes.Repeat([]byte{1}, 32)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, fresh := t.TempDir(), bytes.Repeat([]byte{2}, 32)
			opts := desk.Options{FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true, ListKey: &blocklist.EncryptionKey{1}, KeepPictures: true, OperatorKey: with}
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
			for _, name := range []string{"keys.new", "keys.old", "operator.key.new"} {
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
