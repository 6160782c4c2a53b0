package blocklist_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
)

func TestSignature(t *testing.T) {
	t.Parallel()
	newKey := func(seed byte) (ed25519.PublicKey, ed25519.PrivateKey) {
		k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
		return k.Public().(ed25519.PublicKey), k
	}
	ours, private := newKey(1)
	other, _ := newKey(2)
	dir := t.TempDir()
	publish := func(name string, key ed25519.PrivateKey) string {
		l := open(t, filepath.Join(dir, name), &blocklist.Options{SigningKey: key})
		mustAppend(t, l, addedRule(t, l, 1, "https://example.com/"))
		path := filepath.Join(dir, name+".snap")
		if err := l.Publish(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	signed, unsigned := publish("signed", private), publish("unsigned", nil)

	// Another content under the checksums that fit it, as an attacker would
	// make it: the signature is all that is left to tell.
	data, err := os.ReadFile(signed)
	if err != nil {
		t.Fatal(err)
	}
	data[32] ^= 1 // the time of writing
	forged := writeFile(t, dir, blocklist.Reseal(data))

	tests := []struct {
		name, path string
		trusted    []ed25519.PublicKey
		want       error
	}{
		{"signed by a trusted key", signed, []ed25519.PublicKey{ours}, nil},
		{"signed by one of two", signed, []ed25519.PublicKey{other, ours}, nil},
		{"signed, nobody asked", signed, nil, nil},
		{"signed by another key", signed, []ed25519.PublicKey{other}, blocklist.ErrKey},
		{"not signed", unsigned, []ed25519.PublicKey{ours}, blocklist.ErrKey},
		{"forged", forged, []ed25519.PublicKey{ours}, blocklist.ErrSignature},
		{"forged, nobody asked", forged, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, mapped := range []bool{false, true} {
				l, err := blocklist.Load(tt.path, &blocklist.LoadOptions{TrustedKeys: tt.trusted, Map: mapped})
				if !errors.Is(err, tt.want) {
					t.Fatalf("Load: %v, want %v", err, tt.want)
				}
				if err == nil && len(blocked(t, l.State(), "https://example.com/")) != 1 {
					t.Error("the rule is lost")
				}
			}
		})
	}
}

// A key that cannot sign is refused by Open, not by a panic of Publish.
func TestOpen_SigningKey(t *testing.T) {
	for _, n := range []int{0, 12, 32, 65} {
		l, err := boltjournal.Open(t.TempDir(), &blocklist.Options{SigningKey: make([]byte, n)})
		if !errors.Is(err, blocklist.ErrKey) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if l != nil {
			l.Close()
		}
	}
}
