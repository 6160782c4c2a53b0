package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staydown/staydown/blocklist/feed"
)

// contradict signs a pointer anew whose digest is not that of its files, and
// returns the one it replaces.
func (d *desk) contradict() []byte {
	d.tb.Helper()
	path := filepath.Join(d.to, "latest")
	text, err := os.ReadFile(path)
	if err != nil {
		d.tb.Fatal(err)
	}
	var content map[string]json.RawMessage
	if err := json.Unmarshal(bytes.Split(text, []byte("\n"))[1], &content); err != nil {
		d.tb.Fatal(err)
	}
	content["digest"] = json.RawMessage(`"` + strings.Repeat("5a", 32) + `"`)
	b, err := json.Marshal(content)
	if err != nil {
		d.tb.Fatal(err)
	}
	if err := os.WriteFile(path, feed.Resign(b, signingKey), 0o600); err != nil {
		d.tb.Fatal(err)
	}
	return text
}

// A pointer that contradicts its deltas changes nothing.
func TestPointerContradictsDeltas(t *testing.T) {
	t.Parallel()
	d := published(t, 200)
	f := follow(t, d.to, manual(t))
	at := f.List().State().Position()
	d.add(1)
	d.publish()
	good := d.contradict()
	if err := f.Poll(context.Background()); !errors.Is(err, feed.ErrMismatch) {
		t.Errorf("Poll: %v, want %v", err, feed.ErrMismatch)
	}
	if got := f.List().State().Position(); got != at {
		t.Errorf("the reader is at %v, want %v", got, at)
	}
	if err := os.WriteFile(filepath.Join(d.to, "latest"), good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Poll(context.Background()); err != nil {
		t.Fatal(err)
	}
	d.reaches(f)
}
