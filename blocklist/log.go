package blocklist

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// identity is what makes a list itself. It is in the journal and in every
// snapshot.
type identity struct {
	ID     [16]byte // random, once for each list
	Secret [32]byte // the keys of the digests come from it
	List   uint32   // tenant
	Rules  uint32   // AddressRules
	Epoch  uint32   // one more with each Rekey that changes Secret
}

const identitySize = 64

func (id *identity) appendTo(b []byte) []byte {
	b = append(b, id.ID[:]...)
	b = append(b, id.Secret[:]...)
	b = le.AppendUint32(b, id.List)
	b = le.AppendUint32(b, id.Rules)
	b = le.AppendUint32(b, id.Epoch)
	return append(b, 0, 0, 0, 0)
}

func parseIdentity(b []byte) (id identity) {
	copy(id.ID[:], b[0:])
	copy(id.Secret[:], b[16:])
	id.List = le.Uint32(b[48:])
	id.Rules = le.Uint32(b[52:])
	id.Epoch = le.Uint32(b[56:])
	return id
}

func newIdentity(list uint32) identity {
	id := identity{List: list, Rules: AddressRules}
	rand.Read(id.ID[:]) // never fails
	rand.Read(id.Secret[:])
	return id
}

// log is a Journal with what its entries mean: records, their encryption and
// their chain. append is called by one goroutine at a time; the others may be
// called beside it.
type log struct {
	store  Journal
	id     identity
	sealer *sealer // nil if the journal is not encrypted

	last   uint64   // owned by the caller of append
	digest [32]byte // at last; owned by the caller of append
	unsure bool     // the last write failed, and the journal could not be asked what it has; owned by the caller of append
}

// committed is an event that is in the journal, with the digest that the list has
// with it.
type committed struct {
	Event
	digest [32]byte
}

// Meta data of a journal: docs/format/journal.md.
const (
	metaVersion   = 1
	metaEncrypted = 1
	metaHeader    = 4
)

// openLog reads what a journal says of itself. A new one becomes the journal of id,
// or of a new list if that is nil.
func openLog(store Journal, o *Options, id *identity, anyRules bool) (*log, error) {
	j := &log{store: store}
	meta, err := store.Meta()
	if err != nil {
		return nil, err
	}
	if j.last, err = store.Last(); err != nil {
		return nil, err
	}
	switch {
	case meta != nil:
		err = j.readMeta(meta, o.EncryptionKey)
	case j.last > 0:
		err = fmt.Errorf("blocklist: journal has %d events and no identity: %w", j.last, ErrJournal)
	default:
		if j.id = newIdentity(o.List); id != nil {
			j.id = *id
		}
		err = store.SetMeta(j.newMeta(o.EncryptionKey))
	}
	if err != nil {
		return nil, err
	}
	if j.id.List != o.List {
		return nil, fmt.Errorf("blocklist: journal of list %d, not %d: %w", j.id.List, o.List, ErrKey)
	}
	if j.id.Rules != AddressRules && !anyRules {
		return nil, fmt.Errorf("blocklist: journal follows rules %d for addresses, this program %d: %w", j.id.Rules, AddressRules, ErrRules)
	}
	j.digest, err = j.digestAt(j.last)
	return j, err
}

func (j *log) newMeta(key *EncryptionKey) []byte {
	meta := []byte{metaVersion, 0, 0, 0}
	if key != nil {
		meta[1] = metaEncrypted
		salt := make([]byte, saltSize)
		rand.Read(salt)
		gcm, check := key.derive(salt, "journal")
		j.sealer = &sealer{gcm}
		meta = append(append(meta, salt...), check...)
	}
	meta = append(meta, j.sealer.seal(j.id.appendTo(nil), []byte("identity"))...)
	return le.AppendUint32(meta, crc32.Checksum(meta, castagnoli))
}

func (j *log) readMeta(meta []byte, key *EncryptionKey) error {
	if len(meta) > 0 && meta[0] != metaVersion {
		return fmt.Errorf("blocklist: journal of version %d, this program knows %d: %w", meta[0], metaVersion, ErrVersion)
	}
	size := metaHeader + identitySize
	encrypted := len(meta) > metaHeader && meta[1] == metaEncrypted
	if encrypted {
		size += saltSize + checkSize + gcmNonce + gcmTag
	}
	if len(meta) != size+4 {
		return fmt.Errorf("blocklist: journal: identity of %d bytes, not %d: %w", len(meta), size+4, ErrJournal)
	}
	if crc32.Checksum(meta[:size], castagnoli) != le.Uint32(meta[size:]) {
		return fmt.Errorf("blocklist: journal: identity: %w: %w", ErrJournal, ErrChecksum)
	}
	if le.Uint16(meta[2:]) != 0 || meta[1]&^metaEncrypted != 0 {
		return fmt.Errorf("blocklist: journal has unknown flags: %w", ErrVersion)
	}
	p := meta[metaHeader:size]
	switch {
	case !encrypted && key != nil:
		return fmt.Errorf("blocklist: journal is not encrypted, and there is a key: %w", ErrKey)
	case encrypted && key == nil:
		return fmt.Errorf("blocklist: journal is encrypted, and there is no key: %w", ErrKey)
	case encrypted:
		gcm, check := key.derive(p[:saltSize], "journal")
		if subtle.ConstantTimeCompare(check, p[saltSize:saltSize+checkSize]) != 1 {
			return fmt.Errorf("blocklist: journal is encrypted with another key: %w", ErrKey)
		}
		j.sealer = &sealer{gcm}
		p = p[saltSize+checkSize:]
	}
	p, err := j.sealer.open(p, []byte("identity"))
	if err != nil {
		return err
	}
	j.id = parseIdentity(p)
	return nil
}

// digestAt returns the running digest at an event.
func (j *log) digestAt(seq uint64) ([32]byte, error) {
	if seq == 0 {
		return genesis(&j.id), nil
	}
	e, err := j.entry(seq)
	return e.Digest, err
}

func (j *log) entry(seq uint64) (Entry, error) {
	some, err := j.store.Read(seq, 1)
	if err == nil && (len(some) == 0 || some[0].Seq != seq) {
		err = fmt.Errorf("blocklist: journal has no event %d: %w", seq, ErrJournal)
	}
	if err != nil {
		return Entry{}, err
	}
	return some[0], nil
}

// append gives each event of the groups its sequence number and writes those
// that are new in one durable commit. seqs holds for each group the numbers of
// its events, fresh the new ones in order. with, unless nil, writes the entries in place
// of the Journal: see [List.AppendWith].
//
// When append fails with ErrNotWritten nothing was written. With errUnsure it is not
// known yet, and the next append looks again. Otherwise something may be there that the
// list does not know.
func (j *log) append(groups [][]Event, with func([]Entry) error) (seqs [][]uint64, fresh []committed, err error) {
	total := 0
	for _, g := range groups {
		total += len(g)
	}
	ids := make([][16]byte, 0, total)
	for _, g := range groups {
		for i := range g {
			ids = append(ids, g[i].ID)
		}
	}
	found, err := j.known(ids)
	if err != nil {
		return nil, nil, err
	}
	last, digest := j.last, j.digest
	numbers := make(map[[16]byte]uint64, total)
	entries, salts := make([]Entry, 0, total), make([]byte, saltLength*total)
	rand.Read(salts)
	fresh = make([]committed, 0, total)
	for _, g := range groups {
		of := make([]uint64, len(g))
		for i := range g {
			e := &g[i]
			n := max(found[0], numbers[e.ID])
			found = found[1:]
			if n == 0 {
				last++
				n, e.Seq = last, last
				e.Salt = [saltLength]byte(salts[saltLength*len(entries):])
				entry := j.encode(e, &digest)
				entries, fresh = append(entries, entry), append(fresh, committed{*e, digest})
				numbers[e.ID] = n
			}
			of[i] = n
		}
		seqs = append(seqs, of)
	}
	if len(entries) == 0 {
		return seqs, nil, nil
	}
	store := j.store.Append
	if with != nil {
		store = with
	}
	if err := store(entries); err != nil && (with == nil || !j.has(last, digest)) {
		return nil, nil, fmt.Errorf("%w: %w", j.written(), err)
	}
	j.last, j.digest = last, digest
	return seqs, fresh, nil
}

// known returns the numbers of the events that are in the journal already. An error
// says what append says by it.
func (j *log) known(ids [][16]byte) ([]uint64, error) {
	if j.unsure {
		if err := j.written(); !errors.Is(err, ErrNotWritten) {
			return nil, err
		}
	}
	found, err := j.numbers(ids...)
	if err != nil && !errors.Is(err, ErrJournal) {
		err = fmt.Errorf("%w: %w", ErrNotWritten, err)
	}
	return found, err
}

// has reports whether the journal ends with an event, at which it has a digest.
func (j *log) has(last uint64, digest [32]byte) bool {
	there, err := j.store.Last()
	if err != nil || there != last {
		return false
	}
	at, err := j.digestAt(last)
	return err == nil && at == digest
}

// errUnsure is returned while a journal cannot be asked what it has.
var errUnsure = errors.New("it is not known whether the events were written")

// written looks, after a write has failed, what the journal has.
func (j *log) written() error {
	there, err := j.store.Last()
	j.unsure = err != nil
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errUnsure, err)
	case there != j.last:
		return fmt.Errorf("the journal ends at event %d, and event %d is the last one that is known", there, j.last)
	}
	return ErrNotWritten
}

// encode makes the entry of an event, and brings digest, that of the list before,
// to what it is with the event.
func (j *log) encode(e *Event, digest *[32]byte) Entry {
	header := appendHeader(nil, e)
	form, body := byte(recordErased), e.Erased[:]
	if !e.IsErased() {
		form, body = recordWhole, appendPayload(slices.Clone(e.Salt[:]), e)
	}
	*digest = linkRecord(*digest, form, header, body)
	return Entry{Seq: e.Seq, ID: e.ID, Target: e.Target, Digest: *digest, Data: j.seal(e.Seq, sealRecord(nil, form, header, body))}
}

func (j *log) seal(seq uint64, record []byte) []byte {
	return j.sealer.seal(record, binary.BigEndian.AppendUint64(nil, seq))
}

func (j *log) unseal(e *Entry) ([]byte, error) {
	return j.sealer.open(e.Data, binary.BigEndian.AppendUint64(nil, e.Seq))
}

// readBatch is how many entries are read in one go.
const readBatch = 1024

// entries calls yield for the entries from number from on, in order, until it
// returns false or there are no more.
func (j *log) entries(from uint64, yield func(*Entry) (bool, error)) error {
	from = max(from, 1)
	// Whoever wants one event does not wait for a thousand.
	for limit := 1; ; limit = readBatch {
		some, err := j.store.Read(from, limit)
		if err != nil || len(some) == 0 {
			return err
		}
		for i := range some {
			if some[i].Seq != from {
				return fmt.Errorf("blocklist: journal lacks event %d: %w", from, ErrJournal)
			}
			if more, err := yield(&some[i]); !more || err != nil {
				return err
			}
			from++
		}
	}
}

// read calls yield for the events from number from on, in order, until yield
// returns false or there are no more.
func (j *log) read(from uint64, yield func(*Event) bool) error {
	return j.entries(from, func(entry *Entry) (bool, error) {
		e, err := j.parse(entry)
		return err == nil && yield(&e), err
	})
}

// readLinked is read from the event after one at which the list had the digest
// before. It checks that every event continues it.
func (j *log) readLinked(after uint64, before [32]byte, yield func(*committed) bool) error {
	return j.entries(after+1, func(entry *Entry) (bool, error) {
		e, err := j.parseLinked(entry, before)
		if err != nil {
			return false, err
		}
		before = e.digest
		return yield(&e), nil
	})
}

// parse reads an entry, and checks that it is of the event it is filed under.
func (j *log) parse(entry *Entry) (Event, error) {
	record, err := j.unseal(entry)
	var e Event
	if err == nil {
		e, err = parseRecord(record)
	}
	if err == nil && (e.Seq != entry.Seq || e.ID != entry.ID || e.Target != entry.Target) {
		err = fmt.Errorf("is filed as another one: %w", ErrFormat)
	}
	if err != nil {
		return Event{}, recordError(entry.Seq, err)
	}
	return e, nil
}

func (j *log) parseLinked(entry *Entry, before [32]byte) (committed, error) {
	e, err := j.parse(entry)
	if err != nil {
		return committed{}, err
	}
	record, _ := j.unseal(entry) // as parse did
	form, header, body, _ := splitRecord(record)
	if linkRecord(before, form, header, body) != entry.Digest {
		return committed{}, fmt.Errorf("blocklist: journal: event %d does not continue the events before it: %w", entry.Seq, ErrJournal)
	}
	return committed{e, entry.Digest}, nil
}

// recordError says that a record could not be read. One of a newer version is
// not damaged.
func recordError(seq uint64, err error) error {
	if errors.Is(err, ErrVersion) {
		return fmt.Errorf("blocklist: journal: event %d: %w", seq, err)
	}
	return fmt.Errorf("blocklist: journal: event %d: %w: %w", seq, ErrJournal, err)
}

// verify reads every entry of the journal, and looks for it in the indexes.
func (j *log) verify(ctx context.Context) error {
	var inner error
	err := j.readLinked(0, genesis(&j.id), func(e *committed) bool {
		inner = ctx.Err()
		if inner == nil {
			inner = j.verifyIndexes(&e.Event)
		}
		return inner == nil
	})
	return errors.Join(err, inner)
}

// verifyIndexes looks for an event by its ID and by its target.
func (j *log) verifyIndexes(e *Event) error {
	found, err := j.store.Find(e.ID)
	if err != nil {
		return err
	}
	if found[0] != e.Seq {
		return fmt.Errorf("blocklist: journal: event %d is not under its ID: %w", e.Seq, ErrJournal)
	}
	if e.Target == 0 {
		return nil
	}
	found, err = j.store.Targeting(e.Target)
	if err != nil {
		return err
	}
	if _, ok := slices.BinarySearch(found, e.Seq); !ok {
		return fmt.Errorf("blocklist: journal: event %d is not under its target: %w", e.Seq, ErrJournal)
	}
	return nil
}

// get returns an event.
func (j *log) get(seq uint64) (Event, error) {
	entry, err := j.entry(seq)
	if err != nil {
		return Event{}, err
	}
	return j.parse(&entry)
}

// numbers returns the number of each event, 0 for those that are not there.
func (j *log) numbers(ids ...[16]byte) ([]uint64, error) {
	seqs, err := j.store.Find(ids...)
	if err != nil {
		return nil, err
	}
	for i, seq := range seqs {
		if seq == 0 {
			continue
		}
		// An index may be damaged where nothing has checksums; the record says whose
		// it is.
		e, err := j.get(seq)
		if err != nil {
			return nil, err
		}
		if e.ID != ids[i] {
			return nil, fmt.Errorf("blocklist: journal: event %d is not the one that has this number: %w", seq, ErrJournal)
		}
	}
	return seqs, nil
}

// erase destroys salt and payload of the events that gone names.
func (j *log) erase(ctx context.Context, gone func(seq uint64) bool) (n int, err error) {
	err = j.store.Rewrite(ctx, func(entry Entry) ([]byte, error) {
		if !gone(entry.Seq) {
			return nil, nil
		}
		record, err := j.unseal(&entry)
		var form byte
		var header, body []byte
		if err == nil {
			form, header, body, err = splitRecord(record)
		}
		if err != nil {
			return nil, recordError(entry.Seq, err)
		}
		if form == recordErased {
			return nil, nil
		}
		n++
		digest := sha256.Sum256(body)
		return j.seal(entry.Seq, sealRecord(nil, recordErased, header, digest[:])), nil
	})
	return n, err
}

func (j *log) close() error { return j.store.Close() }
