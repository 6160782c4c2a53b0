package features_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/staydown/staydown/internal/features"
)

// A picture that was copied from record to record is the one that was registered.
func TestRecord(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]features.Features{
		"scene": mustExtract(t, scene(7, 640, 480)), "sheet": mustExtract(t, sheet(1, 1, 8)), "small": mustExtract(t, scene(8, 90, 120)),
	} {
		rich, lean := features.RecordOf(f, false), features.RecordOf(f, true)
		if !bytes.Equal(features.RecordOf(rich, false).Raw(), rich.Raw()) || !bytes.Equal(features.RecordOf(lean, true).Raw(), lean.Raw()) ||
			!bytes.Equal(features.RecordOf(lean, false).Raw(), lean.Raw()) {
			t.Errorf("%s: a record of a record is another one", name)
		}
		if !bytes.Equal(features.RecordOf(rich, true).Raw(), lean.Raw()) {
			t.Errorf("%s: the lean record depends on how it came about", name)
		}
		c := f.Compact()
		if !bytes.Equal(c.Thumbnail(), rich.Thumbnail()) {
			t.Errorf("%s: the thumbnail of a record differs", name)
		}
		if c.Len() != rich.Len() || lean.Len() != min(c.Len(), features.LeanPoints) || c.Look() != rich.Look() || c.HasInk() != lean.HasInk() || !rich.IsCompact() {
			t.Errorf("%s: %d, %d and %d points", name, c.Len(), rich.Len(), lean.Len())
		}
		worst := 0
		for i, v := range lean.Thumbnail() {
			worst = max(worst, int(v)-int(c.Thumbnail()[i]), int(c.Thumbnail()[i])-int(v))
		}
		if worst > lean.Tolerance() {
			t.Errorf("%s: the lean thumbnail is off by %d, more than %d", name, worst, lean.Tolerance())
		}
		if n := len(lean.Raw()) - lean.InkLen(); n > 16+16*features.LeanPoints+features.LeanThumb {
			t.Errorf("%s: a lean record of %d bytes", name, n)
		}
	}
}

// The code of any picture gives it back, within the tolerance, and any bytes are the
// code of some picture.
func TestThumbnailCode(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		w, h := 1+r.IntN(70), 1+r.IntN(70)
		pix := make([]uint8, w*h)
		slope, noise := r.IntN(9), 1+r.IntN(1+r.IntN(256))
		for i := range pix {
			pix[i] = uint8(i%w*slope + i/w + r.IntN(noise))
		}
		tolerance := r.IntN(64)
		b, got := features.CodeThumbnail(pix, w, tolerance)
		if again := features.ReadThumbnail(b, w, len(pix)); !bytes.Equal(again, got) {
			t.Fatalf("%d × %d: what is read differs from what was written", w, h)
		}
		for i, v := range got {
			if d := int(v) - int(pix[i]); d > tolerance || -d > tolerance {
				t.Fatalf("%d × %d, tolerance %d: pixel %d is off by %d", w, h, tolerance, i, d)
			}
		}
		if len(b) > 2+29*len(pix)/8 {
			t.Errorf("%d pixels take %d bytes", len(pix), len(b))
		}
		junk := make([]byte, r.IntN(40))
		for i := range junk {
			junk[i] = byte(r.Uint32())
		}
		features.ReadThumbnail(junk, w, len(pix))
	}
}

// TestSegment_Golden fixes the bytes of a segment on all architectures.
func TestSegment_Golden(t *testing.T) {
	t.Parallel()
	entries := []features.Entry{{Features: mustExtract(t, scene(42, 640, 480)), ID: 3}, {ID: 9}, {Features: mustExtract(t, sheet(1, 1, 8)), ID: 4}}
	for lean, want := range map[bool]string{false: goldenRich, true: goldenLean} {
		s, err := features.NewSegmentOf(entries, lean)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(s.Bytes())
		if got := hex.EncodeToString(sum[:8]); got != want {
			t.Errorf("lean %v: segment changed: %s, want %s", lean, got, want)
		}
		if err := s.Check(); err != nil {
			t.Errorf("lean %v: %v", lean, err)
		}
	}
}

// Check finds every damage outside of thumbnails, and searching a damaged segment ends.
func TestSegment_Damage(t *testing.T) {
	t.Parallel()
	f := mustExtract(t, scene(4, 120, 90))
	s := mustSegment(t, features.Entry{Features: f, ID: 3}, features.Entry{}, features.Entry{Features: f, ID: 7})
	raw := s.Bytes()
	r := rand.New(rand.NewPCG(3, 4))
	opened := 0
	for i := range 4_000 {
		b := bytes.Clone(raw)
		at := r.IntN(len(b))
		if i < 600 { // header, directory, offsets and the first record
			at = []int{i % 60, 32 + i, len(raw) - 1 - i}[i%3]
		}
		b[at] ^= byte(1 + r.IntN(255))
		got, err := features.OpenSegment(b)
		if err != nil {
			continue
		}
		opened++
		if err := got.Check(); err == nil && at < s.RecordsAt() {
			// The IDs are the caller's, and any thumbnail is one.
			if ids := bytes.Equal(got.WithoutIDs(), s.WithoutIDs()); !ids {
				t.Fatalf("byte %d of %d was changed: Check says nothing", at, len(raw))
			}
		} else if err != nil && !errors.Is(err, features.ErrFormat) {
			t.Fatal(err)
		}
		if i%10 == 0 {
			search(got, f)
		}
	}
	if opened < 1_000 {
		t.Errorf("only %d of the damaged segments were opened", opened)
	}
}

// A list of many pictures has lean records, and is built from rich ones.
func TestSegment_Lean(t *testing.T) {
	t.Parallel()
	var entries []features.Entry
	for i := range uint64(8) {
		entries = append(entries, features.Entry{Features: mustExtract(t, scene(i, 640, 480)), ID: uint32(i)})
	}
	rich := mustSegment(t, entries...)
	lean, err := features.NewSegmentOf(slices.Collect(rich.All()), true)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := features.NewSegmentOf(entries, true)
	if err != nil || !bytes.Equal(direct.Bytes(), lean.Bytes()) {
		t.Errorf("a lean segment from a rich one differs: %v", err)
	}
	if len(lean.Bytes()) > len(rich.Bytes())*2/3 {
		t.Errorf("%d bytes lean, %d rich", len(lean.Bytes()), len(rich.Bytes()))
	}
	for i := range uint64(8) {
		ms := search(lean, mustExtract(t, scene(i, 500, 380)))
		if len(ms) == 0 || ms[0].ID != uint32(i) || ms[0].Band == features.None {
			t.Errorf("picture %d: %+v", i, ms)
		}
	}
}
