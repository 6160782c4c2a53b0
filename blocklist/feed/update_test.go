package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/staydown/staydown/blocklist"
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

// A pointer that contradicts its deltas, or a base without deltas, changes nothing:
// no State is ever shown that the pointer does not name.
func TestPointerContradictsFiles(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, onlyBase := range []bool{false, true} {
		d := published(t, 200)
		o := manual(t)
		var shown atomic.Int64
		o.Observer = observe(func(n blocklist.Observation) {
			if (n.Op == blocklist.OpAdvance || n.Op == blocklist.OpReload) && n.Err == nil {
				shown.Add(1)
			}
		})
		f := follow(t, d.to, o)
		at := f.List().State().Position()
		d.add(1)
		if onlyBase {
			if err := os.RemoveAll(d.to); err != nil {
				t.Fatal(err)
			}
			d.list.Close()
			d.open()
		}
		d.publish()
		good := d.contradict()
		if err := f.Poll(ctx); !errors.Is(err, blocklist.ErrPosition) {
			t.Errorf("only a base %t: Poll: %v, want %v", onlyBase, err, blocklist.ErrPosition)
		}
		if got := f.List().State().Position(); got != at || shown.Load() != 0 {
			t.Errorf("only a base %t: the reader is at %v, want %v; %d States were shown", onlyBase, got, at, shown.Load())
		}
		if g, err := feed.Follow(ctx, d.to, manual(t)); !errors.Is(err, blocklist.ErrPosition) {
			t.Errorf("only a base %t: a new reader: %v, want %v", onlyBase, err, blocklist.ErrPosition)
			if err == nil {
				g.Close()
			}
		}
		if err := os.WriteFile(filepath.Join(d.to, "latest"), good, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.Poll(ctx); err != nil {
			t.Fatal(err)
		}
		d.reaches(f)
	}
}

// observe is a blocklist.Observer.
type observe func(blocklist.Observation)

func (o observe) Observe(n blocklist.Observation) { o(n) }
