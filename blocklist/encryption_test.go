package blocklist_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
)

func TestEncryption(t *testing.T) {
	t.Parallel()
	key, other := &blocklist.EncryptionKey{1, 2, 3}, &blocklist.EncryptionKey{1, 2, 4}
	dir := t.TempDir()
	c := newClock()
	u := newUniverse(5, 6)
	opts := &blocklist.Options{Now: c.now, CompactAfter: -1, EncryptionKey: key}
	sealed := filepath.Join(dir, "sealed")
	l := open(t, sealed, opts)
	h := &history{t: t, u: u, m: newModel(c), l: l, rng: rand.New(rand.NewPCG(4, 5))}
	secret := addedRule(t, l, 0x5ec2e7, "https://example.com/")
	secret.Rule.Case = [16]byte([]byte("CASE-NUMBER-0001"))
	h.m.apply(secret)
	mustAppend(t, l, secret)
	h.next = 1 << 40
	h.append(20)
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.append(10)
	published := filepath.Join(dir, "published")
	if err := l.Publish(published); err != nil {
		t.Fatal(err)
	}
	compare(t, u, h.m, l.State())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, sealed, opts)
	compare(t, u, h.m, l.State())
	n := 0
	if err := l.Events(1, func(blocklist.Event) bool { n++; return true }); err != nil || n != 31 {
		t.Errorf("%d events, %v", n, err)
	}
	l.Close()

	files, _ := filepath.Glob(filepath.Join(sealed, "*"))
	for _, f := range append(files, published) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("CASE-NUMBER")) {
			t.Errorf("%s holds the reference of a case in the clear", f)
		}
	}

	clear := filepath.Join(dir, "clear")
	open(t, clear, nil).Close()
	for _, tt := range []struct {
		name, dir string
		key       *blocklist.EncryptionKey
	}{{"another key", sealed, other}, {"no key", sealed, nil}, {"a key too many", clear, key}} {
		if _, err := boltjournal.Open(tt.dir, &blocklist.Options{EncryptionKey: tt.key}); !errors.Is(err, blocklist.ErrKey) {
			t.Errorf("Open with %s: %v, want ErrKey", tt.name, err)
		}
	}
	loadWith := func(path string, key *blocklist.EncryptionKey) (*blocklist.List, error) {
		return blocklist.Load(path, &blocklist.LoadOptions{Now: c.now, EncryptionKey: key, Map: true})
	}
	r, err := loadWith(published, key)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, u, h.m, r.State())
	for name, k := range map[string]*blocklist.EncryptionKey{"another key": other, "no key": nil} {
		if _, err := loadWith(published, k); !errors.Is(err, blocklist.ErrKey) {
			t.Errorf("Load with %s: %v, want ErrKey", name, err)
		}
	}
	plain, _, _ := smallSnapshot(t, u)
	if _, err := loadWith(writeFile(t, dir, plain), key); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("Load of a file that is not encrypted, with a key: %v, want ErrKey", err)
	}

	// Every byte counts.
	data, err := os.ReadFile(published)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		broken := slices.Clone(data)
		broken[i] ^= 0x20
		if _, err := blocklist.LoadBytesWith(broken, blocklist.LoadOptions{EncryptionKey: key}); !known(err) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for n := range data {
		if _, err := blocklist.LoadBytesWith(data[:n], blocklist.LoadOptions{EncryptionKey: key}); !known(err) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}
