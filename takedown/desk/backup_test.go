package desk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/desk/storetest"
	"github.com/staydown/staydown/takedown/request"
)

// restore puts a backup in place, with the operator key of the desk.
func restore(tb testing.TB, backup, operator string) (dir string) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "restored")
	ok(tb, os.CopyFS(dir, os.DirFS(backup)))
	b, err := os.ReadFile(filepath.Join(operator, "operator.key"))
	ok(tb, err)
	ok(tb, os.WriteFile(filepath.Join(dir, "operator.key"), b, 0o600))
	return dir
}

// A backup of a desk at work opens, and has every promise that was made when it began:
// requests with their pictures, faces, evidence, what waits to be sent.
func TestBackup(t *testing.T) {
	t.Parallel()
	later := desk.NotifierFunc(func(context.Context, desk.Message) error { return errors.New("later") })
	for name, store := range map[string]func() desk.Store{"file": func() desk.Store { return nil }, "another store": storetest.Memory} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			opts := desk.Options{
				FaceModels: faceModels, TrustFaceVectors: true, OneReviewer: true, ListKey: &blocklist.EncryptionKey{1}, KeepPictures: true, Notifier: later, Store: store(),
			}
			d := open(t, dir, &opts)
			picture := accept(t, d, optOut(t, 1), desk.Grant{})
			face := accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
			erased := accept(t, d, notice("https://example.org/erased.jpg"), desk.Grant{})
			ok(t, d.Erase(ctx, erased, alice))

			// Meanwhile others work.
			work, stop := context.WithCancel(ctx)
			var acked []string
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; work.Err() == nil; i++ {
					u := fmt.Sprintf("https://example.org/busy-%d.jpg", i)
					accept(t, d, notice(u), desk.Grant{})
					acked = append(acked, u)
				}
			})
			time.Sleep(30 * time.Millisecond)
			var backups []string
			for i := range 3 {
				to := filepath.Join(t.TempDir(), "backup", fmt.Sprint(i))
				info, err := d.Backup(ctx, to)
				if err != nil {
					t.Fatal(err)
				}
				if info.Cases < 3 || info.Seq < 3 || info.Log == 0 || info.OperatorKey == "" {
					t.Errorf("%+v", info)
				}
				backups = append(backups, to)
			}
			before := len(backups)
			stop()
			wg.Wait()
			if _, err := d.Backup(ctx, backups[0]); !errors.Is(err, desk.ErrBackup) {
				t.Errorf("into a folder with a backup: %v, want ErrBackup", err)
			}
			s, err := d.Status(ctx)
			ok(t, err)
			if _, err := os.Stat(filepath.Join(backups[before-1], "operator.key")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the operator key is in the backup: %v", err)
			}

			restored := restore(t, backups[before-1], dir)
			opts.Store = nil
			r := open(t, restored, &opts)
			ok(t, r.Verify(ctx))
			wantVerdict(t, "picture", r.Enforcer().Filter("", hashes(t, testJPEG(t, 1))...), takedown.Block)
			wantVerdict(t, "face", r.Enforcer().Check(withFaces(portrait(t, 1, 3))), takedown.Block)
			wantVerdict(t, "erased case", r.Enforcer().FilterURL("https://example.org/erased.jpg"), takedown.Block)
			if c, err := r.Case(ctx, erased); err != nil || c.Request != nil {
				t.Errorf("the erased case: %v, %v", c.Request, err)
			}
			c, err := r.Case(ctx, picture)
			ok(t, err)
			if img := c.Request.(request.ImageOptOut).Images; len(img) != 1 || !bytes.Equal(content(t, img[0]), testJPEG(t, 1)) {
				t.Error("the picture of the request is another one")
			}
			for _, u := range acked[:1] {
				wantVerdict(t, "accepted before the backup", r.Enforcer().FilterURL(u), takedown.Block)
			}
			rs, err := r.Status(ctx)
			ok(t, err)
			if rs.Desk != s.Desk || rs.OperatorKey != s.OperatorKey || rs.Messages == 0 {
				t.Errorf("status %+v, want that of desk %s", rs, s.Desk)
			}
			ok(t, r.Withdraw(ctx, face, alice))
			wantVerdict(t, "withdrawn", r.Enforcer().Check(withFaces(portrait(t, 1, 3))), takedown.Allow)
		})
	}
}

// What is erased while a backup runs is erased in the backup: keys are copied last.
func TestBackup_ErasedMeanwhile(t *testing.T) {
	t.Parallel()
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "b")
	s := &during{Store: storetest.Memory()}
	d := open(t, dir, &desk.Options{Store: s})
	id := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	s.do = func() { ok(t, d.Erase(ctx, id, alice)) }
	if _, err := d.Backup(ctx, to); err == nil || !errors.Is(err, desk.ErrErased) {
		// The case of that moment names a key that is gone.
		t.Fatalf("%v, want ErrErased", err)
	}
	// It is continued, and is of a later moment then.
	_, err := d.Backup(ctx, to)
	ok(t, err)
	r := open(t, restore(t, to, dir), nil)
	if c, err := r.Case(ctx, id); err != nil || c.Request != nil {
		t.Errorf("erased while the backup ran: %v, %v", c.Request, err)
	}
}

// during is a store that does something else once, after the next read of all of it.
type during struct {
	desk.Store
	do func()
}

func (s *during) View(f func(desk.StoreTx) error) error {
	scans := map[desk.Bucket]bool{}
	err := s.Store.View(func(tx desk.StoreTx) error { return f(scanning{tx, scans}) })
	if do := s.do; do != nil && err == nil && len(scans) == len(desk.Buckets) {
		s.do = nil
		do()
	}
	return err
}

// scanning notes which buckets are read as a whole.
type scanning struct {
	desk.StoreTx
	scans map[desk.Bucket]bool
}

func (s scanning) Scan(b desk.Bucket, prefix, from []byte, f func(k, v []byte) error) error {
	if prefix == nil {
		s.scans[b] = true
	}
	return s.StoreTx.Scan(b, prefix, from, f)
}

// An interrupted backup is continued, and then is as good as any.
func TestBackup_Continued(t *testing.T) {
	t.Parallel()
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "b")
	d := open(t, dir, nil)
	var urls []string
	for i := range 20 {
		urls = append(urls, fmt.Sprintf("https://example.org/%d.jpg", i))
		accept(t, d, notice(urls[i]), desk.Grant{})
	}
	for n := 1; ; n++ {
		cut := &countdown{Context: ctx, left: n}
		_, err := d.Backup(cut, to)
		if err == nil {
			if n < 4 {
				t.Errorf("done after %d looks at the context", n)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		// The desk goes on meanwhile.
		if n%3 == 0 && n < 30 {
			urls = append(urls, fmt.Sprintf("https://example.org/later-%d.jpg", n))
			accept(t, d, notice(urls[len(urls)-1]), desk.Grant{})
		}
		n += n / 4
	}
	if _, err := os.Stat(filepath.Join(to, "unfinished")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	r := open(t, restore(t, to, dir), nil)
	ok(t, r.Verify(ctx))
	for _, u := range urls {
		wantVerdict(t, "restored", r.Enforcer().FilterURL(u), takedown.Block)
	}
	other := open(t, t.TempDir(), nil)
	ok(t, os.WriteFile(filepath.Join(to, "unfinished"), []byte("else"), 0o600))
	if _, err := other.Backup(ctx, to); !errors.Is(err, desk.ErrBackup) {
		t.Errorf("over the unfinished backup of another desk: %v", err)
	}
}

// countdown is a context that ends after some looks at it.
type countdown struct {
	context.Context
	mu   sync.Mutex
	left int
}

func (c *countdown) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Verify finds what does not fit, and says where.
func TestVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	id := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	ok(t, d.Verify(ctx))
	ok(t, d.Close())
	if err := d.Verify(ctx); !errors.Is(err, takedown.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	// A key of the case is damaged.
	path := filepath.Join(dir, "keys")
	b, err := os.ReadFile(path)
	ok(t, err)
	b[desk.KeysStart+30] ^= 1
	ok(t, os.WriteFile(path, b, 0o600))
	d = open(t, dir, nil)
	var found *desk.VerifyError
	if err := d.Verify(ctx); !errors.As(err, &found) || found.Case != id {
		t.Errorf("a damaged key: %v", err)
	}
	if p := d.Health(ctx); !slices.ContainsFunc(p, func(p desk.HealthProblem) bool { return p.Code == desk.HealthKeys }) {
		t.Errorf("health: %+v", p)
	}
	// It can be ended nevertheless, and then all is in order but the key.
	ok(t, d.Withdraw(ctx, id, alice))
	wantVerdict(t, "withdrawn without its key", d.Enforcer().FilterURL("https://example.org/a.jpg"), takedown.Allow)
	ok(t, d.Erase(ctx, id, alice))
}

// Verify finds an entry of the index that is missing, that differs, or that no case has.
func TestVerify_Index(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(tx desk.StoreTx, k, v []byte) error{
		"missing": func(tx desk.StoreTx, k, _ []byte) error { return tx.Delete(desk.BucketIndex, k) },
		"differs": func(tx desk.StoreTx, k, v []byte) error { return tx.Put(desk.BucketIndex, k, append(v, 1)) },
	} {
		for _, prefix := range []byte("nqakw") {
			if name == "differs" && (prefix == 'a' || prefix == 'w') {
				continue // it has no value
			}
			d := open(t, t.TempDir(), nil)
			id := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
			ok(t, d.Verify(ctx))
			var key, value []byte
			ok(t, d.Update(func(tx desk.StoreTx) error {
				err := tx.Scan(desk.BucketIndex, []byte{prefix}, nil, func(k, v []byte) error {
					key, value = bytes.Clone(k), bytes.Clone(v)
					return nil
				})
				return errors.Join(err, change(tx, key, value))
			}))
			var found *desk.VerifyError
			if err := d.Verify(ctx); !errors.Is(err, desk.ErrStore) || !errors.As(err, &found) || found.Case != id {
				t.Errorf("%s %q: %v", name, prefix, err)
			}
			ok(t, d.Close())
		}
	}
	d := open(t, t.TempDir(), nil)
	accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	ok(t, d.Update(func(tx desk.StoreTx) error {
		return tx.Put(desk.BucketIndex, append([]byte("a"), make([]byte, 32)...), []byte{})
	}))
	if err := d.Verify(ctx); !errors.Is(err, desk.ErrStore) {
		t.Errorf("of no case: %v", err)
	}
}

// Health says what is wrong, and that it is over.
func TestHealth(t *testing.T) {
	t.Parallel()
	now, store := &clock{t: day0}, &faulty{Store: storetest.Memory()}
	dir := t.TempDir()
	d := open(t, dir, &desk.Options{Now: now.Now, Store: store})
	codes := func() (list []desk.HealthCode) {
		for _, p := range d.Health(ctx) {
			if p.Text == "" || p.Err == nil {
				t.Errorf("%+v", p)
			}
			list = append(list, p.Code)
		}
		return list
	}
	want := func(what string, codesWanted ...desk.HealthCode) {
		t.Helper()
		if got := codes(); !slices.Equal(got, codesWanted) {
			t.Errorf("%s: %v, want %v", what, got, codesWanted)
		}
	}
	want("a new desk")
	accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	published := filepath.Join(dir, "p.snap")
	ok(t, d.Publish(ctx, published))
	want("published")
	store.fail(1, false)
	if _, err := d.Submit(ctx, notice("https://example.org/b.jpg")); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	want("a failed write", desk.HealthStore)
	accept(t, d, notice("https://example.org/b.jpg"), desk.Grant{})
	want("written again")
	now.set(day0.Add(25 * time.Hour))
	want("a published file of yesterday", desk.HealthStale)
	if err := d.Publish(ctx, filepath.Join(dir, "no", "such", "folder")); err == nil {
		t.Fatal("published nowhere")
	}
	want("not published", desk.HealthPublication, desk.HealthStale)
	ok(t, d.Publish(ctx, published))
	want("published again")
	now.set(day0.AddDate(70, 0, 0))
	if !slices.Contains(codes(), desk.HealthClockAhead) {
		t.Error("a clock 70 years ahead is not noticed")
	}
	now.set(day0.AddDate(-2, 0, 0))
	want("two years behind", desk.HealthClockBehind)
	now.set(day0.Add(26 * time.Hour))
	want("right again")
	ok(t, d.Close())
	want("closed", desk.HealthClosed)
}
