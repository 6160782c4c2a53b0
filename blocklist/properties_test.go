package blocklist_test

import (
	"context"
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/phash"
)

// What a key has of its own (reach, view, digest of another kind) and the purposes
// of its rule are obeyed wherever the key is: among what came last, in runs, in the
// base, after a restart, in a published snapshot and in a list without a folder.
func TestKeyProperties(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := func(bits int) phash.Hash { // so many bits from the hash of zeros
		var w [4]uint64
		for i := range bits {
			w[i/64] |= 1 << (i % 64)
		}
		h, err := phash.FromWords(phash.AlgPDQ, w)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	views := []blocklist.View{{Frame: 2, Reading: phash.ReadingBlack}, {Rect: image.Rect(5, 6, 70, 80)}}
	set := featuresOf(t, 5).Compact()
	rule := func(id uint64, p blocklist.Purposes, k blocklist.Keys) blocklist.Event {
		return blocklist.Event{ID: newID(id), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeDuplicate, Effect: blocklist.EffectBlock, Purposes: p, Keys: k}}
	}
	events := []blocklist.Event{
		rule(1, 0, blocklist.Keys{Hashes: []blocklist.HashKey{
			{Hash: key(10), Variant: 1, Reach: blocklist.ReachBits(10), View: 1},
			{Hash: key(11), Variant: 2, Reach: blocklist.ReachBits(10), View: 2},
			{Hash: key(12), Variant: 3},
			{Hash: key(0), Variant: 4, Reach: blocklist.ReachBits(0), View: 2},
		}, Views: views, Features: []blocklist.Features{set}, FeatureViews: []uint8{2}}),
		rule(2, blocklist.PurposeTrain, blocklist.Keys{Bytes: [][32]byte{{1}}, SHA1: [][20]byte{{2}}, MD5: [][16]byte{{3}}}),
		rule(3, blocklist.PurposeFace|blocklist.PurposeIndex, blocklist.Keys{Bytes: [][32]byte{{1}}}),
		rule(4, 0, blocklist.Keys{SHA1: [][20]byte{{2}}, MD5: [][16]byte{{3}}}),
		{ID: newID(5), Type: blocklist.EventDerived, Target: 2, Keys: blocklist.Keys{Bytes: [][32]byte{{7}}}},
	}
	check := func(what string, v *blocklist.State) {
		t.Helper()
		var got []string
		ask := func(name string, find func(func(blocklist.Hit) bool) bool) {
			var hits []string
			find(func(h blocklist.Hit) bool {
				text := fmt.Sprintf("%d/%d", h.Rule, h.Variant)
				if view, ok := v.ViewOf(h); ok {
					text += fmt.Sprintf(" %d %v %v", view.Frame, view.Reading, view.Rect)
				}
				hits = append(hits, text)
				return true
			})
			slices.Sort(hits)
			got = append(got, fmt.Sprint(name, " ", hits))
		}
		ask("hash", func(y func(blocklist.Hit) bool) bool { return v.FindHash(key(0), 20, y) })
		ask("hash, 1 bit", func(y func(blocklist.Hit) bool) bool { return v.FindHash(key(1), 20, y) })
		ask("hash, radius 9", func(y func(blocklist.Hit) bool) bool { return v.FindHash(key(0), 9, y) })
		file := &blocklist.Digests{SHA256: [32]byte{1}, SHA1: [20]byte{2}, MD5: [16]byte{3}}
		for _, p := range []blocklist.Purposes{0, blocklist.PurposeIndex, blocklist.PurposeTrain, blocklist.PurposeTrain | blocklist.PurposeFace} {
			ask("file for "+p.String(), func(y func(blocklist.Hit) bool) bool { return v.For(p).FindFile(file, y) })
		}
		ask("learned", func(y func(blocklist.Hit) bool) bool { return v.For(blocklist.PurposeTrain).FindBytes([32]byte{7}, y) })
		ask("learned for every use", func(y func(blocklist.Hit) bool) bool { return v.FindBytes([32]byte{7}, y) })
		ask("without SHA-1", func(y func(blocklist.Hit) bool) bool {
			return v.FindFile(&blocklist.Digests{SHA256: [32]byte{9}, MD5: [16]byte{3}}, y)
		})
		ask("features", func(y func(blocklist.Hit) bool) bool {
			v.FindFeatures(new(blocklist.FeatureSearcher), featuresOf(t, 5), nil, func(h blocklist.Hit, _ blocklist.FeatureMatch) bool { return y(h) })
			return true
		})
		want := []string{
			"hash [1/1 2 black (0,0)-(0,0) 1/3 1/4 0 white (5,6)-(70,80)]",
			"hash, 1 bit [1/1 2 black (0,0)-(0,0) 1/2 0 white (5,6)-(70,80) 1/3]",
			"hash, radius 9 [1/4 0 white (5,6)-(70,80)]",
			"file for every use [4/0 4/0]",
			"file for index [3/0 4/0 4/0]",
			"file for train [2/0 2/0 2/0 4/0 4/0]",
			"file for train+face [2/0 2/0 2/0 3/0 4/0 4/0]",
			"learned [2/0]",
			"learned for every use []",
			"without SHA-1 [4/0]",
			"features [1/0 0 white (5,6)-(70,80)]",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if sha1, md5 := v.NeedsDigests(); !sha1 || !md5 {
			t.Errorf("%s: needs SHA-1 %t, MD5 %t", what, sha1, md5)
		}
		if r, _, _ := v.Rule(3); r.Purposes != blocklist.PurposeFace|blocklist.PurposeIndex {
			t.Errorf("%s: rule 3 is for %v", what, r.Purposes)
		}
	}
	for name, start := range map[string]func() (*blocklist.List, error){
		"folder": func() (*blocklist.List, error) { return boltjournal.Open(filepath.Join(dir, "l"), nil) },
		"memory": func() (*blocklist.List, error) { return blocklist.New(blocklist.NewMemoryJournal(), "", nil) },
	} {
		l, err := start()
		if err != nil {
			t.Fatal(err)
		}
		if sha1, md5 := l.State().NeedsDigests(); sha1 || md5 {
			t.Errorf("%s: an empty list needs digests", name)
		}
		mustAppend(t, l, events...)
		check(name+": what came last", l.State())
		if err := l.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		check(name+": base", l.State())
		path := filepath.Join(dir, name+".snap")
		if err := l.Publish(path); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		loaded, err := blocklist.Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		check(name+": published", loaded.State())
		if name == "folder" {
			l := open(t, filepath.Join(dir, "l"), nil)
			check("opened again", l.State())
		}
	}
}
