package phash_test

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/staydown/staydown/phash"
)

var (
	_ sql.Scanner                = (*phash.Hash)(nil)
	_ driver.Valuer              = phash.Hash{}
	_ encoding.BinaryAppender    = phash.Hash{}
	_ encoding.BinaryMarshaler   = phash.Hash{}
	_ encoding.BinaryUnmarshaler = (*phash.Hash)(nil)
)

// The vectors of docs/hashes.md: one hash in every form in which databases and
// lists hold hashes. They are written out here, not computed, so that a change of
// an order is seen.
const (
	vectorHex        = "3326999c39ae999e664e939c69cc96647b3933311849b671db336d918659cb26"
	vectorBase64     = "MyaZnDmumZ5mTpOcacyWZHs5MzEYSbZx2zNtkYZZyyY="
	vectorPerception = "p:8f373714acfcf4d0"
)

var (
	// Four BIGINT, the one with the first digits first.
	vectorBigints          = [4]int64{3685802241311021470, 7371991940051277412, 8879184426291541617, -2651655283799373018}
	vectorPerceptionBigint = int64(-8126966440625638192)
)

func TestVectors(t *testing.T) {
	t.Parallel()
	want := phash.MustParse("pdq:" + vectorHex)
	raw, err := hex.DecodeString(vectorHex)
	if err != nil {
		t.Fatal(err)
	}
	based, err := base64.StdEncoding.DecodeString(vectorBase64)
	if err != nil {
		t.Fatal(err)
	}
	var fromInts []byte
	for _, v := range vectorBigints {
		fromInts = binary.BigEndian.AppendUint64(fromInts, uint64(v))
	}
	for name, b := range map[string][]byte{"hex digits": raw, "base64": based, "four integers": fromInts} {
		if h, err := phash.FromPDQSlice(b); err != nil || h != want {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
	if h := phash.FromPDQ([32]byte(raw)); h != want {
		t.Errorf("FromPDQ: %v", h)
	}
	if b := want.Bytes(); !bytes.Equal(b, raw) {
		t.Errorf("Bytes: %x", b)
	}
	if w := want.Words(); w != [4]uint64{0xdb336d918659cb26, 0x7b3933311849b671, 0x664e939c69cc9664, 0x3326999c39ae999e} {
		t.Errorf("Words: %x", w)
	}
	p := phash.MustParse(vectorPerception)
	if h := phash.FromPerception(uint64(vectorPerceptionBigint)); h != p {
		t.Errorf("FromPerception: %v", h)
	}
	if h, err := phash.FromBytes(phash.AlgPerception, []byte("\x8f\x37\x37\x14\xac\xfc\xf4\xd0")); err != nil || h != p {
		t.Errorf("FromBytes: %v, %v", h, err)
	}
	if b := (phash.Hash{}).Bytes(); b != nil {
		t.Errorf("bytes of the zero Hash: %x", b)
	}

	// A wrong order of bytes is a hash too, and near to nothing.
	reversed, swapped := make([]byte, 32), make([]byte, 32)
	for i, b := range raw {
		reversed[31-i] = b
		swapped[i^7] = b
	}
	for name, tt := range map[string]struct {
		b []byte
		d int
	}{"reversed": {reversed, 132}, "words swapped": {swapped, 144}} {
		h, err := phash.FromPDQSlice(tt.b)
		if d, ok := h.Distance(want); err != nil || !ok || d != tt.d || !h.Plausible() {
			t.Errorf("%s: %d bits away, plausible %v, %v; want %d", name, d, h.Plausible(), err, tt.d)
		}
	}
}

func TestFromPDQSlice_Length(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 8, 31, 33, 40, 64} {
		h, err := phash.FromPDQSlice(make([]byte, n))
		if !errors.Is(err, phash.ErrHashForm) || !h.IsZero() {
			t.Errorf("%d bytes: %v, %v", n, h, err)
		}
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	pdq, p := phash.MustParse(vectorHex), phash.MustParse(vectorPerception)
	binaryOf := func(h phash.Hash) []byte {
		b, err := h.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tt := range []struct {
		name string
		src  any
		want phash.Hash
		why  string // of an error
	}{
		{"NULL", nil, phash.Hash{}, ""},
		{"empty text", "", phash.Hash{}, ""},
		{"no bytes", []byte{}, phash.Hash{}, ""},
		{"text", "pdq:" + vectorHex, pdq, ""},
		{"bare digits", vectorHex, pdq, ""},
		{"upper case", strings.ToUpper(vectorHex), pdq, ""},
		{"text as bytes", []byte("pdq:" + vectorHex), pdq, ""},
		{"digits as bytes", []byte(vectorHex), pdq, ""},
		{"32 bytes", pdq.Bytes(), pdq, ""},
		{"binary form", binaryOf(pdq), pdq, ""},
		{"perception", vectorPerception, p, ""},
		{"perception as bytes", []byte(vectorPerception), p, ""},
		{"binary form of perception", binaryOf(p), p, ""},
		{"16 digits", vectorPerception[2:], phash.Hash{}, "put goimagehash's letter in front"},
		{"16 digits as bytes", []byte(vectorPerception[2:]), phash.Hash{}, "put goimagehash's letter in front"},
		{"integer", vectorPerceptionBigint, phash.Hash{}, "FromPerception(uint64(v))"},
		{"8 bytes", p.Bytes(), phash.Hash{}, "call FromBytes"},
		{"31 bytes", pdq.Bytes()[1:], phash.Hash{}, "31 characters"},
		{"40 bytes", make([]byte, 40), phash.Hash{}, "40 characters"},
		{"binary form of an unknown algorithm", append([]byte{200}, pdq.Bytes()...), phash.Hash{}, "33 characters"},
		{"float", 1.5, phash.Hash{}, "float64"},
		{"bool", true, phash.Hash{}, "bool"},
	} {
		before := phash.FromPerception(1)
		got := before
		err := got.Scan(tt.src)
		if tt.why == "" {
			if err != nil || got != tt.want {
				t.Errorf("%s: %v, %v", tt.name, got, err)
			}
			continue
		}
		var parse *phash.ParseError
		if err == nil || !strings.Contains(err.Error(), tt.why) || got != before || !errors.Is(err, phash.ErrHashForm) && !errors.As(err, &parse) {
			t.Errorf("%s: %v, %v; want the hash as before and an error with %q", tt.name, got, err, tt.why)
		}
	}
}

// What a driver gets is a form that Scan reads.
func TestValue(t *testing.T) {
	t.Parallel()
	all := []phash.Hash{{}}
	for alg := range phash.Algorithms() {
		b := bytes.Repeat([]byte{0x5a}, alg.Bits()/8)
		h, err := phash.FromBytes(alg, b)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	for _, h := range all {
		v, err := driver.DefaultParameterConverter.ConvertValue(h)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := v.(string); h.IsZero() && v != nil || !h.IsZero() && (!ok || s != h.String()) {
			t.Errorf("%v: %T %v", h, v, v)
		}
		got := phash.FromPerception(1)
		if err := got.Scan(v); err != nil || got != h {
			t.Errorf("%v came back as %v, %v", h, got, err)
		}
	}
}

// FuzzScan: what Scan accepts from bytes is a hash that comes back from its own
// forms; what it does not accept leaves the hash alone.
func FuzzScan(f *testing.F) {
	pdq := phash.MustParse(vectorHex)
	bin, _ := pdq.MarshalBinary()
	for _, b := range [][]byte{nil, []byte(vectorHex), []byte(vectorPerception), pdq.Bytes(), bin, {1}, {0}, make([]byte, 8)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := phash.FromPerception(1)
		h := before
		if err := h.Scan(b); err != nil {
			if h != before {
				t.Fatalf("%q: %v and %v", b, h, err)
			}
			return
		}
		bin, err := h.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again phash.Hash
		if err := again.UnmarshalBinary(bin); err != nil || again != h {
			t.Fatalf("%q: %v, by its binary form %v, %v", b, h, again, err)
		}
		if err := again.Scan(h.String()); err != nil || again != h {
			t.Fatalf("%q: %v, by its text %v, %v", b, h, again, err)
		}
	})
}
