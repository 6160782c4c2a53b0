package phash_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/corona10/goimagehash"
	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/phash"
)

var (
	_ encoding.TextMarshaler   = phash.Hash{}
	_ encoding.TextUnmarshaler = (*phash.Hash)(nil)
	_ encoding.TextAppender    = phash.Hash{}
)

const bridge = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want, why string
	}{
		{"pdq", "pdq:" + bridge, "pdq:" + bridge, ""},
		{"bare", bridge, "pdq:" + bridge, ""},
		{"upper case", "pdq:" + strings.ToUpper(bridge), "pdq:" + bridge, ""},
		{"perception", "p:8f3c00000000ffff", "p:8f3c00000000ffff", ""},
		{"all zero is a hash", strings.Repeat("0", 64), "pdq:" + strings.Repeat("0", 64), ""},
		{"empty is no hash", "", "", ""},
		{"name alone", "pdq:", "", "0 characters where pdq has 64"},
		{"short", bridge[1:], "", "63 characters where pdq has 64"},
		{"long", bridge + "0", "", "65 characters where pdq has 64"},
		{"space before", " " + bridge[1:], "", "not a hex digit"},
		{"space behind", "pdq:" + bridge + " ", "", "65 characters"},
		{"newline behind", bridge[1:] + "\n", "", "not a hex digit"},
		{"wrong digit", "pdq:g" + bridge[1:], "", `'g' at digit 0`},
		{"short perception", "p:ff", "", "2 characters where perception has 16"},
		{"long perception", "p:8f3c00000000ffff0", "", "17 characters"},
		{"bare perception", "8f3c00000000ffff", "", "p: for its perception hash"},
		{"average", "a:8f3c00000000ffff", "", "accepted are pdq:, p:"},
		{"unknown", "md5:8f3c", "", "accepted are pdq:, p:"},
		{"upper-case name", "PDQ:" + bridge, "", "no algorithm is called so"},
		{"long junk", strings.Repeat("x", 500), "", "500 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := phash.Parse(tt.text)
			if (err == nil) != (tt.why == "") {
				t.Fatalf("error %v, want %q", err, tt.why)
			}
			if err != nil {
				var p *phash.ParseError
				if !errors.As(err, &p) || p.Text != tt.text || !strings.Contains(err.Error(), tt.why) || len(err.Error()) > 300 {
					t.Errorf("error %v, want a short ParseError that says %q", err, tt.why)
				}
				if !h.IsZero() {
					t.Errorf("%v beside an error", h)
				}
				return
			}
			if h.String() != tt.want {
				t.Errorf("parsed as %v, want %v", h, tt.want)
			}
		})
	}
}

func TestHashForms(t *testing.T) {
	t.Parallel()
	h := phash.MustParse(bridge)
	// Bit k has weight 2^k of the number that the digits are.
	if w := h.Words(); w != [4]uint64{0x33e6b39c4e9c9b22, 0xb36e2ed596621e1d, 0x06370a22038f63f0, 0xf8f8f0cee0f4a84f} {
		t.Errorf("words %x", w)
	}
	var raw [32]byte
	for i := range raw {
		raw[i] = byte(i)
	}
	if s := phash.FromPDQ(raw).String(); s != "pdq:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" {
		t.Errorf("FromPDQ gives %s", s)
	}
	if s := phash.FromPerception(0x8f3c).String(); s != "p:0000000000008f3c" {
		t.Errorf("FromPerception gives %s", s)
	}

	type doc struct{ A, B, C phash.Hash }
	in := doc{A: h, B: phash.FromPerception(5)}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"A":"pdq:` + bridge + `","B":"p:0000000000000005","C":""}`; string(b) != want {
		t.Errorf("JSON %s, want %s", b, want)
	}
	var out doc
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("back from JSON: %v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"A":"pdq:12"}`), &out); err == nil {
		t.Error("JSON with a short hash is accepted")
	}
	defer func() {
		if recover() == nil {
			t.Error("MustParse of junk does not panic")
		}
	}()
	phash.MustParse("junk")
}

func TestDistance(t *testing.T) {
	h := phash.MustParse(bridge)
	far := phash.MustParse("30a10efd71cc3d429013d48d0ffffc52e34e0e17ada952a9d29685211ea9e5af")
	p := phash.FromPerception(0xff)
	tests := []struct {
		name string
		a, b phash.Hash
		d    int
		ok   bool
	}{
		{"itself", h, h, 0, true},
		{"bridge turned by 90°", h, far, 120, true}, // as the Java tests of the reference say
		{"perception", p, phash.FromPerception(0xf0), 4, true},
		{"algorithms", h, p, 0, false},
		{"zero and zero", phash.Hash{}, phash.Hash{}, 0, false},
		{"zero and all bits zero", phash.Hash{}, phash.FromPDQ([32]byte{}), 0, false},
	}
	for _, tt := range tests {
		d, ok := tt.a.Distance(tt.b)
		r, rok := tt.b.Distance(tt.a)
		if ok != tt.ok || rok != tt.ok || ok && (d != tt.d || r != tt.d) {
			t.Errorf("%s: %d %v and %d %v, want %d %v", tt.name, d, ok, r, rok, tt.d, tt.ok)
		}
	}
	if n := sharedtest.AllocsPerRun(1000, func() { h.Distance(far) }); n != 0 {
		t.Errorf("Distance allocates %v times", n)
	}
}

func TestParse_GoImageHash(t *testing.T) {
	t.Parallel()
	// The text forms are the same.
	want := goimagehash.NewImageHash(0x123456789abcdef0, goimagehash.PHash)
	if got, err := phash.Parse(want.ToString()); err != nil || got.Words()[0] != want.GetHash() {
		t.Errorf("%v, %v of %s", got, err, want.ToString())
	}
}

// Stored values never change.
func TestStoredValues(t *testing.T) {
	t.Parallel()
	type named interface{ String() string }
	var got []string
	for _, l := range [][]named{
		{phash.AlgNone, phash.AlgPDQ, phash.AlgPerception, phash.Algorithm(255)},
		{phash.Orientation(0), phash.Orientation(1), phash.Orientation(2), phash.Orientation(3), phash.Orientation(4),
			phash.Orientation(5), phash.Orientation(6), phash.Orientation(7), phash.Orientation(8)},
		{phash.Edit(0), phash.Edit(1), phash.Edit(2), phash.Edit(3), phash.Edit(4), phash.Edit(5), phash.Edit(6), phash.Edit(7),
			phash.Edit(8), phash.Edit(9), phash.Edit(10), phash.Edit(11), phash.Edit(12), phash.Edit(13), phash.Edit(14), phash.Edit(15),
			phash.Edit(16), phash.Edit(17), phash.Edit(18), phash.Edit(19), phash.Edit(20), phash.Edit(21), phash.Edit(22), phash.Edit(23),
			phash.Edit(24), phash.Edit(25), phash.Edit(26)},
		{phash.Transform(0), phash.Transform(5), phash.Transform(29), phash.Transform(255)},
		{phash.Refusal(1), phash.Refusal(2), phash.Refusal(3), phash.Refusal(4), phash.Refusal(5)},
		{phash.Level(0), phash.Level(1), phash.Level(2)},
		{phash.Reading(0), phash.Reading(1), phash.Reading(2), phash.Reading(3)},
	} {
		var s []string
		for _, v := range l {
			s = append(s, v.String())
		}
		got = append(got, strings.Join(s, " "))
	}
	want := []string{
		"none pdq perception Algorithm(255)",
		"upright rotated90 rotated180 rotated270 flipped mirrored transposed antitransposed Orientation(8)",
		"whole trimmed overwhite crop7 crop13 crop20 crop30 square topleft4 topright4 bottomleft4 bottomright4 " +
			"topleft9 topright9 bottomleft9 bottomright9 tiltright tiltleft leanright leanleft cutright cutleft padded overblack withoutalpha part Edit(26)",
		"whole whole+mirrored crop7+mirrored Edit(31)+antitransposed",
		"quality stability bits truncated Refusal(5)",
		"default wide Level(2)",
		"white black colours Reading(3)",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// FuzzParse: what Parse accepts has one text form, which Parse reads back.
func FuzzParse(f *testing.F) {
	for _, s := range []string{bridge, "pdq:" + bridge, "p:8f3c00000000ffff", "p:", "pdq:", "", "a:00", ":", "p:8f3c00000000fffg"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := phash.Parse(s)
		if err != nil {
			var p *phash.ParseError
			if !errors.As(err, &p) || !h.IsZero() {
				t.Fatalf("%v, %v", h, err)
			}
			return
		}
		text := h.String()
		if again, err := phash.Parse(text); err != nil || again != h {
			t.Fatalf("%q is %v; read back %v, %v", s, h, again, err)
		}
		if low := strings.ToLower(s); text != low && text != "pdq:"+low {
			t.Fatalf("%q has the text form %q", s, text)
		}
		for o := range phash.Orientation(8) {
			h.Turned(o)
		}
	})
}
