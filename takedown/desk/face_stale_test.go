package desk_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// faceNode loads what a desk published in its folder.
func faceNode(tb testing.TB, d *desk.Desk, o takedown.EnforcerOptions) (e *takedown.Enforcer, snapshot string) {
	tb.Helper()
	snapshot = filepath.Join(tb.TempDir(), "list.snap")
	ok(tb, d.Publish(ctx, snapshot))
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
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Now = now.Now })
	accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	accept(t, d, notice("https://example.org/b.jpg"), desk.Grant{})
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
	ok(t, d.Publish(ctx, snapshot))
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
	ok(t, d.Publish(ctx, snapshot))
	_, err = e.Reload()
	ok(t, err)
	stored, err = json.Marshal(at)
	ok(t, err)
	sweep("gone on after what was missed", takedown.ErrFacesNotSearched)
	sweep("what was missed", nil, "a")
}

// What the operator chose for a list that is too old counts for its faces too.
func TestLoad_FacesTooOld(t *testing.T) {
	t.Parallel()
	now := &clock{t: day0}
	d := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Now = now.Now })
	accept(t, d, faceOptOut(portrait(t, 1, 0)), desk.Grant{})
	accept(t, d, notice("https://example.org/b.jpg"), desk.Grant{})
	listed := withFaces(portrait(t, 2, 0))
	listed.ImageURLs = []string{"https://example.org/b.jpg"}
	for _, tc := range []struct {
		name string
		opts takedown.EnforcerOptions
		want takedown.Verdict
	}{
		{"not said", takedown.EnforcerOptions{}, takedown.Allow},
		{"unknown", takedown.EnforcerOptions{Stale: takedown.StaleUnknown}, takedown.Unknown},
		{"fail open", takedown.EnforcerOptions{Stale: takedown.StaleAllow}, takedown.Allow},
		{"fail closed", takedown.EnforcerOptions{Stale: takedown.StaleBlock}, takedown.Block},
		{"fail closed, and the list is young enough", takedown.EnforcerOptions{Stale: takedown.StaleBlock, MaxAge: 20 * 24 * time.Hour}, takedown.Block},
	} {
		now.set(day0)
		tc.opts.Now = now.Now
		e, snapshot := faceNode(t, d, tc.opts)
		if got, want := e.Info()[0].FacesUntil, day0.Add(7*24*time.Hour); !got.Equal(want) {
			t.Errorf("%s: faces until %v, want %v", tc.name, got, want)
		}
		wantVerdict(t, tc.name+", fresh", e.Check(withFaces(portrait(t, 1, 1))), takedown.Block)
		now.set(day0.Add(7 * 24 * time.Hour))
		for _, r := range []struct {
			who string
			got takedown.Decision
		}{
			{"the person", e.Check(withFaces(portrait(t, 1, 1)))},
			{"anybody", e.Check(withFaces(portrait(t, 2, 0)))},
			{"in Germany", e.In("DE").Check(withFaces(portrait(t, 1, 1)))},
		} {
			wantVerdict(t, tc.name+", too old, "+r.who, r.got, tc.want)
			if r.got.Checked.Has(takedown.TierFace) || r.got.Why != 0 {
				t.Errorf("%s, too old, %s: %v", tc.name, r.who, r.got)
			}
		}
		wantVerdict(t, tc.name+", too old, no face", e.Check(takedown.Candidate{ImageURLs: []string{"https://example.org/a.jpg"}}), takedown.Allow)
		wantVerdict(t, tc.name+", too old, the zero face", e.Check(withFaces(takedown.Face{})), takedown.Allow)
		wantVerdict(t, tc.name+", too old, listed", e.Check(listed), takedown.Block)
		ok(t, d.Publish(ctx, snapshot))
		_, err := e.Reload()
		ok(t, err)
		wantVerdict(t, tc.name+", fresh again", e.Check(withFaces(portrait(t, 2, 0))), takedown.Allow)
	}
	if until := d.Enforcer().Info()[0].FacesUntil; !until.IsZero() {
		t.Errorf("the faces of a desk can be used until %v", until)
	}

	// A list without faces has none that are too old.
	without := faceDesk(t, t.TempDir(), func(o *desk.Options) { o.Now = now.Now })
	accept(t, without, notice("https://example.org/b.jpg"), desk.Grant{})
	e, _ := faceNode(t, without, takedown.EnforcerOptions{Now: now.Now, Stale: takedown.StaleBlock})
	now.set(now.Now().Add(100 * 24 * time.Hour))
	wantVerdict(t, "a list without faces", e.Check(withFaces(portrait(t, 1, 0))), takedown.Allow)
	if until := e.Info()[0].FacesUntil; !until.IsZero() {
		t.Errorf("a list without faces can be used until %v", until)
	}
}
