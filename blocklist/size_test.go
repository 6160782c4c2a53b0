package blocklist_test

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

// The sizes of deltas, which docs/fleet.md counts with: rules for one address, each
// of a case of its own, and pictures with 16 hashes, with and without features.
func TestDeltaSizes(t *testing.T) {
	t.Parallel()
	p := newPair(t, nil)
	caseOf := func(i int) (id [16]byte) {
		sum := sha256.Sum256(fmt.Appendf(nil, "case %d", i))
		return [16]byte(sum[:])
	}
	var addresses, pictures []blocklist.Event
	for i := range 1000 {
		e := addedRule(t, p.l, uint64(i+10), fmt.Sprintf("https://example.com/%d", i))
		e.Rule.Case, e.Rule.Kind = caseOf(i), 3
		addresses = append(addresses, e)
	}
	for i := range 100 {
		e := addedRule(t, p.l, uint64(i+5000))
		e.Rule.Case, e.Rule.Kind, e.Rule.Scope = caseOf(i), 3, blocklist.ScopeDuplicate
		for k := range 16 {
			e.Rule.Keys.Hashes = append(e.Rule.Keys.Hashes, blocklist.HashKey{
				Hash: phash.FromPDQ(sha256.Sum256(fmt.Appendf(nil, "hash %d %d", i, k))), Variant: uint8(k),
			})
		}
		pictures = append(pictures, e)
	}
	size := func(name string, most int, events []blocklist.Event) {
		from := p.l.State().Seq()
		mustAppend(t, p.l, events...)
		n := len(mustDelta(t, p.l, from, p.l.State().Seq()))
		t.Logf("%s: %d bytes", name, n)
		if n > most {
			t.Errorf("%s: a delta of %d bytes, at most %d are meant", name, n, most)
		}
	}
	size("1,000 rules for an address", 56_000, addresses)
	size("100 pictures with 16 hashes", 66_000, pictures)

	sharedtest.NeedTestdata(t)
	photos, err := filepath.Glob(filepath.Join(sharedtest.Path(t, "photos"), "*.jpg"))
	if err != nil || len(photos) < 100 {
		t.Skipf("%d photographs, %v", len(photos), err)
	}
	n := 100
	if testing.Short() {
		n = 10
	}
	lean := 0
	var parts recordParts
	for i, path := range photos[:n] {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := jpeg.Decode(f)
		f.Close()
		if err != nil {
			t.Skipf("%s: %v", filepath.Base(path), err)
		}
		grey := image.NewGray(m.Bounds())
		draw.Draw(grey, grey.Bounds(), m, m.Bounds().Min, draw.Src)
		set, err := features.Extract(grey)
		if err != nil {
			t.Fatal(err)
		}
		// What a registration stores.
		e := &pictures[i]
		e.ID[15] = 9
		e.Rule.Keys.Features = []blocklist.Features{set.Compact()}
		b, err := set.Record(true).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		lean += len(b)
		if b, err = set.Record(false).MarshalBinary(); err != nil {
			t.Fatal(err)
		}
		parts.add(b)
	}
	size(fmt.Sprintf("%d photographs with 16 hashes and features", n), n*7_000, pictures[:n])
	// In a list of more than features.LeanFrom pictures.
	if lean += n * 660; lean > n*5_000 {
		t.Errorf("%d photographs have %d bytes, at most %d are meant", n, lean, n*5_000)
	}
	t.Logf("%d photographs in a list of many: some %d bytes", n, lean)
	// Why it is not less: no part can be compressed much further.
	for _, c := range []struct {
		name string
		part []byte
	}{{"signatures", parts.signatures}, {"points", parts.points}, {"thumbnails", parts.thumbnails}} {
		least := entropy(t, c.part)
		t.Logf("%s: %d bytes, %d compressed, at least %d with an ideal code of single bits or of bytes", c.name, len(c.part), deflated(t, c.part), least)
		if 100*least < 85*len(c.part) {
			t.Errorf("%s could take %d bytes instead of %d: a better code pays", c.name, least, len(c.part))
		}
	}
}

// recordParts are the parts of records of features, docs/format/features.md.
type recordParts struct{ signatures, points, thumbnails []byte }

func (p *recordParts) add(record []byte) {
	n, rest := 8*int(binary.LittleEndian.Uint16(record[8:])), record[16:]
	p.signatures = append(p.signatures, rest[:n]...)
	p.points = append(p.points, rest[n:2*n]...)
	p.thumbnails = append(p.thumbnails, rest[2*n:]...)
}

func deflated(tb testing.TB, b []byte) int {
	tb.Helper()
	var to bytes.Buffer
	z, err := flate.NewWriter(&to, flate.BestCompression)
	if err == nil {
		_, err = z.Write(b)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return to.Len()
}

// entropy returns how many bytes an ideal code needs, that knows how often each of
// the 64 bits of a word is set, or how often each byte occurs; the less of both.
func entropy(tb testing.TB, b []byte) int {
	tb.Helper()
	bits := func(counts ...int) (h float64) {
		all := 0
		for _, c := range counts {
			all += c
		}
		for _, c := range counts {
			if c > 0 {
				h -= float64(c) * math.Log2(float64(c)/float64(all))
			}
		}
		return h
	}
	var bytes [256]int
	for _, v := range b {
		bytes[v]++
	}
	words := len(b) / 8
	ofBits := float64(8 * (len(b) - 8*words))
	for bit := range 64 {
		ones := 0
		for w := range words {
			ones += int(b[8*w+bit/8] >> (bit % 8) & 1)
		}
		ofBits += bits(ones, words-ones)
	}
	return int(min(ofBits, bits(bytes[:]...)) / 8)
}
