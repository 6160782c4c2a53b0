package takedown

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/features"
	"github.com/staydown/staydown/phash"
)

// A match far out is usually a copy that was changed a lot, and sometimes
// another picture. How many different pictures a rule matches so, in a day, is
// what tells the two apart; see docs/decisions/match-budget.md.
//
// The enforcer counts on its queries: without a lock, and without memory but for
// what it takes once a day. For each rule it keeps 64 bits, one of which every
// picture sets by its hash. How many are set tells how many pictures there were,
// as in linear counting (Whang, Vander-Zanden and Taylor 1990); a picture that
// comes again sets none, and the counts of several nodes are their bits, ored.

// nearHit is the distance in bits up to which a PDQ hash is of the same picture
// beyond doubt: such matches never count.
const nearHit = 10

// daySeconds is the length of what is counted together, from midnight UTC on.
const daySeconds = 24 * 60 * 60

func dayOf(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		s -= daySeconds - 1
	}
	return s / daySeconds
}

// maxTallied is the number of rules that are counted in one day, and maxProbes
// how many slots are tried for one: rules beyond are not counted, and the tally
// says so.
const (
	maxTallied = 1 << 16
	maxProbes  = 64
	maxPending = 8 // rules that one picture is counted for
)

// counter is the count of an enforcer.
type counter struct{ today atomic.Pointer[dayCount] }

// dayCount is the count of one day: a table of rules by hashing, whose slots are
// taken once and then only gain bits.
type dayCount struct {
	day       int64
	yesterday atomic.Pointer[dayCount]
	full      atomic.Bool // a rule found no slot
	slots     [maxTallied]struct{ rule, bits atomic.Uint64 }
}

// add counts a picture for a rule.
func (c *counter) add(now time.Time, rule, picture uint64) {
	day := dayOf(now)
	t := c.today.Load()
	for t == nil || t.day < day {
		fresh := &dayCount{day: day}
		fresh.yesterday.Store(t)
		if c.today.CompareAndSwap(t, fresh) && t != nil {
			t.yesterday.Store(nil)
		}
		t = c.today.Load()
	}
	bit := uint64(1) << (picture >> 58)
	for i := range uint64(maxProbes) {
		s := &t.slots[(mix(rule)+i)%maxTallied]
		at := s.rule.Load()
		if at == 0 && s.rule.CompareAndSwap(0, rule) {
			at = rule
		} else if at == 0 {
			at = s.rule.Load()
		}
		if at == rule {
			if s.bits.Load()&bit == 0 {
				s.bits.Or(bit)
			}
			return
		}
	}
	t.full.Store(true)
}

// mix spreads the bits of x over all 64 (Stafford's variant 13, as in
// SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// pictureKey tells pictures apart: by a PDQ hash, else by another one, else by
// the file.
func pictureKey(file *[32]byte, hashes []phash.Hash) (key uint64, ok bool) {
	var own phash.Hash
	for _, h := range hashes {
		if own.IsZero() || h.Algorithm() == phash.AlgPDQ && own.Algorithm() != phash.AlgPDQ {
			own = h
		}
	}
	w := own.Words()
	if own.IsZero() {
		if *file == ([32]byte{}) {
			return 0, false
		}
		for i := range w {
			w[i] = binary.LittleEndian.Uint64(file[8*i:])
		}
	}
	for _, x := range w {
		key = mix(key ^ x)
	}
	return key, true
}

// farOut reports whether a hit, by a hash, by a face or by the features that are
// being weighed, leaves a doubt.
func (w *weighing) farOut(why Tier, h *blocklist.Hit) bool {
	switch why {
	case TierHash:
		if w.alg == phash.AlgPDQ {
			return h.Distance > nearHit
		}
		return h.Distance > identicalPerception
	case TierFace:
		return !h.AtBlock
	case TierFeatures:
		return w.match.Band != features.Block
	}
	return false
}

// budgeted reports whether rules of a kind have a match budget. Orders, and
// requests for intimate pictures, are enforced whatever else they hit.
func budgeted(k Kind) bool { return k != KindIntimateImage && k != KindAuthorityOrder }

// note notes whether a hit is one far out, or shows that the picture is one that
// was asked for.
func (w *weighing) note(far bool, h *blocklist.Hit) {
	switch {
	case !far:
		w.known = true
	case !budgeted(Kind(h.Kind)):
	case w.pending < maxPending && !slices.Contains(w.out[:w.pending], h.Rule):
		w.out[w.pending] = h.Rule
		w.pending++
	}
}

// count counts a picture for the rules that it hit far out, unless it is known
// to be one that was asked for. It is no method of w: what w points to would
// then escape to the heap with the counter.
func (e *Enforcer) count(w *weighing, hashes []phash.Hash) {
	if w.pending == 0 || w.known {
		return
	}
	key, ok := pictureKey(&w.file, hashes)
	if !ok {
		return
	}
	now := e.now()
	for _, rule := range w.out[:w.pending] {
		e.counter.add(now, rule, key)
	}
}

// Tally is how many different pictures rules have matched far out, today and
// yesterday, as one enforcer saw it: what a node reports to the desk, for
// [Desk.TakeTallies]. It names rules by their public ids, holds nothing of the
// pictures but 64 bits for each rule, and can be stored and sent. Its zero value
// is of no list, and counts nothing.
type Tally struct {
	list [16]byte
	days []tallyDay // ascending
}

type tallyDay struct {
	day  int64 // since 1970-01-01 UTC
	full bool
	rows []tallyRow // ascending by rule
}

type tallyRow struct{ rule, bits uint64 }

// Tally returns what the enforcer has counted. It is cumulative within a day:
// report as often as you like, no report is counted twice, and one that is lost
// is made up for by the next.
func (e *Enforcer) Tally() Tally {
	t := Tally{list: e.list.View().ID()}
	for c := e.counter.today.Load(); c != nil; c = c.yesterday.Load() {
		d := tallyDay{day: c.day, full: c.full.Load()}
		for i := range c.slots {
			if bits := c.slots[i].bits.Load(); bits != 0 {
				d.rows = append(d.rows, tallyRow{c.slots[i].rule.Load(), bits})
			}
		}
		slices.SortFunc(d.rows, func(a, b tallyRow) int { return cmp.Compare(a.rule, b.rule) })
		t.days = append(t.days, d)
		if len(t.days) == maxTallyDays {
			break
		}
	}
	slices.Reverse(t.days)
	return t
}

// The encoded tally, as docs/format/tally.md describes it.
const (
	tallyMagic   = "SDTALLY\x01" // the last byte is the version
	tallyHeader  = 8 + 16 + 4
	tallyDayHead = 8 + 4 + 4
	tallyRowSize = 16
	maxTallyDays = 2
	maxTallySize = tallyHeader + maxTallyDays*(tallyDayHead+maxTallied*tallyRowSize) + 4
	maxTallyDay  = 1 << 22 // days from 1970 on: the year 13453
	flagFull     = 1
)

// MarshalBinary returns at most 2.1 MB that UnmarshalBinary reads, in this
// version of the library and in later ones: 16 bytes for each rule.
func (t Tally) MarshalBinary() ([]byte, error) {
	b := append([]byte(tallyMagic), t.list[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(t.days)))
	for _, d := range t.days {
		flags := uint32(0)
		if d.full {
			flags = flagFull
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(d.day))
		b = binary.LittleEndian.AppendUint32(b, flags)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(d.rows)))
		for _, r := range d.rows {
			b = binary.LittleEndian.AppendUint64(b, r.rule)
			b = binary.LittleEndian.AppendUint64(b, r.bits)
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// ErrTally says that something is no tally, or one that this version of the
// library does not read.
var ErrTally = errors.New("takedown: no tally that can be read")

// UnmarshalBinary reads what MarshalBinary wrote. Other bytes are an error that
// wraps [ErrTally].
func (t *Tally) UnmarshalBinary(b []byte) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrTally, fmt.Sprintf(format, args...))
	}
	if len(b) < tallyHeader+4 || len(b) > maxTallySize {
		return bad("%d bytes, %d to %d are accepted", len(b), tallyHeader+4, maxTallySize)
	}
	if string(b[:7]) != tallyMagic[:7] {
		return bad("it does not begin with %q", tallyMagic[:7])
	}
	if b[7] != tallyMagic[7] {
		return bad("it has version %d, this program knows %d", b[7], tallyMagic[7])
	}
	body := b[:len(b)-4]
	if got, want := crc32.Checksum(body, castagnoli), binary.LittleEndian.Uint32(b[len(body):]); got != want {
		return bad("it has checksum %08x, not %08x", got, want)
	}
	got := Tally{list: [16]byte(b[8:24])}
	days := binary.LittleEndian.Uint32(b[24:])
	if days > maxTallyDays {
		return bad("%d days, at most %d are accepted", days, maxTallyDays)
	}
	p := body[tallyHeader:]
	for i := range int(days) {
		if len(p) < tallyDayHead {
			return bad("day %d is cut", i)
		}
		day, flags, n := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint32(p[8:]), binary.LittleEndian.Uint32(p[12:])
		p = p[tallyDayHead:]
		if day > maxTallyDay || i > 0 && int64(day) <= got.days[i-1].day || flags > flagFull || n > maxTallied || len(p) < int(n)*tallyRowSize {
			return bad("day %d, with flags %#x and %d rules in %d bytes, is out of bounds or order", day, flags, n, len(p))
		}
		d := tallyDay{day: int64(day), full: flags == flagFull, rows: make([]tallyRow, n)}
		last := uint64(0)
		for k := range d.rows {
			r := tallyRow{binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])}
			p = p[tallyRowSize:]
			if r.rule <= last || r.bits == 0 {
				return bad("rule %d comes after rule %d, with bits %#x", r.rule, last, r.bits)
			}
			last, d.rows[k] = r.rule, r
		}
		got.days = append(got.days, d)
	}
	if len(p) != 0 {
		return bad("%d bytes are left over", len(p))
	}
	*t = got
	return nil
}

// pictures[n] is about how many pictures there were when n of the 64 bits are
// set: how many it takes on average, 64/64 + 64/63 + … with n terms.
var pictures = func() (table [65]int) {
	sum := 0 // in 1/65536
	for n := range 64 {
		sum += (64 << 16) / (64 - n)
		table[n+1] = (sum + 1<<15) >> 16
	}
	return table
}()

// maxBudget is the largest budget: beyond that, the bits say too little.
var maxBudget = pictures[60]

// tallies are what the desk has heard of all nodes: for each day and rule, the
// bits, ored. What is said again changes nothing. The desk's mutex guards it.
type tallies map[int64]map[uint64]uint64

// take adds a tally. Days of which nobody's clock can be right, and rules that
// the list does not have, are passed over, so that what nodes send is bounded.
func (t tallies) take(x Tally, today int64, view *blocklist.State) (full bool) {
	for _, d := range x.days {
		if d.day < today-1 || d.day > today+1 {
			continue
		}
		full = full || d.full
		for _, r := range d.rows {
			if _, state, ok := view.Rule(r.rule); !ok || state == blocklist.RuleRevoked {
				continue
			}
			if t[d.day] == nil {
				t[d.day] = map[uint64]uint64{}
			}
			t[d.day][r.rule] |= r.bits
		}
	}
	return full
}

// over returns the rules and days with more pictures than the budget, in order.
func (t tallies) over(budget int) (list []Alarm) {
	for day, rules := range t {
		for rule, set := range rules {
			if n := pictures[bits.OnesCount64(set)]; n > budget {
				list = append(list, Alarm{Rule: rule, Day: time.Unix(day*daySeconds, 0).UTC(), Pictures: n})
			}
		}
	}
	slices.SortFunc(list, func(a, b Alarm) int { return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Rule, b.Rule)) })
	return list
}

// forget drops days that are over.
func (t tallies) forget(today int64) {
	maps.DeleteFunc(t, func(day int64, _ map[uint64]uint64) bool { return day < today-1 })
}
