// Package counts counts how many different pictures rules match weakly, and
// carries the counts of nodes to the desk; see docs/decisions/match-budget.md.
package counts

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync/atomic"
	"time"
)

// DaySeconds is the length of what is counted together, from midnight UTC on.
const DaySeconds = 24 * 60 * 60

// Day returns the day of a time, counted from 1970-01-01 UTC.
func Day(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		s -= DaySeconds - 1
	}
	return s / DaySeconds
}

// MaxRules is the number of rules that are counted in one day, and maxProbes
// how many slots are tried for one: rules beyond are not counted, and the count
// says so.
const (
	MaxRules  = 1 << 16
	maxProbes = 64
)

// Counter counts for the match budget, without a lock. Its zero value has counted
// nothing.
type Counter struct{ today atomic.Pointer[dayCount] }

// dayCount is the count of one day: a table of rules by hashing, whose slots are
// taken once and then only gain bits.
type dayCount struct {
	day       int64
	yesterday atomic.Pointer[dayCount]
	full      atomic.Bool // a rule found no slot
	slots     [MaxRules]struct{ rule, bits atomic.Uint64 }
}

// Add counts a picture for a rule.
func (c *Counter) Add(now time.Time, rule, picture uint64) {
	day := Day(now)
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
		s := &t.slots[(Mix(rule)+i)%MaxRules]
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

// Mix spreads the bits of x over all 64 (Stafford's variant 13, as in
// SplitMix64).
func Mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Counts are how many different pictures rules have matched weakly, as one
// enforcer saw it.
type Counts struct {
	List [16]byte
	Days []OfDay // ascending
}

// OfDay is what was counted in one day.
type OfDay struct {
	Day  int64 // since 1970-01-01 UTC
	Full bool  // a rule could not be counted
	Rows []Row // ascending by rule
}

// Row has the bits of a rule.
type Row struct{ Rule, Bits uint64 }

// Counts returns what was counted for a list, today and yesterday.
func (c *Counter) Counts(list [16]byte) Counts {
	t := Counts{List: list}
	for c := c.today.Load(); c != nil; c = c.yesterday.Load() {
		d := OfDay{Day: c.day, Full: c.full.Load()}
		for i := range c.slots {
			if bits := c.slots[i].bits.Load(); bits != 0 {
				d.Rows = append(d.Rows, Row{c.slots[i].rule.Load(), bits})
			}
		}
		slices.SortFunc(d.Rows, func(a, b Row) int { return cmp.Compare(a.Rule, b.Rule) })
		t.Days = append(t.Days, d)
		if len(t.Days) == maxDays {
			break
		}
	}
	slices.Reverse(t.Days)
	return t
}

// The encoded tally, as docs/format/tally.md describes it.
const (
	magic      = "SDTALLY\x01" // the last byte is the version
	headerSize = 8 + 16 + 4
	dayHead    = 8 + 4 + 4
	rowSize    = 16
	maxDays    = 2
	maxSize    = headerSize + maxDays*(dayHead+MaxRules*rowSize) + 4
	maxDay     = 1 << 22 // days from 1970 on: the year 13453
	flagFull   = 1
)

// MarshalBinary returns at most 2.1 MB that UnmarshalBinary reads, in this
// version of the library and in later ones: 16 bytes for each rule.
func (t Counts) MarshalBinary() ([]byte, error) {
	b := append([]byte(magic), t.List[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Days)))
	for _, d := range t.Days {
		flags := uint32(0)
		if d.Full {
			flags = flagFull
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(d.Day))
		b = binary.LittleEndian.AppendUint32(b, flags)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(d.Rows)))
		for _, r := range d.Rows {
			b = binary.LittleEndian.AppendUint64(b, r.Rule)
			b = binary.LittleEndian.AppendUint64(b, r.Bits)
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// ErrFormat says that something is no tally, or one that this version of the
// library does not read.
var ErrFormat = errors.New("takedown: no tally that can be read")

// UnmarshalBinary reads what MarshalBinary wrote. Other bytes are an error that
// wraps [ErrFormat].
func (t *Counts) UnmarshalBinary(b []byte) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
	if len(b) < headerSize+4 || len(b) > maxSize {
		return bad("%d bytes, %d to %d are accepted", len(b), headerSize+4, maxSize)
	}
	if string(b[:7]) != magic[:7] {
		return bad("it does not begin with %q", magic[:7])
	}
	if b[7] != magic[7] {
		return bad("it has version %d, this program knows %d", b[7], magic[7])
	}
	body := b[:len(b)-4]
	if got, want := crc32.Checksum(body, castagnoli), binary.LittleEndian.Uint32(b[len(body):]); got != want {
		return bad("it has checksum %08x, not %08x", got, want)
	}
	got := Counts{List: [16]byte(b[8:24])}
	days := binary.LittleEndian.Uint32(b[24:])
	if days > maxDays {
		return bad("%d days, at most %d are accepted", days, maxDays)
	}
	p := body[headerSize:]
	for i := range int(days) {
		if len(p) < dayHead {
			return bad("day %d is cut", i)
		}
		day, flags, n := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint32(p[8:]), binary.LittleEndian.Uint32(p[12:])
		p = p[dayHead:]
		if day > maxDay || i > 0 && int64(day) <= got.Days[i-1].Day || flags > flagFull || n > MaxRules || len(p) < int(n)*rowSize {
			return bad("day %d, with flags %#x and %d rules in %d bytes, is out of bounds or order", day, flags, n, len(p))
		}
		d := OfDay{Day: int64(day), Full: flags == flagFull, Rows: make([]Row, n)}
		last := uint64(0)
		for k := range d.Rows {
			r := Row{binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])}
			p = p[rowSize:]
			if r.Rule <= last || r.Bits == 0 {
				return bad("rule %d comes after rule %d, with bits %#x", r.Rule, last, r.Bits)
			}
			last, d.Rows[k] = r.Rule, r
		}
		got.Days = append(got.Days, d)
	}
	if len(p) != 0 {
		return bad("%d bytes are left over", len(p))
	}
	*t = got
	return nil
}

// Pictures[n] is about how many pictures there were when n of the 64 bits are
// set: how many it takes on average, 64/64 + 64/63 + … with n terms.
var Pictures = func() (table [65]int) {
	sum := 0 // in 1/65536
	for n := range 64 {
		sum += (64 << 16) / (64 - n)
		table[n+1] = (sum + 1<<15) >> 16
	}
	return table
}()

// MaxBudget is the largest budget: beyond that, the bits say too little.
var MaxBudget = Pictures[60]

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
