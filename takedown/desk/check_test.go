package desk_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

func inspect(tb testing.TB, file []byte, src takedown.Source) takedown.Candidate {
	tb.Helper()
	c, err := takedown.Inspect(bytes.NewReader(file), src, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestInspect(t *testing.T) {
	t.Parallel()
	file := testJPEG(t, 1)
	src := takedown.Source{ImageURL: "https://example.org/a.jpg", Aliases: []string{"https://cdn.example.org/a.jpg"}, PageURL: "https://example.org/"}
	got := inspect(t, file, src)
	want := takedown.Candidate{
		ImageURLs: []string{"https://example.org/a.jpg", "https://cdn.example.org/a.jpg"},
		PageURLs:  []string{"https://example.org/"},
		SHA256:    sha256.Sum256(file),
		SHA1:      sha1.Sum(file),
		MD5:       md5.Sum(file),
		Hashes:    hashes(t, file),
	}
	// Features survive being stored and sent.
	stored, err := got.Features.MarshalBinary()
	if err != nil || len(stored) == 0 {
		t.Fatalf("features: %d bytes, %v", len(stored), err)
	}
	if err := want.Features.UnmarshalBinary(stored); err != nil {
		t.Fatal(err)
	}
	equal := cmp.Options{
		cmp.Comparer(func(a, b phash.Hash) bool { return a == b }),
		cmp.Comparer(func(a, b takedown.Features) bool {
			x, _ := a.MarshalBinary()
			y, _ := b.MarshalBinary()
			return bytes.Equal(x, y)
		}),
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("candidate (-want +got):\n%s", diff)
	}
	if err := want.Features.UnmarshalBinary(stored[1:]); err == nil {
		t.Error("cut features were accepted")
	}
	if c, err := takedown.Inspect(bytes.NewReader(file), src, &takedown.InspectOptions{NoFeatures: true}); err != nil || !c.Features.IsZero() {
		t.Errorf("without features: %v, %v", c.Features, err)
	}

	// What cannot be decoded can still be asked about.
	broken := append([]byte("no picture"), file...)
	got, err = takedown.Inspect(bytes.NewReader(broken), src, nil)
	if !errors.Is(err, phash.ErrFormat) {
		t.Errorf("a file that is none: %v, want ErrFormat", err)
	}
	if got.SHA256 != sha256.Sum256(broken) || len(got.ImageURLs) != 2 || got.Hashes != nil {
		t.Errorf("a file that is none: %+v", got)
	}
	// A picture whose end is cut off is looked at as far as it goes.
	got, err = takedown.Inspect(bytes.NewReader(file[:len(file)*19/20]), src, nil)
	if err != nil || got.Hashes == nil || got.Features.IsZero() || !got.Damage.Visible() {
		t.Errorf("a file that is cut: %v, %d hashes, truncated %t", err, len(got.Hashes), got.Damage.Visible())
	}
	got, err = takedown.Inspect(bytes.NewReader(file), src, &takedown.InspectOptions{Decode: &phash.DecodeOptions{MaxBytes: 100}})
	if !errors.Is(err, phash.ErrTooLarge) || got.SHA256 != sha256.Sum256(file) || !got.Undecodable {
		t.Errorf("a file beyond the limit: %v, digest %x, undecodable %t", err, got.SHA256, got.Undecodable)
	}
}

// What a file that was cut off says is weighed, but that nothing in it is blocked
// is no statement about the picture.
func TestCheck_Truncated(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	accept(t, d, optOut(t, 1), desk.Grant{})
	for _, all := range []bool{false, true} {
		cut := func(n int) takedown.Candidate {
			file := testJPEG(t, 1)
			c, err := takedown.Inspect(bytes.NewReader(file[:len(file)*n/100]), takedown.Source{}, &takedown.InspectOptions{FirstFrame: !all})
			ok(t, err)
			b, err := json.Marshal(c)
			if ok(t, err); c.Damage.Visible() != (n < 100) || bytes.Contains(b, []byte(`"damage"`)) != c.Damage.Visible() {
				t.Errorf("%d %%: damage %v, %d bytes of JSON", n, c.Damage, len(b))
			}
			return c
		}
		got := d.Enforcer().Check(cut(12))
		if wantVerdict(t, "nearly nothing of it", got, takedown.Allow); got.Checked != takedown.TierBytes {
			t.Errorf("nearly nothing of it: checked %v", got.Checked)
		}
		got = d.Enforcer().Check(cut(98))
		if wantVerdict(t, "nearly all of it", got, takedown.Block); !got.Checked.Has(takedown.TierHash) {
			t.Errorf("nearly all of it: checked %v", got.Checked)
		}
		wantVerdict(t, "all of it", d.Enforcer().Check(cut(100)), takedown.Block)
		_, err := d.AddToAllowList(ctx, cut(12), desk.Actor{By: "a", Reason: "logo"}, "")
		if err == nil {
			t.Error("a file that is cut off is on the allow list")
		}
	}
}

// A picture hidden in a later frame of an animation is found when every frame
// is looked at.
func TestInspect_AllFrames(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	accept(t, d, optOut(t, 1), desk.Grant{})
	var anim gif.GIF
	for _, seed := range []uint32{2, 1} {
		m, err := jpeg.Decode(bytes.NewReader(testJPEG(t, seed)))
		if err != nil {
			t.Fatal(err)
		}
		grey := image.NewPaletted(m.Bounds(), greys)
		for y := range m.Bounds().Dy() {
			for x := range m.Bounds().Dx() {
				grey.Set(x, y, m.At(x, y))
			}
		}
		anim.Image = append(anim.Image, grey)
		anim.Delay = append(anim.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &anim); err != nil {
		t.Fatal(err)
	}
	var c takedown.Candidate
	for all, want := range map[bool]takedown.Verdict{false: takedown.Allow, true: takedown.Block} {
		got, err := takedown.Inspect(bytes.NewReader(b.Bytes()), takedown.Source{}, &takedown.InspectOptions{FirstFrame: !all})
		if err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, fmt.Sprintf("all frames: %v", all), d.Enforcer().Check(got), want)
		if all {
			c = got
		}
	}
	hit := d.Enforcer().Check(c)
	if hit.Frame != 1 {
		t.Errorf("frame %d matched, want 1", hit.Frame)
	}
	// What a person says of a match is about its frame: the other one is somebody
	// else's picture.
	if _, err := d.Resolve(ctx, desk.Match{Candidate: c, Decision: hit}, desk.SameImage); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "the other frame by itself", d.Enforcer().Filter("", hashes(t, testJPEG(t, 2))...), takedown.Allow)
	// An excepted frame does not hide a blocked one.
	other := desk.Match{Candidate: takedown.Candidate{Hashes: hashes(t, testJPEG(t, 2))}, Decision: hit}
	other.Decision.Frame = 0
	if _, err := d.Resolve(ctx, other, desk.NotTheSame); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "with the other frame excepted", d.Enforcer().Check(c), takedown.Block)
}

func TestCheck_EveryTier(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	e := d.Enforcer()
	accept(t, d, optOut(t, 1), desk.Grant{Scope: takedown.ScopeBytes})
	accept(t, d, optOut(t, 2), desk.Grant{})
	accept(t, d, notice("https://example.org/old.jpg"), desk.Grant{})
	page := notice()
	page.PageURLs = []string{"https://example.org/page"}
	accept(t, d, page, desk.Grant{})
	file1, file2 := testJPEG(t, 1), testJPEG(t, 2)
	other := hashes(t, testJPEG(t, 3))
	all := takedown.TierURL | takedown.TierBytes | takedown.TierHash
	for _, tc := range []struct {
		name      string
		candidate takedown.Candidate
		want      takedown.Verdict
		why       takedown.Tier
		checked   takedown.Tier
	}{
		{"nothing is known", takedown.Candidate{}, takedown.Allow, 0, 0},
		{"an innocent one", takedown.Candidate{ImageURLs: []string{"https://example.org/"}, SHA256: [32]byte{1}, Hashes: other}, takedown.Allow, 0, all},
		{"the file", takedown.Candidate{SHA256: sha256.Sum256(file1), Hashes: hashes(t, file1)}, takedown.Block, takedown.TierBytes, takedown.TierBytes | takedown.TierHash},
		{"the same picture in another file, where only the file was granted", takedown.Candidate{SHA256: [32]byte{1}, Hashes: hashes(t, file1)}, takedown.Allow, 0, takedown.TierBytes | takedown.TierHash},
		{"the picture", takedown.Candidate{SHA256: [32]byte{1}, Hashes: hashes(t, file2)}, takedown.Block, takedown.TierHash, takedown.TierBytes | takedown.TierHash},
		{"the file tells more exactly than the hash", takedown.Candidate{SHA256: sha256.Sum256(file2), Hashes: hashes(t, file2)}, takedown.Block, takedown.TierBytes, takedown.TierBytes | takedown.TierHash},
		{"an address of the redirect chain", takedown.Candidate{ImageURLs: []string{"https://example.org/new.jpg", "https://example.org/old.jpg"}}, takedown.Block, takedown.TierURL, takedown.TierURL},
		{"the page", takedown.Candidate{ImageURLs: []string{"https://example.org/new.jpg"}, PageURLs: []string{"https://example.org/page"}}, takedown.Block, takedown.TierURL, takedown.TierURL},
		{"one of several hashes", takedown.Candidate{Hashes: append([]phash.Hash{{}, other[0]}, hashes(t, file2)...)}, takedown.Block, takedown.TierHash, takedown.TierHash},
	} {
		got := e.Check(tc.candidate)
		if got.Verdict != tc.want || got.Why != tc.why || got.Checked != tc.checked {
			t.Errorf("%s: %v (checked %v), want %v by %v (checked %v)", tc.name, got, got.Checked, tc.want, tc.why, tc.checked)
		}
		if in := e.In("DE").Check(tc.candidate); in != got {
			t.Errorf("%s: in a region %v, want %v", tc.name, in, got)
		}
	}
}

// nearCopy returns h with n bits changed, as many set as cleared.
func nearCopy(h phash.Hash, n int) phash.Hash {
	w := h.Words()
	var b [32]byte
	set, clear := n/2, n/2
	for k := range 256 {
		bit := w[k/64] >> (k % 64) & 1
		if bit == 1 && clear > 0 {
			bit, clear = 0, clear-1
		} else if bit == 0 && set > 0 {
			bit, set = 1, set-1
		}
		b[31-k/8] |= byte(bit) << (k % 8)
	}
	return phash.FromPDQ(b)
}

// Beyond the block radius lies a band for people, and beyond that nothing. Only
// Check looks there.
func TestCheck_Bands(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), &desk.Options{Enforcer: takedown.EnforcerOptions{BlockRadius: 20, ReviewRadius: 30}})
	accept(t, d, optOut(t, 1), desk.Grant{})
	own := hashes(t, testJPEG(t, 1))[0]
	for distance, want := range map[int]takedown.Verdict{
		0: takedown.Block, 20: takedown.Block, 22: takedown.Review, 30: takedown.Review, 32: takedown.Allow,
	} {
		copied := nearCopy(own, distance)
		filtered := want
		if want == takedown.Review {
			filtered = takedown.Allow
		}
		wantVerdict(t, fmt.Sprintf("filtered at %d bits", distance), d.Enforcer().Filter("", copied), filtered)
		got := d.Enforcer().Check(takedown.Candidate{Hashes: []phash.Hash{copied}})
		if got.Verdict != want || want != takedown.Allow && got.Distance != distance {
			t.Errorf("at %d bits: %v, want %v", distance, got, want)
		}
	}
	if _, err := desk.Open(t.TempDir(), &desk.Options{Enforcer: takedown.EnforcerOptions{BlockRadius: 65}}); err == nil {
		t.Error("a radius of 65 bits was accepted")
	}
}

// An old list still blocks; what it does not block is answered as the caller
// said.
func TestLoad_MaxAge(t *testing.T) {
	t.Parallel()
	written := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := &clock{t: written}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now})
	accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	snap := filepath.Join(t.TempDir(), "blocklist.snap")
	if err := d.Publish(ctx, snap); err != nil {
		t.Fatal(err)
	}
	for stale, want := range map[takedown.Stale]takedown.Verdict{
		takedown.StaleUnknown: takedown.Unknown, takedown.StaleAllow: takedown.Allow, takedown.StaleBlock: takedown.Block,
	} {
		now := &clock{t: written.Add(time.Hour)}
		e, err := takedown.Load(snap, &takedown.EnforcerOptions{MaxAge: time.Hour, Stale: stale, Now: now.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		wantVerdict(t, "just young enough", e.FilterURL("https://example.org/b.jpg"), takedown.Allow)
		now.set(written.Add(time.Hour + time.Second))
		wantVerdict(t, "too old", e.FilterURL("https://example.org/b.jpg"), want)
		wantVerdict(t, "too old, blocked", e.FilterURL("https://example.org/a.jpg"), takedown.Block)
	}
	if _, err := takedown.Load(snap, &takedown.EnforcerOptions{MaxAge: time.Hour}); err == nil {
		t.Error("MaxAge without Stale was accepted")
	}
}

// One false match must not cost the opt-out, nor come back; and what a person
// recognises, a ranker without pixels finds too.
func TestResolve(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now, RecheckAfter: 24 * time.Hour})
	e := d.Enforcer()
	id := accept(t, d, optOut(t, 1), desk.Grant{})
	own := hashes(t, testJPEG(t, 1))[0]
	rule := e.Filter("", own).Rule

	// A picture that is near, but another one.
	wrong := takedown.Candidate{Hashes: []phash.Hash{nearCopy(own, 24)}}
	match := desk.Match{Candidate: wrong, Decision: e.Check(wrong)}
	wantVerdict(t, "the near one", match.Decision, takedown.Block)
	if _, err := d.Resolve(ctx, match, desk.NotTheSame); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "the near one, excepted", e.Check(wrong), takedown.Allow)
	wantVerdict(t, "the registered one", e.Filter("", own), takedown.Block)

	// A copy that no hash finds, at an address; another one of its is none.
	far := takedown.Candidate{ImageURLs: []string{"https://example.org/screenshot.png", "data:image/png;base64,AAAA"}, SHA256: sha256.Sum256(testJPEG(t, 9)), Hashes: hashes(t, testJPEG(t, 9))}
	wantVerdict(t, "the screenshot", e.Check(far), takedown.Allow)
	done, err := d.Resolve(ctx, desk.Match{Candidate: far, Decision: takedown.Decision{Rule: rule}, File: testJPEG(t, 9)}, desk.SameImage)
	if want := (desk.Resolved{Events: []uint64{3, 4}, Addresses: 1, Files: 1, Hashes: 1}); err != nil || !cmp.Equal(want, done) {
		t.Fatalf("%v (-want +got):\n%s", err, cmp.Diff(want, done))
	}
	for what, got := range map[string]takedown.Decision{
		"its address": e.FilterURL(far.ImageURLs[0]), "its hash": e.Filter("", far.Hashes...), "its file": e.Check(takedown.Candidate{SHA256: far.SHA256}),
	} {
		if got.Verdict != takedown.Block || !got.Derived || got.Rule != rule || got.Case != id {
			t.Errorf("%s, learned: %v", what, got)
		}
	}
	// What lies behind an address changes; what a file or picture is does not.
	now.set(now.Now().Add(24 * time.Hour))
	wantVerdict(t, "the address, later", e.FilterURL(far.ImageURLs[0]), takedown.Allow)
	wantVerdict(t, "the hash, later", e.Filter("", far.Hashes...), takedown.Block)

	// Each can be taken back alone.
	for c, err := range d.Enforcer().Events(ctx, new(takedown.Cursor)) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Type == takedown.RuleDerived || c.Type == takedown.RuleException {
			if err := d.Revert(ctx, c.Seq, alice); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantVerdict(t, "forgotten", e.Filter("", far.Hashes...), takedown.Allow)
	wantVerdict(t, "no exception any more", e.Check(wrong), takedown.Block)

	if err := d.Revert(ctx, rule, alice); !errors.Is(err, desk.ErrNoEvent) {
		t.Errorf("a rule was undone as if it had been learned: %v", err)
	}
	if err := d.Revert(ctx, 999, alice); !errors.Is(err, desk.ErrNoEvent) {
		t.Errorf("an event that is not there was undone: %v", err)
	}
	byURL := accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
	if _, err := d.Resolve(ctx, desk.Match{Candidate: far, Decision: e.FilterURL("https://example.org/a.jpg")}, desk.SameImage); !errors.Is(err, desk.ErrNoRule) {
		t.Errorf("a picture was learned for the notice %v: %v", byURL, err)
	}
	if err := d.Withdraw(ctx, id, desk.Actor{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Resolve(ctx, match, desk.SameImage); !errors.Is(err, desk.ErrNoRule) {
		t.Errorf("a picture was learned for a rule that is revoked: %v", err)
	}
}

// index is an index of a host, in order.
type index []takedown.Item

func (x index) items(ctx context.Context, after string) iter.Seq2[takedown.Item, error] {
	return func(yield func(takedown.Item, error) bool) {
		for _, it := range x {
			if it.Key > after && !yield(it, nil) {
				return
			}
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now})
	var x index
	for i := range 20 {
		x = append(x, takedown.Item{
			Key:       fmt.Sprintf("doc-%02d", i),
			Candidate: takedown.Candidate{ImageURLs: []string{fmt.Sprintf("https://example.org/%d.jpg", i)}},
		})
	}
	x[3].Candidate.Hashes = hashes(t, testJPEG(t, 1))
	sweep := func(at *takedown.Cursor, stopAfter int) (keys []string) {
		t.Helper()
		for f, err := range d.Enforcer().Sweep(ctx, x.items, at) {
			if err != nil {
				t.Fatal(err)
			}
			if keys = append(keys, f.Item.Key); len(keys) == stopAfter {
				break
			}
		}
		return keys
	}
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	accept(t, d, optOut(t, 1), desk.Grant{})
	accept(t, d, notice("https://example.org/7.jpg", "https://example.org/12.jpg"), desk.Grant{})
	later := now.Now().Add(time.Hour)
	accept(t, d, notice("https://example.org/9.jpg"), desk.Grant{Start: later})

	at := new(takedown.Cursor)
	want("interrupted", sweep(at, 2), "doc-03", "doc-07")
	accept(t, d, notice("https://example.org/1.jpg", "https://example.org/15.jpg"), desk.Grant{})
	want("gone on", sweep(at, 0), "doc-12", "doc-15")
	want("what has come since the first began", sweep(at, 0), "doc-01", "doc-15")
	want("nothing new", sweep(at, 0))
	now.set(later)
	want("a rule that began meanwhile", sweep(at, 0), "doc-09")
	want("nothing new again", sweep(at, 0))
	want("everything anew", sweep(new(takedown.Cursor), 0), "doc-01", "doc-03", "doc-07", "doc-09", "doc-12", "doc-15")

	failing := func(ctx context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) { yield(takedown.Item{}, errors.New("index is gone")) }
	}
	at = &takedown.Cursor{After: "doc-05"}
	for _, err := range d.Enforcer().Sweep(ctx, failing, at) {
		if err == nil {
			t.Error("the error of the index was lost")
		}
	}
	if at.After != "doc-05" {
		t.Errorf("after an error the cursor is %+v", at)
	}
}

// A sweep that began on an empty list and was interrupted misses nothing.
func TestSweep_BegunOnAnEmptyList(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	var x index
	for i := range 3 {
		x = append(x, takedown.Item{Key: fmt.Sprint(i), Candidate: takedown.Candidate{ImageURLs: []string{fmt.Sprintf("https://example.org/%d.jpg", i)}}})
	}
	at := new(takedown.Cursor)
	interrupted := func(ctx context.Context, after string) iter.Seq2[takedown.Item, error] {
		return func(yield func(takedown.Item, error) bool) {
			if yield(x[0], nil) {
				yield(takedown.Item{}, errors.New("interrupted"))
			}
		}
	}
	for _, err := range d.Enforcer().Sweep(ctx, interrupted, at) {
		if err == nil {
			t.Error("something was found on an empty list")
		}
	}
	accept(t, d, notice("https://example.org/0.jpg"), desk.Grant{})
	found := 0
	for range 2 { // the rest of the first sweep, and the next one
		for _, err := range d.Enforcer().Sweep(ctx, x.items, at) {
			if err != nil {
				t.Fatal(err)
			}
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d items found, want 1", found)
	}
}

// What Publish signs and encrypts, Load opens with the keys and not without.
func TestPublish_SignedAndEncrypted(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := blocklist.EncryptionKey{1, 2, 3}
	for _, encrypted := range []*blocklist.EncryptionKey{nil, &key} {
		d := open(t, t.TempDir(), &desk.Options{SigningKey: private, ListKey: encrypted})
		accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{})
		snap := filepath.Join(t.TempDir(), "blocklist.snap")
		if err := d.Publish(ctx, snap); err != nil {
			t.Fatal(err)
		}
		e, err := takedown.Load(snap, &takedown.EnforcerOptions{TrustedKeys: []ed25519.PublicKey{public}, EncryptionKey: encrypted})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		wantVerdict(t, "loaded with the keys", e.FilterURL("https://example.org/a.jpg"), takedown.Block)
		if _, err := takedown.Load(snap, &takedown.EnforcerOptions{TrustedKeys: []ed25519.PublicKey{stranger}, EncryptionKey: encrypted}); !errors.Is(err, blocklist.ErrKey) {
			t.Errorf("with a stranger's key: %v, want ErrKey", err)
		}
	}
}

// The host learns from Changes what to ask about again.
func TestChanges(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	d := open(t, t.TempDir(), &desk.Options{Now: now.Now, RecheckAfter: time.Hour})
	e := d.Enforcer()
	at := new(takedown.Cursor)
	changes := func() (got []string) {
		t.Helper()
		for c, err := range d.Enforcer().Events(ctx, at) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%v of rule %d, releases %v", c.Type, c.Rule, c.Type.Releases()))
		}
		return got
	}
	want := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, changes()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want("an empty desk")
	first := accept(t, d, optOut(t, 1), desk.Grant{})
	accept(t, d, notice("https://example.org/a.jpg"), desk.Grant{Start: now.Now().Add(time.Hour), End: now.Now().Add(2 * time.Hour)})
	want("two rules", "rule added of rule 1, releases false", "rule added of rule 2, releases false")
	want("nothing since")
	c := takedown.Candidate{ImageURLs: []string{"https://example.org/c.jpg"}}
	if _, err := d.Resolve(ctx, desk.Match{Candidate: c, Decision: takedown.Decision{Rule: 1}}, desk.SameImage); err != nil {
		t.Fatal(err)
	}
	own := takedown.Candidate{Hashes: hashes(t, testJPEG(t, 1))}
	if _, err := d.Resolve(ctx, desk.Match{Candidate: own, Decision: e.Check(own)}, desk.NotTheSame); err != nil {
		t.Fatal(err)
	}
	want("resolved", "rule derived of rule 1, releases false", "rule exception of rule 1, releases true")
	now.set(now.Now().Add(time.Hour))
	want("an hour later", "derived ended of rule 1, releases true", "rule began of rule 2, releases false")
	now.set(now.Now().Add(time.Hour))
	if err := d.Revert(ctx, 4, alice); err != nil {
		t.Fatal(err)
	}
	if err := d.Withdraw(ctx, first, desk.Actor{}); err != nil {
		t.Fatal(err)
	}
	want("another hour later", "exception ended of rule 1, releases false", "rule revoked of rule 1, releases true", "rule ended of rule 2, releases true")
}

// A picture that has nothing of its own to be recognised by is not looked for
// inside others, and the reviewer sees why.
func TestSubmit_TooLittleToLookFor(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	// Stripes: every point looks like all others.
	m := image.NewGray(image.Rect(0, 0, 320, 240))
	for i := range m.Pix {
		if x, y := i%320, i/320; x%40 < 20 != (y%60 < 30) {
			m.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	r := optOut(t, 1)
	r.Images = append(r.Images, request.FromBytes(b.Bytes()))
	c, err := d.Submit(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Pictures[0]; p.Points == 0 || p.NotInside != "" {
		t.Errorf("a picture with detail: %d points, %q", p.Points, p.NotInside)
	}
	if p := c.Pictures[1]; p.Points != 0 || p.NotInside == "" && p.Refused == "" {
		t.Errorf("a pattern: %d points, %q, %q", p.Points, p.NotInside, p.Refused)
	}
}

// window returns the part of a picture inside a rectangle, as a PNG, perhaps in
// a page of its own.
func window(tb testing.TB, file []byte, r image.Rectangle, page bool) []byte {
	tb.Helper()
	src, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		tb.Fatal(err)
	}
	at, size := image.Point{}, r.Size()
	if page {
		at, size = image.Pt(60, 90), r.Size().Add(image.Pt(160, 170))
	}
	m := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			m.Set(x, y, color.White)
			if page && y%14 < 4 && (x*7+y/14*31)%97 < 70 {
				m.Set(x, y, color.Gray{Y: 90}) // something like lines of text
			}
		}
	}
	draw.Draw(m, r.Sub(r.Min).Add(at), src, r.Min, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// photo returns a photograph of the shared test material.
func photo(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(sharedtest.Path(tb, "photos", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// What no hash finds, a crawler with pixels does; and once a person said so, a
// ranker without pixels too.
func TestCheck_FeaturesFindThePictureInside(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir(), nil)
	e := d.Enforcer()
	optOutOf := func(file []byte) request.ImageOptOut {
		r := optOut(t, 1)
		r.Images = images(file)
		return r
	}
	file, other, narrowly := photo(t, "opencv_chicky-512_4d2cf040.jpg"), photo(t, "opencv_graf3_492e0e96.jpg"), photo(t, "opencv_rubberwhale1_eb312435.jpg")
	id := accept(t, d, optOutOf(file), desk.Grant{})
	accept(t, d, optOutOf(narrowly), desk.Grant{Scope: takedown.ScopeIdentical})
	mirrored, err := png.Decode(bytes.NewReader(edited(t, file, func(x, y, w, h int) (int, int) { return w - 1 - x, y })))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, mirrored, nil); err != nil {
		t.Fatal(err)
	}
	part, most := image.Rect(60, 80, 400, 420), image.Rect(0, 0, 480, 320)
	copies := map[string][]byte{
		"cropped":              window(t, file, part, false),
		"mirrored and cropped": window(t, b.Bytes(), part, false),
		"in a page":            window(t, file, most, true),
	}
	for name, copied := range copies {
		c := inspect(t, copied, takedown.Source{})
		wantVerdict(t, name+", by its hash", e.Filter("", c.Hashes...), takedown.Allow)
		got := e.Check(c)
		if got.Verdict != takedown.Block || got.Why != takedown.TierFeatures || got.Case != id || got.Inliers == 0 || got.Coverage <= 0 || got.Coverage > 1 ||
			got.Mirrored != (name == "mirrored and cropped") {
			t.Errorf("%s: %v (%+v)", name, got, got)
		}
	}
	if got := e.Check(inspect(t, window(t, other, most, true), takedown.Source{})); got.Verdict != takedown.Allow || !got.Checked.Has(takedown.TierFeatures) {
		t.Errorf("another picture in the same page: %v", got)
	}
	if got := e.Check(inspect(t, window(t, narrowly, part, false), takedown.Source{})); got.Verdict != takedown.Allow {
		t.Errorf("a crop, where only the identical picture was granted: %v", got)
	}

	cropped := inspect(t, copies["cropped"], takedown.Source{ImageURL: "https://example.org/crop.png"})
	if _, err := d.Resolve(ctx, desk.Match{Candidate: cropped, Decision: e.Check(cropped), File: copies["cropped"]}, desk.SameImage); err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]takedown.Decision{
		"the stored hash": e.Filter("", cropped.Hashes[0]), "the address": e.FilterURL("https://example.org/crop.png"),
	} {
		if got.Verdict != takedown.Block || !got.Derived || got.Case != id {
			t.Errorf("learned, %s: %v", what, got)
		}
	}
	page := inspect(t, copies["in a page"], takedown.Source{})
	if _, err := d.Resolve(ctx, desk.Match{Candidate: page, Decision: e.Check(page)}, desk.NotTheSame); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "excepted", e.Check(page), takedown.Allow)
}

// Whoever asks while an enforcer is closed gets an answer from the list, or
// Unknown: never that of a list that is gone.
func TestClose_WhileAsked(t *testing.T) {
	t.Parallel()
	d, err := desk.Open(t.TempDir(), nil)
	ok(t, err)
	const u = "https://example.org/a.jpg"
	accept(t, d, notice(u), desk.Grant{})
	snap := filepath.Join(t.TempDir(), "snap")
	ok(t, d.Publish(ctx, snap))
	for range 50 {
		e, err := takedown.Load(snap, nil)
		ok(t, err)
		var work sync.WaitGroup
		asked := make(chan struct{})
		work.Go(func() {
			for i := range 200 {
				if i == 20 {
					close(asked)
				}
				if got := e.FilterURL(u).Verdict; got != takedown.Block && got != takedown.Unknown {
					t.Errorf("FilterURL: %v", got)
				}
			}
		})
		<-asked
		ok(t, e.Close())
		work.Wait()
		if got := e.Check(takedown.Candidate{ImageURLs: []string{u}}).Verdict; got != takedown.Unknown {
			t.Errorf("Check after Close: %v", got)
		}
	}
	ok(t, d.Close())
	ok(t, d.Close())
}
