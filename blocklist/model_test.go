package blocklist_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/boltjournal"
	"github.com/staydown/staydown/internal/embedding"
	"github.com/staydown/staydown/phash"
)

// A clock that tests move.
type clock struct{ sec atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.sec.Store(1_750_000_000)
	return c
}

func (c *clock) now() time.Time { return time.Unix(c.sec.Load(), 500_000_000) }

// The model is the list as plainly as it can be said: a slice of grants,
// searched from end to end.
type model struct {
	clock  *clock
	seq    uint64
	grants []modelGrant
	except []modelException
	ids    map[[16]byte]uint64
	// faces are the vectors that were sealed, by what came out; open finds those
	// that are not there.
	faces map[string]blocklist.FaceVector
	open  func(event [16]byte, f blocklist.Face) blocklist.FaceVector
}

func newModel(c *clock) *model {
	return &model{clock: c, ids: map[[16]byte]uint64{}, faces: map[string]blocklist.FaceVector{}}
}

// seal is SealFaces, remembered. It returns none for an event that cannot have
// faces any more.
func (m *model) seal(l *blocklist.List, event [16]byte, limits blocklist.FaceLimits, vectors ...blocklist.FaceVector) ([]blocklist.Face, error) {
	faces, err := l.SealFaces(event, limits, vectors...)
	for i, f := range faces {
		m.faces[string(f.Sealed)] = vectors[i]
	}
	if errors.Is(err, blocklist.ErrEvent) {
		err = nil
	}
	return faces, err
}

type modelGrant struct {
	event, rule uint64
	r           blocklist.Rule
	until       time.Time
	keys        blocklist.Keys
	learned     bool
	ended       bool
}

type modelException struct {
	event, rule uint64
	keys        blocklist.Keys
	until       time.Time
	ended       bool
}

func (m *model) apply(e blocklist.Event) uint64 {
	if seq, ok := m.ids[e.ID]; ok {
		return seq
	}
	m.seq++
	m.ids[e.ID] = m.seq
	live := func(rule uint64) *modelGrant {
		for i := range m.grants {
			if g := &m.grants[i]; g.event == rule && !g.learned && !g.ended {
				return g
			}
		}
		return nil
	}
	switch e.Type {
	case blocklist.EventAdded:
		for _, f := range e.Rule.Keys.Faces {
			if _, ok := m.faces[string(f.Sealed)]; !ok && m.open != nil {
				m.faces[string(f.Sealed)] = m.open(e.ID, f)
			}
		}
		m.grants = append(m.grants, modelGrant{event: m.seq, rule: m.seq, r: *e.Rule, keys: e.Rule.Keys})
	case blocklist.EventDerived:
		if g := live(e.Target); g != nil {
			m.grants = append(m.grants, modelGrant{event: m.seq, rule: e.Target, r: g.r, keys: e.Keys, until: e.Until, learned: true})
		}
	case blocklist.EventException:
		if e.Target == 0 || live(e.Target) != nil {
			m.except = append(m.except, modelException{event: m.seq, rule: e.Target, keys: e.Keys, until: e.Until})
		}
	case blocklist.EventRevoked:
		if live(e.Target) != nil {
			for i := range m.grants {
				if m.grants[i].rule == e.Target {
					m.grants[i].ended = true
				}
			}
			for i := range m.except {
				if m.except[i].rule == e.Target {
					m.except[i].ended = true
				}
			}
		}
	case blocklist.EventReverted:
		for i := range m.grants {
			if g := &m.grants[i]; g.event == e.Target && g.learned {
				g.ended = true
			}
		}
		for i := range m.except {
			if m.except[i].event == e.Target {
				m.except[i].ended = true
			}
		}
	}
	return m.seq
}

// hasFaces reports whether a rule that has not ended has a face.
func (m *model) hasFaces() bool {
	return slices.ContainsFunc(m.grants, func(g modelGrant) bool {
		return len(g.keys.Faces) > 0 && !g.ended && (g.r.End.IsZero() || m.clock.now().Before(g.r.End))
	})
}

// checkKeys looks for keys of rules that were revoked.
func (m *model) checkKeys(t interface{ Fatalf(string, ...any) }, l *blocklist.List) {
	for _, id := range l.FaceKeys() {
		if seq, ok := m.ids[id]; ok {
			for i := range m.grants {
				if g := &m.grants[i]; g.event == seq && g.ended {
					t.Fatalf("the key of rule %d, which was revoked, is there", seq)
				}
			}
		}
	}
}

func (m *model) inForce(g *modelGrant) bool {
	now := m.clock.now()
	started := g.r.Start.IsZero() || !now.Before(g.r.Start)
	ended := !g.r.End.IsZero() && !now.Before(g.r.End) || !g.until.IsZero() && !now.Before(g.until)
	return !g.ended && started && !ended
}

// found describes a hit in a way that the model and the list can both give.
type found struct {
	Rule, Event uint64
	Case        [16]byte
	Kind        uint8
	Width       blocklist.Scope
	Effect      blocklist.Effect
	Distance    int
	Variant     uint8
	Learned     bool
	Where       string // "worldwide", or which of the asked territories it holds in
	Excepted    bool
	Similarity  float64
	AtBlock     bool
}

var territories = func() (ts []blocklist.Territory) {
	for _, c := range []string{"DE", "FR", "US", "JP"} {
		t, err := blocklist.ParseTerritory(c)
		if err != nil {
			panic(err)
		}
		ts = append(ts, t)
	}
	return ts
}()

func (m *model) found(g *modelGrant, distance int, variant uint8, sha *[32]byte, hashes []phash.Hash) found {
	f := found{Rule: g.rule, Event: g.event, Case: g.r.Case, Kind: g.r.Kind, Width: g.r.Scope, Effect: g.r.Effect,
		Distance: distance, Variant: variant, Learned: g.learned}
	if len(g.r.Territories) == 0 {
		f.Where = "worldwide "
	}
	for _, t := range territories {
		if len(g.r.Territories) == 0 || slices.Contains(g.r.Territories, t) {
			f.Where += t.String()
		}
	}
	for i := range m.except {
		x := &m.except[i]
		if x.ended || x.rule != g.rule || !x.until.IsZero() && !m.clock.now().Before(x.until) {
			continue
		}
		if sha != nil && slices.Contains(x.keys.Bytes, *sha) {
			f.Excepted = true
		}
		for _, h := range hashes {
			for _, k := range x.keys.Hashes {
				if d, ok := h.Distance(k.Hash); ok && d*256 <= blocklist.ExceptionRadius*h.Algorithm().Bits() {
					f.Excepted = true
				}
			}
		}
	}
	return f
}

// common is CommonDistance, by a plain look at all that happened.
func (m *model) common(sha [32]byte, h phash.Hash) (bits int, ok bool) {
	bits = 1 << 20
	for i := range m.except {
		x := &m.except[i]
		if x.ended || x.rule != 0 || !x.until.IsZero() && !m.clock.now().Before(x.until) {
			continue
		}
		if slices.Contains(x.keys.Bytes, sha) {
			bits, ok = 0, true
		}
		for _, k := range x.keys.Hashes {
			if d, comparable := h.Distance(k.Hash); comparable && d < bits {
				bits, ok = d, true
			}
		}
	}
	return bits, ok
}

func (m *model) find(match func(blocklist.Keys) []blocklist.HashKey, distance func(blocklist.HashKey) int, sha *[32]byte, hashes []phash.Hash) (out []found) {
	for i := range m.grants {
		if g := &m.grants[i]; m.inForce(g) {
			for _, k := range match(g.keys) {
				out = append(out, m.found(g, distance(k), k.Variant, sha, hashes))
			}
		}
	}
	return sorted(out)
}

// findFaces asks a plain scan of the faces that are in force.
func (m *model) findFaces(t interface{ Fatalf(string, ...any) }, x blocklist.FaceVector) (out []found) {
	scan := embedding.NewLinear(x.Model())
	type of struct {
		grant  *modelGrant
		limits blocklist.FaceLimits
	}
	var owners []of
	for i := range m.grants {
		g := &m.grants[i]
		if !m.inForce(g) {
			continue
		}
		for _, f := range g.keys.Faces {
			if f.Model != x.Model() {
				continue
			}
			if err := scan.Insert(m.faces[string(f.Sealed)], uint32(len(owners))); err != nil {
				t.Fatalf("face of event %d: %v", g.event, err)
			}
			owners = append(owners, of{g, f.Limits})
		}
	}
	scan.Search(x, -1, func(id uint32, similarity float64) bool {
		if o := owners[id]; similarity >= o.limits.Review {
			f := m.found(o.grant, 0, 0, nil, nil)
			f.Similarity, f.AtBlock = similarity, similarity >= o.limits.Block
			out = append(out, f)
		}
		return true
	})
	return sorted(out)
}

func sorted(fs []found) []found {
	slices.SortFunc(fs, func(a, b found) int { return slices.Compare([]byte(fmt.Sprint(a)), []byte(fmt.Sprint(b))) })
	return fs
}

func collect(v *blocklist.State, sha *[32]byte, hashes []phash.Hash, find func(func(blocklist.Hit) bool) bool) (out []found) {
	find(func(h blocklist.Hit) bool {
		f := found{Rule: h.Rule, Event: h.Event, Case: h.Case, Kind: h.Kind, Width: h.Scope, Effect: h.Effect,
			Distance: h.Distance, Variant: h.Variant, Learned: h.Derived, Excepted: v.HasException(h, sha, hashes),
			Similarity: h.Similarity, AtBlock: h.AtBlock}
		if h.Worldwide {
			f.Where = "worldwide "
		}
		for _, t := range territories {
			if v.InForceIn(h, t) {
				f.Where += t.String()
			}
		}
		out = append(out, f)
		return true
	})
	return sorted(out)
}

// universe is the small world of addresses, files and hashes in which the
// model and the list meet often.
type universe struct {
	addresses []string
	files     [][32]byte
	hashes    []phash.Hash
	faces     []blocklist.FaceVector
}

func newUniverse(seed uint64, n int) *universe {
	r := rand.New(rand.NewPCG(seed, 1))
	u := &universe{}
	for i := range n {
		u.addresses = append(u.addresses, fmt.Sprintf("https://example.com/photos/%d.jpg", i))
		u.files = append(u.files, sha256.Sum256(fmt.Append(nil, i)))
		alg := phash.AlgPDQ
		if i >= 2 { // all algorithms in turn
			alg = 1 + phash.Algorithm(i%(phash.NumAlgorithms-1))
		}
		h := randomHash(r, alg)
		if k := i - (phash.NumAlgorithms - 1); k >= 0 && r.IntN(2) == 0 {
			h = flip(u.hashes[k], r, 1+r.IntN(8))
		}
		u.hashes = append(u.hashes, h)
		if i < 16 {
			// Of two models, and some like each other.
			u.faces = append(u.faces, faceOf(panics{}, faceModels[i%2], seed+uint64(i), seed, float32(i%4)/4))
		}
	}
	return u
}

type panics struct{}

func (panics) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// limitsOf are different ways to register a face.
var limitsOf = []blocklist.FaceLimits{{Block: 0.9, Review: 0.6}, {Block: 0.5, Review: 0.5}, {Block: 0.3, Review: -1}}

func flip(h phash.Hash, r *rand.Rand, n int) phash.Hash {
	w := h.Words()
	for range n {
		k := r.IntN(h.Algorithm().Bits())
		w[k/64] ^= 1 << (k % 64)
	}
	return fromWords(h.Algorithm(), w)
}

func fromWords(alg phash.Algorithm, w [4]uint64) phash.Hash {
	h, err := phash.FromWords(alg, w)
	if err != nil {
		panic(err)
	}
	return h
}

func randomHash(r *rand.Rand, alg phash.Algorithm) phash.Hash {
	var w [4]uint64
	for i := range alg.Bits() / 64 {
		w[i] = r.Uint64()
	}
	return fromWords(alg, w)
}

// compare asks the view and the model everything there is.
func compare(t interface {
	Helper()
	Fatalf(string, ...any)
}, u *universe, m *model, v *blocklist.State) {
	t.Helper()
	if v.Seq() != m.seq {
		t.Fatalf("view is at %d, the model at %d", v.Seq(), m.seq)
	}
	zero := func(blocklist.HashKey) int { return 0 }
	for i, a := range u.addresses {
		for _, kind := range []blocklist.AddressKind{blocklist.ImageAddress, blocklist.PageAddress} {
			d, err := v.Digest(kind, a)
			if err != nil {
				t.Fatalf("Digest: %v", err)
			}
			want := m.find(func(k blocklist.Keys) (out []blocklist.HashKey) {
				for _, x := range k.Addresses {
					if x == (blocklist.Address{Kind: kind, Digest: d}) {
						out = append(out, blocklist.HashKey{})
					}
				}
				return out
			}, zero, &u.files[i], u.hashes[i:i+1])
			got := collect(v, &u.files[i], u.hashes[i:i+1], func(y func(blocklist.Hit) bool) bool { return v.FindAddress(d, y) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%v address %d (-want +got):\n%s", kind, i, diff)
			}
		}
		sha := u.files[i]
		wantBits, wantOK := m.common(sha, u.hashes[i])
		if bits, ok := v.AllowedDistance(&sha, u.hashes[i]); ok != wantOK || ok && bits != wantBits {
			t.Fatalf("picture %d is %d bits from a common one, %t, want %d, %t", i, bits, ok, wantBits, wantOK)
		}
		want := m.find(func(k blocklist.Keys) (out []blocklist.HashKey) {
			for _, x := range k.Bytes {
				if x == sha {
					out = append(out, blocklist.HashKey{})
				}
			}
			return out
		}, zero, &sha, nil)
		got := collect(v, &sha, nil, func(y func(blocklist.Hit) bool) bool { return v.FindBytes(sha, y) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("file %d (-want +got):\n%s", i, diff)
		}
		h := u.hashes[i]
		for _, radius := range []int{0, 6} {
			want := m.find(func(k blocklist.Keys) (out []blocklist.HashKey) {
				for _, x := range k.Hashes {
					if d, ok := h.Distance(x.Hash); ok && d <= radius {
						out = append(out, x)
					}
				}
				return out
			}, func(k blocklist.HashKey) int { d, _ := h.Distance(k.Hash); return d }, nil, []phash.Hash{h})
			got := collect(v, nil, []phash.Hash{h}, func(y func(blocklist.Hit) bool) bool { return v.FindHash(h, radius, y) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("hash %d radius %d (-want +got):\n%s", i, radius, diff)
			}
		}
	}
	if !v.SearchesFaces() {
		t.Fatalf("faces are not searched")
	}
	for i, x := range u.faces {
		want := m.findFaces(t, x)
		got := collect(v, nil, nil, func(y func(blocklist.Hit) bool) bool { return v.FindFaces(x, y) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("face %d (-want +got):\n%s", i, diff)
		}
	}
	for i := range m.grants {
		g := &m.grants[i]
		r, state, ok := v.Rule(g.event)
		if g.learned {
			if ok {
				t.Fatalf("Rule(%d) is there, though the event is a learned one", g.event)
			}
			continue
		}
		if g.ended {
			if ok && state != blocklist.RuleRevoked {
				t.Fatalf("Rule(%d) is %v, want revoked", g.event, state)
			}
			continue
		}
		want := blocklist.RuleInForce
		if now := m.clock.now(); !g.r.Start.IsZero() && now.Before(g.r.Start) {
			want = blocklist.RuleScheduled
		} else if !g.r.End.IsZero() && !now.Before(g.r.End) {
			want = blocklist.RuleExpired
		}
		wantRule := g.r
		wantRule.Keys = blocklist.Keys{}
		wantRule.Territories = slices.Clone(wantRule.Territories)
		slices.SortFunc(wantRule.Territories, byCode)
		slices.SortFunc(r.Territories, byCode)
		if len(wantRule.Territories) == 0 {
			wantRule.Territories = nil
		}
		if diff := cmp.Diff(wantRule, r, cmp.AllowUnexported(blocklist.Territory{}, phash.Hash{})); diff != "" || !ok || state != want {
			t.Fatalf("Rule(%d) = %v, %v, %t, want %v (-want +got):\n%s", g.event, r, state, ok, want, diff)
		}
	}
}

func byCode(a, b blocklist.Territory) int {
	return slices.Compare([]byte(a.String()), []byte(b.String()))
}

// TestListAgainstModel is the first property: whatever happens, in any order,
// the list blocks what the model blocks and nothing else.
func TestListAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "list")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := newClock()
		opts := &blocklist.Options{Now: c.now, CompactAfter: -1, SigningKey: signingKey}
		if rapid.Bool().Draw(t, "encrypted") {
			opts.EncryptionKey = &blocklist.EncryptionKey{1}
		}
		l, err := boltjournal.Open(filepath.Join(dir, "list"), opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { l.Close() }()
		u := newUniverse(rapid.Uint64().Draw(t, "universe"), 12)
		m := newModel(c)
		var used [][16]byte
		appended := 0 // of used: those before the events that are drawn now
		var replica *blocklist.List
		nextID := uint64(0)

		drawKeys := func(addresses bool, least int) (k blocklist.Keys) {
			for k.Len() < least || rapid.IntRange(0, 2).Draw(t, "more") > 0 {
				i := rapid.IntRange(0, len(u.addresses)-1).Draw(t, "which")
				switch kind := rapid.IntRange(0, 3).Draw(t, "key"); {
				case kind < 2 && addresses:
					ak := blocklist.AddressKind(kind + 1)
					d, err := l.Digest(ak, u.addresses[i])
					if err != nil {
						t.Fatal(err)
					}
					k.Addresses = append(k.Addresses, blocklist.Address{Kind: ak, Digest: d})
				case kind == 2:
					k.Bytes = append(k.Bytes, u.files[i])
				default:
					k.Hashes = append(k.Hashes, blocklist.HashKey{Hash: u.hashes[i], Variant: rapid.Byte().Draw(t, "variant")})
				}
			}
			return k
		}
		drawTime := func(name string) time.Time {
			if rapid.Bool().Draw(t, name+" is zero") {
				return time.Time{}
			}
			return time.Unix(c.sec.Load()+rapid.Int64Range(-5, 20).Draw(t, name), 0).UTC()
		}
		drawEvent := func() blocklist.Event {
			nextID++
			e := blocklist.Event{Type: blocklist.EventType(rapid.IntRange(1, 5).Draw(t, "type"))}
			binary.LittleEndian.PutUint64(e.ID[:], nextID)
			if len(used) > 0 && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				e.ID = rapid.SampledFrom(used).Draw(t, "id")
			}
			// SealFaces knows the journal, and not what else its caller is about to append:
			// the key of faces that come second under an ID is that of nothing.
			second := slices.Contains(used[appended:], e.ID)
			used = append(used, e.ID)
			switch e.Type {
			case blocklist.EventAdded:
				r := &blocklist.Rule{
					Scope:  blocklist.Scope(rapid.IntRange(1, 5).Draw(t, "scope")),
					Effect: blocklist.Effect(rapid.IntRange(1, 2).Draw(t, "effect")),
					Kind:   uint8(rapid.IntRange(0, 3).Draw(t, "kind")),
					Start:  drawTime("start"), End: drawTime("end"),
					Keys: drawKeys(true, 0),
				}
				binary.LittleEndian.PutUint64(r.Case[:], nextID)
				if !r.End.IsZero() && !r.End.After(r.Start) {
					r.End = r.Start.Add(time.Second)
				}
				if r.Scope == blocklist.ScopeFace && !second && rapid.Bool().Draw(t, "faces") {
					for range rapid.IntRange(1, 3).Draw(t, "calls") {
						limits := rapid.SampledFrom(limitsOf).Draw(t, "limits")
						some := rapid.SliceOfN(rapid.SampledFrom(u.faces), 1, 3).Draw(t, "vectors")
						faces, err := m.seal(l, e.ID, limits, some...)
						if err != nil {
							t.Fatal(err)
						}
						r.Keys.Faces = append(r.Keys.Faces, faces...)
					}
				}
				for _, tt := range territories {
					if rapid.IntRange(0, 3).Draw(t, "territory") == 0 {
						r.Territories = append(r.Territories, tt)
					}
				}
				e.Rule = r
			default:
				e.Target = rapid.Uint64Range(1, m.seq+2).Draw(t, "target")
				if e.Type == blocklist.EventException && rapid.IntRange(0, 3).Draw(t, "from all") == 0 {
					e.Target = 0
				}
				if e.Type == blocklist.EventDerived || e.Type == blocklist.EventException {
					e.Keys = drawKeys(e.Type == blocklist.EventDerived, 1)
					e.Until = drawTime("until")
				}
			}
			return e
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) {
				events := make([]blocklist.Event, rapid.IntRange(1, 4).Draw(t, "events"))
				want := make([]uint64, len(events))
				for i := range events {
					events[i] = drawEvent()
					want[i] = m.apply(events[i])
				}
				appended = len(used)
				got, err := l.Append(context.Background(), events...)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("sequence numbers (-want +got):\n%s", diff)
				}
			},
			"time": func(*rapid.T) { c.sec.Add(rapid.Int64Range(1, 10).Draw(t, "seconds")) },
			"compact": func(*rapid.T) {
				if err := l.Compact(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"reopen": func(*rapid.T) {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if l, err = boltjournal.Open(filepath.Join(dir, "list"), opts); err != nil {
					t.Fatal(err)
				}
				if s := l.Info(); len(s.Fallbacks) > 0 {
					t.Fatalf("fell back: %v", s.Fallbacks)
				}
			},
			"crash": func(*rapid.T) {
				// What a crash at this moment leaves: the files as they are.
				image := filepath.Join(dir, "image")
				if err := os.CopyFS(image, os.DirFS(filepath.Join(dir, "list"))); err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(image)
				after, err := boltjournal.Open(image, opts)
				if err != nil {
					t.Fatal(err)
				}
				defer after.Close()
				compare(t, u, m, after.State())
			},
			"publish": func(*rapid.T) {
				path := filepath.Join(dir, "published")
				err := l.Publish(path)
				if opts.EncryptionKey == nil && m.hasFaces() {
					if !errors.Is(err, blocklist.ErrFacesUnencrypted) {
						t.Fatalf("Publish of faces: %v, want ErrFacesUnencrypted", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				r, err := blocklist.Load(path, &blocklist.LoadOptions{Now: c.now, EncryptionKey: opts.EncryptionKey})
				if err != nil {
					t.Fatal(err)
				}
				compare(t, u, m, r.State())
			},
			"advance": func(*rapid.T) {
				path := filepath.Join(dir, "advanced")
				if opts.EncryptionKey == nil && m.hasFaces() {
					return
				}
				if replica == nil {
					if err := l.Publish(path); err != nil {
						t.Fatal(err)
					}
					if replica, err = blocklist.Load(path, &blocklist.LoadOptions{Now: c.now, EncryptionKey: opts.EncryptionKey, TrustedKeys: trusted}); err != nil {
						t.Fatal(err)
					}
				}
				var deltas [][]byte
				for at := rapid.Uint64Range(0, replica.State().Seq()).Draw(t, "from"); at < m.seq; {
					delta, end, err := l.Delta(context.Background(), at, rapid.Uint64Range(at+1, m.seq).Draw(t, "to"))
					if err != nil {
						t.Fatal(err)
					}
					deltas, at = append(deltas, delta), end
				}
				if _, err := replica.Advance(deltas...); err != nil {
					t.Fatal(err)
				}
				if !replica.State().SearchesFaces() || rapid.IntRange(0, 9).Draw(t, "reload") == 0 {
					// Faces came, or were withdrawn.
					if err := l.Publish(path); err != nil {
						t.Fatal(err)
					}
					if _, err := replica.ReloadFrom(path, l.State().Position(), deltas...); err != nil {
						t.Fatal(err)
					}
				}
				if got, want := replica.State().Position(), l.State().Position(); got != want {
					t.Fatalf("the replica is at %v, the list at %v", got, want)
				}
				compare(t, u, m, replica.State())
			},
			"": func(t *rapid.T) {
				compare(t, u, m, l.State())
				if s := l.Info(); s.FacesWithoutKey > 0 {
					t.Fatalf("%d faces without a key", s.FacesWithoutKey)
				}
				m.checkKeys(t, l)
			},
		})
	})
}
