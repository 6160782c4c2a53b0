package takedown_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"testing"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Files that a list names by SHA-1 or MD5 are found, by every call, and also after
// the candidate was sent.
func TestDigests(t *testing.T) {
	t.Parallel()
	files := map[string]blocklist.Keys{"a file": {}, "another file": {}, "a third one": {}}
	for name := range files {
		keys := blocklist.Keys{SHA1: [][20]byte{sha1.Sum([]byte(name))}}
		if name == "another file" {
			keys = blocklist.Keys{MD5: [][16]byte{md5.Sum([]byte(name))}}
		}
		files[name] = keys
	}
	l, err := blocklist.New(blocklist.NewMemoryJournal(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e, err := takedown.NewEnforcer([]takedown.ListSource{{List: l}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, c, err := e.CheckFile(context.Background(), bytes.NewReader([]byte("a file")), takedown.Source{}, nil); !errors.As(err, new(*phash.DecodeError)) || c.SHA1 != [20]byte{} || c.MD5 != [16]byte{} {
		t.Errorf("digests that no list has are computed: %v", err)
	}
	id := byte(0)
	for name, keys := range files {
		if id++; name == "a third one" {
			continue
		}
		if _, err := l.Append(context.Background(), blocklist.Event{ID: [16]byte{id}, Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Kind: 1, Scope: blocklist.ScopeBytes, Effect: blocklist.EffectBlock, Case: [16]byte{1}, Keys: keys}}); err != nil {
			t.Fatal(err)
		}
	}
	for name := range files {
		want := takedown.Block
		if name == "a third one" {
			want = takedown.Allow
		}
		d, _, err := e.CheckFile(context.Background(), bytes.NewReader([]byte(name)), takedown.Source{}, nil)
		if d.Verdict != want || !d.Checked.Has(takedown.TierBytes) {
			t.Errorf("CheckFile of %s: %v, %v", name, d, err)
		}
		c, err := takedown.Inspect(bytes.NewReader([]byte(name)), takedown.Source{}, nil)
		if !errors.As(err, new(*phash.DecodeError)) { // not a picture; its bytes count
			t.Fatal(err)
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var sent takedown.Candidate
		if err := json.Unmarshal(text, &sent); err != nil {
			t.Fatal(err)
		}
		sent.SHA256 = [32]byte{} // one digest is enough
		for _, c := range []takedown.Candidate{c, sent} {
			if d := e.Check(c); d.Verdict != want || !d.Checked.Has(takedown.TierBytes) {
				t.Errorf("Check of %s: %v", name, d)
			}
		}
	}
	var c takedown.Candidate
	for _, text := range []string{`{"version":1,"sha1":"00"}`, `{"version":1,"md5":"zz"}`, `{"version":1,"sha1":"` + string(bytes.Repeat([]byte("zz"), 20)) + `"}`} {
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			t.Errorf("%s is read", text)
		}
	}
}
