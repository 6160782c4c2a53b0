package desk_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// The list that a preview makes for itself leaves nothing in the desk's folder, whatever
// happens.
func TestPreview_LeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	files := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		ok(t, err)
		return found
	}
	before, looked, stopped := files(), false, errors.New("stopped")
	_, err = d.Preview(ctx, c.ID, func(context.Context, string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			looked = slices.Equal(before, files())
			wantNowhere(t, dir, "during a preview", traced(t, testJPEG(t, 1))...)
			yield(takedown.Item{}, stopped)
		}
	}, nil)
	if !looked || !errors.Is(err, stopped) {
		t.Errorf("files came into the folder, or %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		d.Preview(ctx, c.ID, func(context.Context, string) iter.Seq2[takedown.Item, error] { panic("of the index") }, nil)
	}()
	if _, err := d.Preview(ctx, c.ID, index{}.items, &desk.Grant{Scope: takedown.ScopeFace}); err == nil {
		t.Error("a face of a picture")
	}
	if after := files(); !slices.Equal(before, after) {
		t.Errorf("left behind: %v", after)
	}
}

// flipped returns a hash with the lowest bit of its first n digits changed.
func flipped(h phash.Hash, n int) phash.Hash {
	text := []byte(h.String())
	for i := range n {
		const digits = "0123456789abcdef"
		at := len("pdq:") + i
		text[at] = digits[strings.IndexByte(digits, text[at])^1]
	}
	return phash.MustParse(string(text))
}

// A preview says what the acceptance then does, and changes nothing.
func TestPreview(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	var sample index
	add := func(u string, h ...phash.Hash) {
		sample = append(sample, takedown.Item{Key: fmt.Sprint(len(sample)), Candidate: takedown.Candidate{ImageURLs: []string{u}, Hashes: h}})
	}
	picture := hashes(t, testJPEG(t, 1))
	for i := range 120 {
		add(fmt.Sprintf("https://copies.example/%d.jpg", i), picture...)
	}
	add("https://other.example/1.jpg", picture...)
	add("https://mirror.example/1.jpg", hashes(t, edited(t, testJPEG(t, 1), func(x, y, w, h int) (int, int) { return w - 1 - x, y }))...)
	add("https://innocent.example/2.jpg", hashes(t, testJPEG(t, 2))...)
	add("https://innocent.example/no-hash.jpg")

	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	check := func(what string, p desk.Preview, err error, block, already int) {
		t.Helper()
		ok(t, err)
		if p.Looked != len(sample) || p.Block != block || p.Already != already || p.Review != 0 {
			t.Errorf("%s: looked at %d, block %d, review %d, already %d", what, p.Looked, p.Block, p.Review, p.Already)
		}
	}
	p, err := d.Preview(ctx, c.ID, sample.items, nil)
	check("as asked", p, err, 122, 0)
	wantHosts := []desk.HostCount{{Host: "copies.example", Count: 120}, {Host: "mirror.example", Count: 1}, {Host: "other.example", Count: 1}}
	if diff := cmp.Diff(wantHosts, p.Hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if len(p.Found) != 100 || p.Found[0].Decision.Case != c.ID || p.Found[0].Decision.Distance != 0 || len(p.Pictures) != 1 || p.Pictures[0].Quality == 0 {
		t.Errorf("%d found, pictures %+v", len(p.Found), p.Pictures)
	}
	p, err = d.Preview(ctx, c.ID, sample.items, &desk.Grant{Scope: takedown.ScopeIdentical})
	check("identical", p, err, 121, 0) // not the mirrored one
	wantVerdict(t, "after the previews", d.Enforcer().Filter("", picture...), takedown.Allow)
	ok(t, d.Accept(ctx, c.ID, desk.Grant{}))
	blocked := 0
	for _, it := range sample {
		if d.Enforcer().Check(it.Candidate).Verdict == takedown.Block {
			blocked++
		}
	}
	if blocked != 122 {
		t.Errorf("accepted, %d are blocked", blocked)
	}
	r := optOut(t, 1)
	r.Requester.Email = "other@example.org"
	second, err := d.Submit(ctx, r)
	ok(t, err)
	p, err = d.Preview(ctx, second.ID, sample.items, nil)
	check("blocked already", p, err, 122, 122)
	if diff := cmp.Diff([]takedown.CaseID{c.ID}, p.Earlier); diff != "" || len(p.Found) != 0 {
		t.Errorf("%d found; earlier (-want +got):\n%s", len(p.Found), diff)
	}

	// A notice reaches its addresses.
	n, err := d.Submit(ctx, notice("https://innocent.example/no-hash.jpg", "https://nowhere.example/"))
	ok(t, err)
	p, err = d.Preview(ctx, n.ID, sample.items, nil)
	check("a notice", p, err, 1, 0)

	var ge *desk.GrantError
	if _, err := d.Preview(ctx, n.ID, sample.items, &desk.Grant{Scope: takedown.ScopeDuplicate}); !errors.As(err, &ge) {
		t.Errorf("a preview of what cannot be granted: %v", err)
	}
	w, err := d.Submit(ctx, request.Withdrawal{Requester: person, Case: c.ID})
	ok(t, err)
	if _, err := d.Preview(ctx, w.ID, sample.items, nil); !errors.As(err, &ge) {
		t.Errorf("a preview of a withdrawal: %v", err)
	}
	broken := errors.New("index is gone")
	_, err = d.Preview(ctx, c.ID, func(context.Context, string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) { yield(takedown.Item{}, broken) }
	}, nil)
	if !errors.Is(err, broken) {
		t.Errorf("a sample that fails: %v", err)
	}
}

// The closest misses come nearest first, and no more than ten.
func TestPreview_Near(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), &desk.Options{Enforcer: takedown.EnforcerOptions{BlockRadius: 10, ReviewRadius: 10}})
	own := pdq(t, 1)
	c, err := d.Submit(ctx, request.HashEntry{Requester: person, Hashes: []phash.Hash{own}, Claim: request.ClaimOwner})
	ok(t, err)
	var sample index
	var want []int
	for n := 26; n > 0; n-- {
		sample = append(sample, takedown.Item{Key: fmt.Sprint(100 - n), Candidate: takedown.Candidate{Hashes: []phash.Hash{flipped(own, n)}}})
	}
	for n := 11; n <= 26 && len(want) < 10; n++ {
		want = append(want, n)
	}
	p, err := d.Preview(ctx, c.ID, sample.items, nil)
	ok(t, err)
	var got []int
	for _, m := range p.Near {
		got = append(got, m.Distance)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("distances of the misses (-want +got):\n%s", diff)
	}
	if p.Review != 10 { // a hash entry holds for review
		t.Errorf("%d for review", p.Review)
	}
	// Weak matches are listed, also when the case is in force.
	sample = nil
	for i, h := range append(outerCopies(own, 12, 120), outerCopies(own, 8, 20)...) {
		sample = append(sample, takedown.Item{Key: fmt.Sprint(1000 + i), Candidate: takedown.Candidate{Hashes: []phash.Hash{h}}})
	}
	wide, err := desk.Open(t.TempDir(), nil)
	ok(t, err)
	defer wide.Close()
	c, err = wide.Submit(ctx, request.HashEntry{Requester: person, Hashes: []phash.Hash{own}, Claim: request.ClaimOwner})
	ok(t, err)
	ok(t, wide.Accept(ctx, c.ID, desk.Grant{}))
	p, err = wide.Preview(ctx, c.ID, sample.items, nil)
	ok(t, err)
	if p.Weak != 120 || len(p.WeakFound) != 100 || p.WeakFound[0].Decision.Distance != 12 || p.Already != 140 {
		t.Errorf("%d weak, %d listed, %d already", p.Weak, len(p.WeakFound), p.Already)
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir, nil)
	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	want := []desk.Evidence{
		{Candidate: takedown.Candidate{ImageURLs: []string{"https://secret-host.example/a.jpg"}, Hashes: hashes(t, testJPEG(t, 1)), SHA256: [32]byte{7}}, FirstSeen: day0},
		{Candidate: takedown.Candidate{PageURLs: []string{"https://secret-host.example/"}}},
	}
	ok(t, d.AddEvidence(ctx, c.ID, []desk.Evidence{want[0]}))
	ok(t, d.AddEvidence(ctx, c.ID, []desk.Evidence{want[1]}))
	same := cmp.Comparer(func(a, b takedown.Features) bool { return a.IsZero() == b.IsZero() })
	got, err := d.Evidence(ctx, c.ID)
	if diff := cmp.Diff(want, got, hashText, same); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	wantNowhere(t, dir, "evidence", []byte("secret-host"))
	if err := d.AddEvidence(ctx, c.ID, make([]desk.Evidence, 999)); err == nil {
		t.Error("1,001 pieces of evidence were taken")
	}
	ok(t, d.Reject(ctx, c.ID, refuse(alice)))
	ok(t, d.Erase(ctx, c.ID, alice))
	if _, err := d.Evidence(ctx, c.ID); !errors.Is(err, desk.ErrErased) {
		t.Errorf("after the erasure: %v", err)
	}
	if err := d.AddEvidence(ctx, c.ID, want); !errors.Is(err, desk.ErrErased) {
		t.Errorf("after the erasure: %v", err)
	}
}

// A preview of a whole index keeps only what it shows, however much is hit and
// wherever it lies.
func TestPreview_WholeIndex(t *testing.T) {
	t.Parallel()
	items := 200_000
	if testing.Short() {
		items = 5_000
	}
	d := open(t, t.TempDir(), nil)
	own := pdq(t, 1)
	c, err := d.Submit(ctx, optOut(t, 1))
	ok(t, err)
	other := pdq(t, 2)
	var heap, first uint64
	whole := func(ctx context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			var m runtime.MemStats
			for i := range items {
				h := own
				if i%2 == 1 {
					h = other
				}
				it := takedown.Item{Key: fmt.Sprintf("%08d", i), Candidate: takedown.Candidate{
					ImageURLs: []string{fmt.Sprintf("https://host-%d.example/a.jpg", i)}, Hashes: []phash.Hash{h},
				}}
				if !yield(it, nil) {
					return
				}
				if i%(items/10) == 0 {
					runtime.GC()
					runtime.ReadMemStats(&m)
					heap = max(heap, m.HeapAlloc)
					if i == 0 {
						first = m.HeapAlloc
					}
				}
			}
		}
	}
	p, err := d.Preview(ctx, c.ID, whole, nil)
	ok(t, err)
	hosts := min(items/2, 1<<16)
	if p.Looked != items || p.Block != items/2 || len(p.Found) != 100 || len(p.Hosts) != 20 || p.AllHosts != hosts || len(p.Near) > 10 || len(p.WeakFound) != 0 {
		t.Errorf("%d looked at, %d blocked, %d found, %d and %d hosts, %d near, %d far", p.Looked, p.Block, len(p.Found), len(p.Hosts), p.AllHosts, len(p.Near), len(p.WeakFound))
	}
	// Other tests run beside this one; what grows with the index would be more.
	t.Logf("heap %d MB before, at most %d MB", first>>20, heap>>20)
}
