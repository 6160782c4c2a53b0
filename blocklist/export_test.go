package blocklist

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/staydown/staydown/internal/fsx"
	"github.com/staydown/staydown/internal/keyfile"
)

// WithFS returns opts with another file system for the snapshots; the journal
// is then not synced, which is not what such tests are about.
func WithFS(opts Options, fs fsx.FS) *Options {
	opts.hooks.FS = fs
	opts.hooks.NoSync = true
	return &opts
}

// WithForget returns opts for a list that looks as often for faces that ended.
func WithForget(opts Options, every time.Duration) *Options {
	opts.hooks.Forget = every
	return &opts
}

// LoadWithFS is WithFS for Load.
func LoadWithFS(opts LoadOptions, fs fsx.FS) *LoadOptions {
	opts.fs = fs
	return &opts
}

// LoadBytes is Load of a snapshot that lies in memory.
func LoadBytes(data []byte, now func() time.Time) (*State, error) {
	b, err := readSnapshot(byteFile{bytes.NewReader(data)}, &LoadOptions{})
	if err != nil {
		return nil, err
	}
	return newFold(b, newDigestKeys(b.header.Secret), now).view(), nil
}

// LoadDecrypted is LoadBytes of what an encrypted snapshot holds. It leaves data
// as it is.
func LoadDecrypted(data []byte, now func() time.Time) (*State, error) {
	data = slices.Clone(data)
	mem := newMemory(int64(len(data)))
	copy(mem.data, data)
	b, err := parseSnapshot(nil, mem, data[:min(len(data), headerSize+tableSize(maxSections))], &LoadOptions{Now: now}, true)
	if err != nil {
		return nil, err
	}
	return newFold(b, newDigestKeys(b.header.Secret), now).view(), nil
}

type byteFile struct{ *bytes.Reader }

func (byteFile) WriteAt([]byte, int64) (int, error) { panic("not for writing") }
func (byteFile) Close() error                       { return nil }
func (byteFile) Sync() error                        { return nil }
func (f byteFile) Size() (int64, error)             { return f.Reader.Size(), nil }

var (
	AppendRecord = appendRecord
	ParseRecord  = parseRecord
)

// Check is what Append accepts.
func (e *Event) Check() error {
	if err := e.check(e.List); err != nil {
		return err
	}
	return nil
}

// Fill makes a list in memory, without a journal, and calls each with every
// event to add; it returns its View.
func Fill(now func() time.Time, each func(v *State, add func(*Event))) *State {
	id := newIdentity(0)
	keys := newDigestKeys(id.Secret)
	f := newFold(emptyBase(id), keys, now)
	each(f.view(), func(e *Event) {
		f.applyNext(e)
	})
	return f.view()
}

// WriteSnapshotFile writes the snapshot of a View.
func WriteSnapshotFile(path string, v *State) error {
	return (&List{fs: fsx.OS{}, now: time.Now}).writeSnapshotFile(path, &moment{view: v, at: time.Now()}, writeOptions{})
}

// WriteSnapshotFileWith writes it signed, encrypted, or both.
func WriteSnapshotFileWith(path string, v *State, signingKey ed25519.PrivateKey, key *EncryptionKey) error {
	return (&List{fs: fsx.OS{}, now: time.Now, open: LoadOptions{EncryptionKey: key}}).writeSnapshotFile(path, &moment{view: v, at: time.Now()}, writeOptions{signingKey: signingKey})
}

// applyNext takes an event that is in no journal.
func (f *fold) applyNext(e *Event) {
	e.Seq = f.seq + 1
	f.apply(&committed{*e, e.Digest(f.digest)})
}

// Continue returns the State of v with more events.
func Continue(v *State, each func(add func(*Event))) *State {
	f := newFold(v.base, v.keys, v.now)
	each(func(e *Event) {
		f.applyNext(e)
	})
	return f.view()
}

// FilterRate returns the share of n unknown keys that the filter of v's base
// lets through.
func FilterRate(v *State, n int) float64 {
	hits := 0
	x := uint64(12345)
	next := func() uint64 { // splitmix64
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	for range n {
		if v.base.mayHold(next(), next()) {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// BytesPerKey returns what the exact part of the keys in v's base takes.
func BytesPerKey(v *State) float64 {
	b := v.base
	n := 4*len(b.directory) + 8*len(b.keyLo) + 4*len(b.keyMid) + 2*len(b.keyHigh) + 2*len(b.keyTop) + 4*len(b.keyGrants)
	return float64(n) / float64(len(b.keyLo))
}

// Reseal makes the checksums of a changed snapshot fit again, as far as its
// header and table can be read.
func Reseal(data []byte) []byte {
	if len(data) < headerSize {
		return data
	}
	copy(data, snapshotMagic)
	le.PutUint16(data[8:], snapshotVersion)
	le.PutUint16(data[10:], 0)
	le.PutUint64(data[16:], uint64(len(data)))
	le.PutUint32(data[headerSize-4:], crc32.Checksum(data[:headerSize-4], castagnoli))
	n := int(min(le.Uint32(data[12:]), maxSections+1)) // an int has 32 bits somewhere
	if n > maxSections || len(data) < headerSize+tableSize(n) {
		return data
	}
	for i := range n {
		p := data[headerSize+i*tableEntry:]
		off, size := le.Uint64(p[8:]), le.Uint64(p[16:])
		if off > uint64(len(data)) || size > uint64(len(data))-off {
			continue
		}
		le.PutUint32(p[4:], crc32.Update(sectionSeed(data[:headerSize], le.Uint32(p)), castagnoli, data[off:off+size]))
	}
	end := headerSize + tableSize(n)
	le.PutUint32(data[end-8:], tableChecksum(data[:end-8]))
	le.PutUint32(data[end-4:], 0)
	return data
}

// SealRecord replaces the last four bytes of a record by its checksum.
func SealRecord(b []byte) []byte {
	body := b[:len(b)-4]
	return le.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

// SnapshotBytes is the snapshot of a View.
func SnapshotBytes(v *State) ([]byte, error) {
	var f growing
	err := writeSnapshot(&f, v, &writeOptions{created: v.base.header.createdAt()})
	return f.data, err
}

// growing is a file in memory.
type growing struct{ data []byte }

func (g *growing) WriteAt(p []byte, off int64) (int, error) {
	if grow := int(off) + len(p) - len(g.data); grow > 0 {
		g.data = append(g.data, make([]byte, grow)...)
	}
	return copy(g.data[off:], p), nil
}

// LoadBytesWith is Load of a snapshot that lies in memory.
func LoadBytesWith(data []byte, o LoadOptions) (*State, error) {
	b, err := readSnapshot(byteFile{bytes.NewReader(data)}, &o)
	if err != nil {
		return nil, err
	}
	return newFold(b, newDigestKeys(b.header.Secret), time.Now).view(), nil
}

// A Dump is all that a snapshot says.
type Dump struct {
	Seq        uint64          `json:"seq"`
	Created    int64           `json:"created"`
	Tenant     uint32          `json:"tenant"`
	Rules      uint32          `json:"rules"`
	Epoch      uint32          `json:"epoch"`
	Digest     string          `json:"digest"`
	History    int             `json:"history"`
	Contents   uint32          `json:"contents"`
	Grants     []DumpGrant     `json:"grants"`
	Exceptions []DumpException `json:"exceptions"`
	Digests    []string        `json:"digests"`
}

type DumpGrant struct {
	Event       uint64   `json:"event"`
	Rule        uint64   `json:"rule"`
	Kind        uint8    `json:"kind"`
	Width       Scope    `json:"scope"`
	Effect      Effect   `json:"effect"`
	Learned     bool     `json:"learned"`
	Worldwide   bool     `json:"worldwide"`
	Case        string   `json:"case"`
	Start       int64    `json:"start"`
	End         int64    `json:"end"`
	Territories []string `json:"territories"`
	Keys        []string `json:"keys"`
	Hashes      []string `json:"hashes"`
	Features    []string `json:"features,omitempty"`
	Purposes    Purposes `json:"purposes"`
	Faces       []string `json:"faces,omitempty"`
}

type DumpException struct {
	Rule  uint64 `json:"rule"`
	Event uint64 `json:"event"`
	Until int64  `json:"until"`
	What  string `json:"what"`
}

// DumpOf returns the dump of the base of v, and the digests of addresses.
func DumpOf(v *State, addresses []string) Dump {
	b := v.base
	d := Dump{Seq: b.header.seq, Created: b.header.created, Tenant: b.header.List, Rules: b.header.Rules, Epoch: b.header.Epoch,
		Digest: hex.EncodeToString(b.header.digest[:]), History: len(b.history), Contents: b.header.contents, Exceptions: []DumpException{}, Digests: []string{}}
	for i := range b.len() {
		g := b.grant(uint32(i))
		x := DumpGrant{Event: g.seq, Rule: g.rule, Kind: uint8(g.attr), Width: attrScope(g.attr), Effect: attrEffect(g.attr), Purposes: attrPurposes(g.attr),
			Learned: g.attr&attrLearned != 0, Worldwide: g.attr&attrWorldwide != 0, Case: hex.EncodeToString(g.caseID[:]),
			Start: g.start, End: g.end, Territories: []string{}, Keys: []string{}, Hashes: []string{}}
		for _, t := range g.territories {
			x.Territories = append(x.Territories, t.String())
		}
		d.Grants = append(d.Grants, x)
	}
	b.eachKey(func(e keyEntry) bool {
		g := &d.Grants[e.grant]
		g.Keys = append(g.Keys, hex.EncodeToString(le.AppendUint64(le.AppendUint64(nil, e.lo), e.hi)))
		return true
	})
	for a := range b.hashes {
		h := &b.hashes[a]
		if h.segment == nil {
			continue
		}
		for e := range h.segment.All() {
			g := &d.Grants[h.grants[e.ID]]
			of := h.of(e.ID)
			g.Hashes = append(g.Hashes, fmt.Sprintf("%v/%d/%d/%s", e.Hash, of.variant, of.reach, b.viewText(h.grants[e.ID], of.view)))
		}
	}
	for i, grant := range b.features.grants {
		number := uint8(0)
		if b.features.views != nil {
			number = b.features.views[i]
		}
		g := &d.Grants[grant]
		g.Features = append(g.Features, b.viewText(grant, number))
	}
	for _, f := range b.faces {
		m := f.segment.Model()
		for i, r := range f.rows {
			g, limits := &d.Grants[r.grant], f.limits[r.limits]
			g.Faces = append(g.Faces, fmt.Sprintf("%s/%d %x %.6f %.6f", m.Name, m.Dimensions, f.events[i], limits.Block, limits.Review))
		}
	}
	for i := range d.Grants {
		slices.Sort(d.Grants[i].Faces)
		slices.Sort(d.Grants[i].Keys)
		slices.Sort(d.Grants[i].Hashes)
		slices.Sort(d.Grants[i].Features)
	}
	for _, rule := range slices.Sorted(maps.Keys(b.exceptions)) {
		for _, e := range b.exceptions[rule] {
			what := e.hash.String()
			if e.hash.IsZero() {
				what = hex.EncodeToString(e.file[:])
			}
			d.Exceptions = append(d.Exceptions, DumpException{rule, e.event, e.until, what})
		}
	}
	for _, a := range addresses {
		digest, err := v.Digest(ImageAddress, a)
		if err != nil {
			panic(err)
		}
		d.Digests = append(d.Digests, hex.EncodeToString(digest[:]))
	}
	return d
}

func (b *base) viewText(g uint32, number uint8) string {
	if number == 0 {
		return "-"
	}
	v, _ := b.viewOf(g, number)
	return fmt.Sprintf("%d:%v:%v", v.Frame, v.Reading, v.Rect)
}

// WithoutSync returns opts for a journal that is not synced.
func WithoutSync(opts Options) *Options {
	opts.hooks.NoSync = true
	return &opts
}

// ID is what a list says it is.
func (l *List) ID() [16]byte { return l.State().base.header.ID }

// Decrypt returns all that the encryption key reads in a file of keys, or of a
// folder, or in a published snapshot.
func Decrypt(path string, b []byte, key EncryptionKey, list [16]byte) (plain [][]byte, err error) {
	name, wrap := faceKeysFile(&key, list)
	switch {
	case isWiped(b[:min(len(b), sealedHeader)]):
		return nil, nil
	case isSealed(b):
		mem, err := readSealed(byteFile{bytes.NewReader(b)}, b[:min(len(b), headerSize)], int64(len(b)), &key)
		if err != nil {
			return nil, err
		}
		return [][]byte{slices.Clone(mem.data)}, nil
	case filepath.Base(path) == name:
		dir, err := os.MkdirTemp("", "keys")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return nil, err
		}
		f, err := keyfile.Open(fsx.OS{}, filepath.Join(dir, name), wrap)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		for _, id := range f.IDs() {
			k, err := f.Get(id)
			if err != nil {
				return nil, err
			}
			plain = append(plain, k[:])
		}
		return plain, nil
	}
	return nil, fmt.Errorf("%s is of no known kind", path)
}

// RetainFaces destroys the keys of rules that v shows to have ended.
func (l *List) RetainFaces(v *State) error {
	return l.writer.faceKeys.retainLive(l.writer.journal, v, v.now().Unix())
}

// FaceKeys returns the events that there are keys of faces for.
func (l *List) FaceKeys() [][16]byte {
	if f := l.writer.faceKeys.opened(); f != nil {
		return f.IDs()
	}
	return nil
}

// FaceKey is the key of the faces of an event.
func (l *List) FaceKey(event [16]byte) [32]byte {
	key, err := l.writer.faceKeys.get(event)
	if err != nil {
		panic(err)
	}
	return key
}

// OpenFace opens a sealed face while its key is there; otherwise it returns the
// zero vector.
func (l *List) OpenFace(event [16]byte, f Face) FaceVector {
	key, err := l.writer.faceKeys.get(event)
	if err != nil {
		return FaceVector{}
	}
	v, _ := openFace(key, l.ID(), event, &f)
	return v
}

// Records returns what is in a journal, decrypted.
func Records(store Journal, key *EncryptionKey) (plain [][]byte, err error) {
	j, err := openLog(store, &Options{EncryptionKey: key}, nil, false)
	if err != nil {
		return nil, err
	}
	err = j.entries(1, func(e *Entry) (bool, error) {
		record, err := j.unseal(e)
		plain = append(plain, record)
		return err == nil, err
	})
	return plain, err
}

// BodyDigest is the digest of salt and payload.
func BodyDigest(e *Event) [32]byte {
	if e.IsErased() {
		return e.Erased
	}
	return sha256.Sum256(appendPayload(slices.Clone(e.Salt[:]), e))
}

// Genesis is the digest of a list without events.
func Genesis(id [16]byte, tenant, epoch uint32) [32]byte {
	return genesis(&identity{ID: id, List: tenant, Epoch: epoch})
}

// TestHistory is what a list remembers.
type TestHistory struct{ h history }

// NewHistory is that of so many events.
func NewHistory(events uint64, digest func(seq uint64) [32]byte) (t TestHistory) {
	for seq := uint64(1); seq <= events; seq++ {
		t.h = t.h.append(digest(seq))
	}
	t.h = t.h.recent()
	return t
}

func (t TestHistory) Len() int { return len(t.h) }

// Succeeds says whether a list that is at now, with this history, was at p.
func (t TestHistory) Succeeds(now, p Position) error {
	return succeeds(now, t.h, p)
}

// SealDelta makes the checksum of a delta fit.
func SealDelta(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	le.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

// DeltaContent returns the changes in a delta, decrypted and decompressed.
func DeltaContent(b []byte, key *EncryptionKey) ([]byte, error) {
	h, body, err := openDelta(b, nil)
	if err != nil {
		return nil, err
	}
	return h.open(body, key)
}
