package blocklist_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
)

func TestRekey(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "l")
	key := &blocklist.EncryptionKey{7}
	u := newUniverse(5, 6)
	c := newClock()
	opts := &blocklist.Options{Now: c.now, CompactAfter: -1}
	sealed := *opts
	sealed.EncryptionKey = key

	l := open(t, dir, opts)
	h := &history{t: t, u: u, m: newModel(c), l: l, rng: rand.New(rand.NewPCG(4, 6))}
	// What the desk keeps: the addresses of every event.
	given := map[uint64][]string{}
	for range 30 {
		h.append(50)
	}
	urlOf := map[blocklist.Digest]string{}
	for _, a := range u.addresses {
		d, _ := l.Digest(blocklist.ImageAddress, a)
		urlOf[d] = a
	}
	type summary struct {
		Seq   uint64
		ID    [16]byte
		Type  blocklist.EventType
		Rest  string
		Count int
	}
	read := func(l *blocklist.List) (out []summary, addresses []blocklist.Address) {
		if err := l.Events(1, func(e blocklist.Event) bool {
			k := e.Keys
			if e.Rule != nil {
				k = e.Rule.Keys
			}
			for _, a := range k.Addresses {
				if u := urlOf[a.Digest]; u != "" {
					given[e.Seq] = append(given[e.Seq], u)
				}
			}
			addresses = append(addresses, k.Addresses...)
			out = append(out, summary{e.Seq, e.ID, e.Type, fmt.Sprint(e.Time, e.Target, e.Until, k.Bytes, k.Hashes), len(k.Addresses)})
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return out, addresses
	}
	before, oldAddresses := read(l)
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	published := filepath.Join(root, "p")
	if err := l.Publish(published); err != nil {
		t.Fatal(err)
	}
	node, err := blocklist.Load(published, &blocklist.LoadOptions{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	readdress := func(e blocklist.Event, digest func(blocklist.AddressKind, string) (blocklist.Digest, error)) (out []blocklist.Address, err error) {
		for _, a := range given[e.Seq] {
			d, err := digest(blocklist.ImageAddress, a)
			if err != nil {
				return nil, err
			}
			out = append(out, blocklist.Address{Kind: blocklist.ImageAddress, Digest: d})
		}
		return out, nil
	}
	rekey := func(o, n *blocklist.Options, f func(blocklist.Event, func(blocklist.AddressKind, string) (blocklist.Digest, error)) ([]blocklist.Address, error)) error {
		return blocklist.Rekey(context.Background(), dir, o, n, f)
	}
	if err := rekey(opts, opts, readdress); !errors.Is(err, blocklist.ErrLocked) {
		t.Errorf("Rekey of an open list: %v, want ErrLocked", err)
	}
	l.Close()
	boom := errors.New("boom")
	if err := rekey(opts, opts, func(e blocklist.Event, _ func(blocklist.AddressKind, string) (blocklist.Digest, error)) ([]blocklist.Address, error) {
		if e.Seq > 1200 {
			return nil, boom
		}
		return []blocklist.Address{{Kind: 1}}, nil
	}); !errors.Is(err, boom) {
		t.Errorf("Rekey that fails: %v", err)
	}
	l = open(t, dir, opts)
	compare(t, u, h.m, l.View())
	if s := l.Status(); len(s.Fallbacks) > 0 || s.SnapshotSeq == 0 {
		t.Errorf("after a Rekey that failed: %+v", s)
	}
	l.Close()

	check := func(when string, opts *blocklist.Options, sameKeys bool) {
		t.Helper()
		l := open(t, dir, opts)
		defer l.Close()
		after, newAddresses := read(l)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%s: events (-want +got):\n%s", when, diff)
		}
		if sameKeys != slices.Equal(oldAddresses, newAddresses) {
			t.Errorf("%s: digests are the same: %t", when, !sameKeys)
		}
		oldAddresses = newAddresses
		for i, a := range u.addresses {
			var want, got []uint64
			for j := range h.m.grants {
				g := &h.m.grants[j]
				if slices.Contains(given[g.event], a) && h.m.inForce(g) {
					want = append(want, g.rule)
				}
			}
			got = blocked(t, l.View(), a)
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: address %d (-want +got):\n%s", when, i, diff)
			}
		}
		if s := l.Status(); len(s.Fallbacks) > 0 {
			t.Errorf("%s: %+v", when, s)
		}
		if opts.EncryptionKey == nil {
			if err := l.Publish(published); err != nil {
				t.Fatal(err)
			}
			if changed, err := node.Reload(); err != nil || changed == sameKeys {
				t.Errorf("%s: Reload of a node: %t, %v", when, changed, err)
			}
			if len(blocked(t, node.View(), u.addresses[0])) != len(blocked(t, l.View(), u.addresses[0])) {
				t.Errorf("%s: the node differs", when)
			}
		}
	}
	// A crash of an earlier one left this.
	if err := os.WriteFile(filepath.Join(dir, "journal.new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rekey(opts, opts, readdress); err != nil {
		t.Fatal(err)
	}
	check("new secret", opts, false)
	if err := rekey(opts, &sealed, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := blocklist.Open(dir, opts); !errors.Is(err, blocklist.ErrKey) {
		t.Errorf("Open without the key: %v", err)
	}
	check("encrypted", &sealed, true)
	if err := rekey(&sealed, opts, nil); err != nil {
		t.Fatal(err)
	}
	check("in the clear again", opts, true)
}
