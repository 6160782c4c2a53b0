package takedown_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
)

// faceNode loads what a desk published in its folder.
func faceNode(tb testing.TB, d *takedown.Desk, o takedown.EnforcerOptions) (e *takedown.Enforcer, snapshot string) {
	tb.Helper()
	snapshot = filepath.Join(tb.TempDir(), "list.snap")
	ok(tb, d.Publish(snapshot))
	o.EncryptionKey = &blocklist.EncryptionKey{1}
	e, err := takedown.Load(snapshot, &o)
	ok(tb, err)
	tb.Cleanup(func() { e.Close() })
	return e, snapshot
}

// A sweep that cannot compare faces says so and looks for them the next time.
func TestSweep_FacesTooOld(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := faceDesk(t, t.TempDir(), func(o *takedown.DeskOptions) { o.Now = now.Now })
	accept(t, d, faceOptOut(portrait(t, 1, 0)), takedown.Grant{})
	accept(t, d, notice("https://example.org/b.jpg"), takedown.Grant{})
	e, snapshot := faceNode(t, d, takedown.EnforcerOptions{Now: now.Now})
	x := index{
		{Key: "a", Candidate: withFaces(portrait(t, 1, 1))},
		{Key: "b", Candidate: takedown.Candidate{ImageURLs: []string{"https://example.org/b.jpg"}}},
		{Key: "c", Candidate: withFaces(portrait(t, 2, 1))},
	}
	// Every sweep goes on with what was stored of the cursor, as after a restart.
	var stored []byte
	sweep := func(what string, wantErr error, want ...string) {
		t.Helper()
		var at takedown.Cursor
		if stored != nil {
			ok(t, json.Unmarshal(stored, &at))
		}
		var got []string
		var failed error
		for f, err := range e.Sweep(ctx, x.items, &at) {
			if failed = err; err == nil {
				got = append(got, f.Item.Key)
			}
		}
		if !errors.Is(failed, wantErr) {
			t.Errorf("%s: error %v, want %v", what, failed, wantErr)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		var err error
		stored, err = json.Marshal(at)
		ok(t, err)
	}
	now.set(day0.Add(8 * 24 * time.Hour))
	sweep("faces too old", takedown.ErrFacesNotSearched, "b")
	sweep("still too old", takedown.ErrFacesNotSearched)
	ok(t, d.Publish(snapshot))
	_, err := e.Reload()
	ok(t, err)
	sweep("loaded anew", nil, "a")
	sweep("nothing new", nil)

	// Where no item has faces nothing is missed.
	now.set(now.Now().Add(8 * 24 * time.Hour))
	var at takedown.Cursor
	for f, err := range e.Sweep(ctx, x[1:2].items, &at) {
		if err != nil || f.Item.Key != "b" {
			t.Errorf("no faces: %s, %v", f.Item.Key, err)
		}
	}

	// An interruption does not forget what was missed before it.
	at = takedown.Cursor{}
	for range e.Sweep(ctx, x.items, &at) {
		break // at b
	}
	ok(t, d.Publish(snapshot))
	_, err = e.Reload()
	ok(t, err)
	stored, err = json.Marshal(at)
	ok(t, err)
	sweep("gone on after what was missed", takedown.ErrFacesNotSearched)
	sweep("what was missed", nil, "a")
}
