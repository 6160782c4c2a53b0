package embedding_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/staydown/staydown/internal/embedding"
)

func TestSeal(t *testing.T) {
	t.Parallel()
	v, err := embedding.New(model(64), ramp(64))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := v.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	key, context := embedding.NewKey(), []byte("list 1, rule 7")
	sealed, err := embedding.Seal(key, context, v)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) != len(plain)+29 {
		t.Errorf("sealed %d bytes to %d", len(plain), len(sealed))
	}
	for n := 4; n <= len(plain); n++ {
		if bytes.Contains(sealed, plain[n-4:n]) {
			t.Errorf("bytes %d to %d can be read in the sealed vector", n-4, n)
		}
	}
	again, err := embedding.Seal(key, context, v)
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("sealing twice gives the same bytes; error %v", err)
	}

	for _, test := range []struct {
		name    string
		key     embedding.Key
		context []byte
		sealed  []byte
		want    error
	}{
		{"whole", key, context, sealed, nil},
		{"sealed again", key, context, again, nil},
		{"other key", embedding.NewKey(), context, sealed, embedding.ErrSealed},
		{"no key", embedding.Key{}, context, sealed, embedding.ErrSealed},
		{"other context", key, []byte("list 1, rule 8"), sealed, embedding.ErrSealed},
		{"no context", key, nil, sealed, embedding.ErrSealed},
		{"empty", key, context, nil, embedding.ErrSealed},
		{"version only", key, context, sealed[:1], embedding.ErrSealed},
		{"cut", key, context, sealed[:len(sealed)-1], embedding.ErrSealed},
		{"more", key, context, append(slices.Clone(sealed), 0), embedding.ErrSealed},
		{"much more", key, context, append(slices.Clone(sealed), make([]byte, 1<<20)...), embedding.ErrSealed},
		{"version 0", key, context, set(0, 0)(slices.Clone(sealed)), embedding.ErrSealed},
		{"version of tomorrow", key, context, set(0, 2)(slices.Clone(sealed)), embedding.ErrSealVersion},
		{"no vector inside", key, context, embedding.SealBytes(key, context, plain[:20]), embedding.ErrVectorCorrupt},
	} {
		got, err := embedding.Open(test.key, test.context, test.sealed)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want one that wraps %v", test.name, err, test.want)
		}
		if err != nil {
			if !got.IsZero() {
				t.Errorf("%s: %v with error %v", test.name, got, err)
			}
			continue
		}
		if diff := cmp.Diff(embedding.Components(v), embedding.Components(got)); diff != "" || got.Model() != v.Model() {
			t.Errorf("%s: model %v, components (-want +got):\n%s", test.name, got.Model(), diff)
		}
	}
	// Every bit counts.
	for i := range 8 * len(sealed) {
		damaged := slices.Clone(sealed)
		damaged[i/8] ^= 1 << (i % 8)
		if _, err := embedding.Open(key, context, damaged); err == nil {
			t.Errorf("opens with bit %d changed", i)
		}
	}
	if _, err := embedding.Seal(key, context, embedding.Vector{}); !errors.Is(err, embedding.ErrZero) {
		t.Errorf("Seal of the zero Vector: error %v, want ErrZero", err)
	}
}

func TestKeyPrintsNothing(t *testing.T) {
	t.Parallel()
	k := embedding.Key{0: 171, 1: 205}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%X", "%q"} {
		for _, got := range []string{fmt.Sprintf(verb, k), fmt.Sprintf(verb, struct{ K embedding.Key }{k})} {
			if !strings.Contains(got, "Key(secret)") {
				t.Errorf("%s prints %q", verb, got)
			}
		}
	}
}

// FuzzOpen checks that no bytes but those that were sealed open.
func FuzzOpen(f *testing.F) {
	v, err := embedding.New(model(64), ramp(64))
	if err != nil {
		f.Fatal(err)
	}
	key := embedding.Key{1, 2, 3}
	sealed, err := embedding.Seal(key, []byte("context"), v)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, []byte("context"))
	f.Add(sealed[:30], []byte("context"))
	f.Add([]byte{2}, []byte(nil))
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, b, context []byte) {
		v, err := embedding.Open(key, context, b)
		switch {
		case err == nil:
			if v.IsZero() || string(context) != "context" {
				t.Fatalf("opened %v in context %q", v, context)
			}
		case !errors.Is(err, embedding.ErrSealed) && !errors.Is(err, embedding.ErrSealVersion):
			t.Fatal(err)
		}
	})
}
