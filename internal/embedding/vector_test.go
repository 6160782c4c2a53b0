package embedding_test

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/internal/sharedtest"
)

var _ encoding.BinaryAppender = embedding.Vector{}
var _ encoding.BinaryMarshaler = embedding.Vector{}

// ramp returns n components 0.5, 1, 1.5 and so on.
func ramp(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i+1) / 2
	}
	return x
}

func with(x []float32, i int, f float64) []float32 {
	x = slices.Clone(x)
	x[i] = float32(f)
	return x
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		model embedding.Model
		x     []float32
		want  error
		text  string
	}{
		{"fewest dimensions", model(64), ramp(64), nil, ""},
		{"most dimensions", model(2048), ramp(2048), nil, ""},
		{"not a multiple of eight", model(77), ramp(77), nil, ""},
		{"longest name", embedding.Model{Name: strings.Repeat("~", 64), Dimensions: 64}, ramp(64), nil, ""},
		{"negative zeros and one", model(64), with(make([]float32, 64), 3, 1e-45), nil, ""},
		{"biggest floats", model(64), with(ramp(64), 3, -math.MaxFloat32), nil, ""},
		{"no name", embedding.Model{Dimensions: 64}, ramp(64), embedding.ErrModel, "0 bytes"},
		{"name too long", embedding.Model{Name: strings.Repeat("a", 65), Dimensions: 64}, ramp(64), embedding.ErrModel, "65 bytes"},
		{"name with a space", embedding.Model{Name: "arc face", Dimensions: 64}, ramp(64), embedding.ErrModel, "byte 3 of the model's name is 0x20"},
		{"name not ASCII", embedding.Model{Name: "é", Dimensions: 64}, ramp(64), embedding.ErrModel, "byte 0"},
		{"too few dimensions", model(63), ramp(63), embedding.ErrDimensions, "accepted are 64 to 2048"},
		{"too many dimensions", model(2049), ramp(2049), embedding.ErrDimensions, "2049"},
		{"negative dimensions", model(-1), nil, embedding.ErrDimensions, "-1"},
		{"short vector", model(64), ramp(63), embedding.ErrDimensions, "63 components"},
		{"long vector", model(64), ramp(65), embedding.ErrDimensions, "65 components"},
		{"no vector", model(64), nil, embedding.ErrDimensions, "0 components"},
		{"NaN", model(64), with(ramp(64), 17, math.NaN()), embedding.ErrNotFinite, "component 17"},
		{"infinite", model(64), with(ramp(64), 63, math.Inf(1)), embedding.ErrNotFinite, "component 63"},
		{"negative infinite", model(64), with(ramp(64), 0, math.Inf(-1)), embedding.ErrNotFinite, "component 0"},
		{"zero", model(64), make([]float32, 64), embedding.ErrZero, "64 components"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, err := embedding.New(test.model, test.x)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want one that wraps %v", err, test.want)
			}
			if err != nil {
				if !v.IsZero() || v.Model() != (embedding.Model{}) {
					t.Errorf("with the error: %v", v)
				}
				if !strings.HasPrefix(err.Error(), "embedding: ") || !strings.Contains(err.Error(), test.text) {
					t.Errorf("error %q, want one of package embedding that says %q", err, test.text)
				}
				return
			}
			if v.IsZero() || v.Model() != test.model {
				t.Errorf("got %v of model %v", v, v.Model())
			}
			if c, ok := v.Similarity(v); c != 1 || !ok {
				t.Errorf("similarity to itself %v, %v, want exactly 1", c, ok)
			}
		})
	}
}

// TestComponents pins how components are rounded, which stored vectors depend
// on.
func TestComponents(t *testing.T) {
	t.Parallel()
	x := make([]float32, 64)
	copy(x, []float32{1, -2, 0.5, 2, 1.9999, 0.0078, 0.0079, -0.0078, -0.0079, 0.02362})
	v, err := embedding.New(model(64), x)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]int8, 64)
	copy(want, []int8{64, -127, 32, 127, 127, 0, 1, 0, -1, 1})
	if diff := cmp.Diff(want, embedding.Components(v)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Length does not count.
	for _, factor := range []float32{1e-30, 3, 1e30} {
		y := slices.Clone(x)
		for i := range y {
			y[i] *= factor
		}
		w, err := embedding.New(model(64), y)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, embedding.Components(w)); diff != "" {
			t.Errorf("times %g (-want +got):\n%s", factor, diff)
		}
	}
}

func TestSimilarity(t *testing.T) {
	t.Parallel()
	axis := func(m embedding.Model, signs ...float32) embedding.Vector {
		x := make([]float32, m.Dimensions)
		copy(x, signs)
		v, err := embedding.New(m, x)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	a := axis(model(64), 1)
	for _, test := range []struct {
		name string
		w    embedding.Vector
		want float64
		ok   bool
	}{
		{"same", axis(model(64), 5), 1, true},
		{"opposite", axis(model(64), -1), -1, true},
		{"orthogonal", axis(model(64), 0, 1), 0, true},
		{"60 degrees", axis(model(64), 1, 1, 1, -1), 0.5, true},
		{"other name", axis(embedding.Model{Name: "test@2", Dimensions: 64}, 1), 0, false},
		{"other dimensions", axis(model(65), 1), 0, false},
		{"zero Vector", embedding.Vector{}, 0, false},
	} {
		for _, pair := range [][2]embedding.Vector{{a, test.w}, {test.w, a}} {
			if c, ok := pair[0].Similarity(pair[1]); c != test.want || ok != test.ok {
				t.Errorf("%s: %v, %v, want %v, %v", test.name, c, ok, test.want, test.ok)
			}
		}
	}
	if _, ok := (embedding.Vector{}).Similarity(embedding.Vector{}); ok {
		t.Error("the zero Vector is similar to itself")
	}
}

// TestStoredSimilarity measures what one byte for every component costs: how
// far similarities move.
func TestStoredSimilarity(t *testing.T) {
	t.Parallel()
	for _, dimensions := range []int{64, 128, 512, 2048} {
		for _, f := range families {
			rng := rand.New(rand.NewPCG(5, uint64(dimensions)))
			x, y := make([]float64, dimensions), make([]float64, dimensions)
			worst, squares := 0.0, 0.0
			const pairs = 500
			for i := range pairs {
				f.draw(rng, x)
				scaleTo1(x)
				atSimilarity(rng, f, x, float64(i)/pairs, y)
				exact := 0.0
				for k := range x {
					exact += x[k] * y[k]
				}
				got, _ := newVector(t, model(dimensions), x).Similarity(newVector(t, model(dimensions), y))
				worst = max(worst, math.Abs(got-exact))
				squares += (got - exact) * (got - exact)
			}
			t.Logf("%s/%d: moved by %.5f (standard deviation), %.5f at most", f.name, dimensions, math.Sqrt(squares/pairs), worst)
			if worst > 0.01 {
				t.Errorf("%s/%d: a similarity moved by %.4f", f.name, dimensions, worst)
			}
		}
	}
}

func TestSetReuses(t *testing.T) {
	x := ramp(512)
	var v embedding.Vector
	if n := sharedtest.AllocsPerRun(100, func() {
		if err := v.Set(model(512), x); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Set with enough memory allocates %v times", n)
	}
	if err := v.Set(model(512), nil); err == nil || !v.IsZero() {
		t.Errorf("Set without components: %v, %v", v, err)
	}
}

func TestVectorPrintsNoComponent(t *testing.T) {
	t.Parallel()
	v, err := embedding.New(model(64), ramp(64))
	if err != nil {
		t.Fatal(err)
	}
	const want = "Vector(test@1, 64 dimensions)"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		if got := fmt.Sprintf(verb, v); got != want {
			t.Errorf("%s prints %q, want %q", verb, got, want)
		}
		if got := fmt.Sprintf(verb, struct{ V embedding.Vector }{v}); strings.Contains(got, "127") || strings.Contains(got, "7f") {
			t.Errorf("%s of a struct with a vector prints %q", verb, got)
		}
	}
	if got := fmt.Sprint(embedding.Vector{}); got != "Vector(none)" {
		t.Errorf("the zero Vector prints %q", got)
	}
}

// encoded returns a vector's encoding, changed.
func encoded(tb testing.TB, change func(b []byte) []byte) []byte {
	tb.Helper()
	v, err := embedding.New(model(64), ramp(64))
	if err != nil {
		tb.Fatal(err)
	}
	b, err := v.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return change(b)
}

func set(at int, c byte) func([]byte) []byte {
	return func(b []byte) []byte { b[at] = c; return b }
}

func TestDecodeVector(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		b    []byte
		want error
	}{
		{"whole", encoded(t, func(b []byte) []byte { return b }), nil},
		{"empty", nil, embedding.ErrVectorCorrupt},
		{"version only", []byte{1}, embedding.ErrVectorCorrupt},
		{"version 0", encoded(t, set(0, 0)), embedding.ErrVectorCorrupt},
		{"version of tomorrow", encoded(t, set(0, 2)), embedding.ErrVectorVersion},
		{"name longer than all", encoded(t, set(1, 255)), embedding.ErrVectorCorrupt},
		{"name with a zero", encoded(t, set(2, 0)), embedding.ErrModel},
		{"no name", []byte{1, 0, 64, 0}, embedding.ErrModel},
		{"dimensions 63", encoded(t, set(8, 63)), embedding.ErrDimensions},
		{"dimensions 65", encoded(t, set(8, 65)), embedding.ErrVectorCorrupt},
		{"component missing", encoded(t, func(b []byte) []byte { return b[:len(b)-1] }), embedding.ErrVectorCorrupt},
		{"component too many", encoded(t, func(b []byte) []byte { return append(b, 0) }), embedding.ErrVectorCorrupt},
		{"not scaled to 127", encoded(t, func(b []byte) []byte { b[len(b)-1] = 126; return b }), embedding.ErrVectorCorrupt},
		{"component -128", encoded(t, func(b []byte) []byte { b[len(b)-1] = 128; return b }), embedding.ErrVectorCorrupt},
		{"zeros", encoded(t, func(b []byte) []byte { clear(b[10:]); return b }), embedding.ErrVectorCorrupt},
	} {
		v, err := embedding.DecodeVector(test.b)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want one that wraps %v", test.name, err, test.want)
		}
		if err != nil && !v.IsZero() {
			t.Errorf("%s: %v with error %v", test.name, v, err)
		}
	}
	if _, err := (embedding.Vector{}).AppendBinary(nil); !errors.Is(err, embedding.ErrZero) {
		t.Errorf("AppendBinary of the zero Vector: error %v, want ErrZero", err)
	}
}

// FuzzDecodeVector checks that what is decoded encodes to the same bytes.
func FuzzDecodeVector(f *testing.F) {
	f.Add(encoded(f, func(b []byte) []byte { return b }))
	f.Add(encoded(f, set(0, 2)))
	f.Add(encoded(f, set(1, 255)))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := embedding.DecodeVector(b)
		if err != nil {
			return
		}
		got, err := v.AppendBinary(nil)
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%x became %x, error %v", b, got, err)
		}
		if c, ok := v.Similarity(v); c != 1 || !ok {
			t.Fatalf("similarity to itself %v, %v", c, ok)
		}
	})
}

// FuzzNew checks that any floats give an error or a vector that is similar to
// itself, and encodes.
func FuzzNew(f *testing.F) {
	f.Add(uint32(0x3f800000), uint32(0x7f800000), uint32(1))
	f.Add(uint32(0x80000000), uint32(0x00000001), uint32(0x7fc00000))
	f.Add(uint32(0x7f7fffff), uint32(0xff7fffff), uint32(0))
	f.Fuzz(func(t *testing.T, a, b, c uint32) {
		x := make([]float32, 64)
		x[0], x[31], x[63] = math.Float32frombits(a), math.Float32frombits(b), math.Float32frombits(c)
		v, err := embedding.New(model(64), x)
		if err != nil {
			if !errors.Is(err, embedding.ErrNotFinite) && !errors.Is(err, embedding.ErrZero) {
				t.Fatal(err)
			}
			return
		}
		encoded, err := v.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		w, err := embedding.DecodeVector(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := v.Similarity(w); c != 1 || !ok {
			t.Fatalf("similarity to its copy %v, %v", c, ok)
		}
	})
}
