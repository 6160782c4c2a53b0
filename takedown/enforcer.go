package takedown

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/counts"
	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/phash"
)

// EnforcerOptions are the options of an [Enforcer]. The zero value, and nil,
// are the defaults.
type EnforcerOptions struct {
	// BlockRadius is the distance in bits up to which a PDQ hash is a copy of a
	// registered picture. 0 means phash.BlockRadius; the maximum is 64. A ranker
	// with a long list may want 31. docs/benchmarks.md has the cost of a search at
	// each radius, and docs/accuracy.md the copies that it finds.
	//
	// ReviewRadius is the distance up to which a hash may be a copy; Check then
	// answers [Review]. 0 means phash.ReviewRadius; the maximum is 64. If it is
	// not above BlockRadius, no hash is held for review because of its distance.
	BlockRadius, ReviewRadius int
	// MaxAge is the age from which a list is too old to answer Allow; 0 means no
	// limit. The age is counted from the time when the snapshot was written, or
	// from the time that [ListSource].Current returns. A list that is open for
	// writing, for example a desk's own, is never too old.
	MaxAge time.Duration
	// Stale is the verdict that replaces [Allow] when the list is too old. It also
	// replaces Allow when a candidate has faces that the list could not compare.
	// This happens when the snapshot is older than its faces may be used (see
	// [blocklist.Info].FacesUntil), or when their keys are missing.
	//
	// Stale is required when MaxAge is set. Without it, the answer about faces
	// that could not be compared is Allow, and Decision.Checked has no TierFace.
	Stale Stale
	// Undecodable is the verdict for an image file that cannot be decoded, if
	// nothing else blocks it: Allow, Review or Block; 0 means Review. The picture
	// was not compared, though viewers may show it. If a list has faces, the verdict
	// also applies to a picture whose faces are not known: see Candidate.FacesUnseen.
	Undecodable Verdict
	// Map makes Load use the file in place, mapped into memory. It opens faster
	// and shares its memory with other processes. The file must then never be
	// changed or cut in place, only replaced as Publish does it. Without Map the
	// file is copied, and may be changed freely.
	Map bool
	// IgnoreAllowList treats pictures on the allow list as any other. It is for a
	// preview of the matches that the allow list hides.
	IgnoreAllowList bool
	// TrustedKeys, if not empty, are the accepted signing keys: Load and Reload
	// require a signature by one of them. EncryptionKey, unless nil, is the key
	// that the file is encrypted with. A desk takes its own from desk.Options.
	TrustedKeys   []ed25519.PublicKey
	EncryptionKey *blocklist.EncryptionKey
	// Observer, unless nil, receives the events of lists that Load and Reload
	// open, and one in 1,024 queries with its duration. Logger logs the events,
	// not the queries.
	Observer blocklist.Observer
	Logger   *slog.Logger
	// Now is the clock; nil is time.Now. Tests set it.
	Now func() time.Time
}

// Stale is the answer of a list that is older than EnforcerOptions.MaxAge, or than
// its faces may be used, where it would be Allow. Blocked images stay blocked.
type Stale uint8

const (
	StaleUnknown Stale = 1 // Unknown: the caller decides
	StaleAllow   Stale = 2 // Allow: fail open
	StaleBlock   Stale = 3 // Block: fail closed
)

// Enforcer decides whether an image is blocked, by one list or several. It is safe
// for concurrent use. Its queries take no lock, do no I/O and allocate nothing for
// canonical addresses, except one counting table per day.
type Enforcer struct {
	sources     []source
	now         func() time.Time
	radii       radius.Radii
	maxAge      time.Duration // 0 for none
	undecodable Verdict
	stale       Stale // 0 for none
	bare        bool  // without the allow lists
	closed      atomic.Bool
	loaded      bool // Load opened the list
	observed    *observed
}

// ListSource is a list of an [Enforcer]. Package feed and others provide lists of
// other operators.
type ListSource struct {
	// Name identifies the list, in Decision.List and elsewhere. It can be any text
	// that is unique among the lists.
	Name string
	List *blocklist.List
	// Effect is blocklist.EffectReview for a list that only holds matches for
	// review. Zero, and EffectBlock, use the effects of the rules.
	Effect blocklist.Effect
	// Territories are the countries in which the list counts, ISO 3166-1 alpha-2.
	// Empty means everywhere.
	Territories []string
	// Current, unless nil, returns when the list was last known to be complete.
	// EnforcerOptions.MaxAge counts from that time. If nil, it counts from the
	// time of the snapshot.
	Current func() time.Time
}

// source is a ListSource in use.
type source struct {
	purposes purposeStates
	name     string
	list     *blocklist.List
	holds    bool                  // its matches are held only
	within   []blocklist.Territory // where it counts; nil for everywhere
	current  func() time.Time
	counter  counts.Counter
}

// Load opens a snapshot of desk.Desk.Publish, read-only. [Enforcer.Reload] loads
// its successors. If the file is refused, the error wraps one of package
// blocklist: ErrNotSnapshot, ErrVersion, ErrTruncated, ErrChecksum, ErrKey and
// others.
func Load(path string, opts *EnforcerOptions) (*Enforcer, error) {
	if opts == nil {
		opts = new(EnforcerOptions)
	}
	e, err := newEnforcer(opts)
	if err != nil {
		return nil, err
	}
	list, err := blocklist.Load(path, &blocklist.LoadOptions{
		Now: opts.Now, Map: opts.Map, TrustedKeys: opts.TrustedKeys, EncryptionKey: opts.EncryptionKey, Observer: opts.Observer, Logger: opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	e.sources, e.loaded = []source{{list: list}}, true
	return e, nil
}

// NewEnforcer returns an enforcer over lists that the caller has opened: a feed's,
// or those of several operators. All lists are queried, and the strongest verdict
// wins; Decision.List names its list. The options about files have no effect.
//
// Close does not close the lists; the caller closes them. A closed list answers
// [Unknown], unless another list blocks.
//
// It fails with an [*ArgumentError] when there is no list, when two lists have the
// same name, or when a territory or an effect is invalid.
func NewEnforcer(lists []ListSource, opts *EnforcerOptions) (*Enforcer, error) {
	e, err := newEnforcer(opts)
	if err != nil {
		return nil, err
	}
	if len(lists) == 0 {
		return nil, badArgument("NewEnforcer, lists", "there are none")
	}
	e.sources = make([]source, len(lists))
	for i, l := range lists {
		name := fmt.Sprintf("ListSource %q", l.Name)
		switch {
		case l.List == nil:
			return nil, badArgument(name, "its List is nil")
		case slices.ContainsFunc(lists[:i], func(o ListSource) bool { return o.Name == l.Name }):
			return nil, badArgument(name, "there are two of that name")
		case l.Effect != 0 && l.Effect != blocklist.EffectBlock && l.Effect != blocklist.EffectReview:
			return nil, badArgument(name, "%v is no effect", l.Effect)
		}
		s := &e.sources[i]
		s.name, s.list, s.holds, s.current = l.Name, l.List, l.Effect == blocklist.EffectReview, l.Current
		for _, code := range l.Territories {
			t, err := blocklist.ParseTerritory(code)
			if err != nil {
				return nil, badArgument(name, "%q is no country: ISO 3166-1 alpha-2 is accepted", code)
			}
			s.within = append(s.within, t)
		}
	}
	return e, nil
}

// Check returns an [*ArgumentError] if the options are invalid, or nil.
func (o *EnforcerOptions) Check() error {
	if o == nil {
		return nil
	}
	for _, r := range []struct {
		name   string
		radius int
	}{{"BlockRadius", o.BlockRadius}, {"ReviewRadius", o.ReviewRadius}} {
		if r.radius < 0 || r.radius > radius.Max {
			return badArgument("EnforcerOptions."+r.name, "1 to %d bits, or 0 for the default, not %d", radius.Max, r.radius)
		}
	}
	if o.MaxAge < 0 {
		return badArgument("EnforcerOptions.MaxAge", "%v is negative; 0 is the default", o.MaxAge)
	}
	switch o.Stale {
	case StaleUnknown, StaleAllow, StaleBlock:
	case 0:
		if o.MaxAge != 0 {
			return badArgument("EnforcerOptions.Stale", "MaxAge needs it: what to answer when the list is too old")
		}
	default:
		return badArgument("EnforcerOptions.Stale", "it is none of StaleUnknown, StaleAllow and StaleBlock")
	}
	switch o.Undecodable {
	case 0, Allow, Review, Block:
		return nil
	}
	return badArgument("EnforcerOptions.Undecodable", "%v is none of allow, review and block, and not 0 for the default", o.Undecodable)
}

// newEnforcer checks the options and makes an enforcer that still needs its
// list.
func newEnforcer(opts *EnforcerOptions) (*Enforcer, error) {
	if opts == nil {
		opts = new(EnforcerOptions)
	}
	if err := opts.Check(); err != nil {
		return nil, err
	}
	e := &Enforcer{
		now: opts.Now, radii: radius.PDQ(opts.BlockRadius, opts.ReviewRadius),
		maxAge: opts.MaxAge, stale: opts.Stale, undecodable: cmp.Or(opts.Undecodable, Review), bare: opts.IgnoreAllowList,
	}
	if e.now == nil {
		e.now = time.Now
	}
	if opts.Observer != nil {
		e.observed = &observed{to: opts.Observer}
	}
	return e, nil
}

// Close releases the list that [Load] opened. Later queries answer [Unknown];
// running queries complete. It does not close the lists of [NewEnforcer], or of
// the enforcer of a desk.Desk: the caller that opened them does.
func (e *Enforcer) Close() error {
	if !e.loaded {
		return nil
	}
	e.closed.Store(true)
	return e.sources[0].list.Close()
}

// isClosed reports whether a list that is asked is closed.
func (e *Enforcer) isClosed() bool {
	return e.closed.Load() || slices.ContainsFunc(e.lists(), (*blocklist.List).Closed)
}

// lists returns the lists.
func (e *Enforcer) lists() []*blocklist.List {
	lists := make([]*blocklist.List, len(e.sources))
	for i := range e.sources {
		lists[i] = e.sources[i].list
	}
	return lists
}

// Reload loads the file of [Load] again if it was replaced. If the new file cannot
// be used, the old list stays in force and Reload returns the error.
// [Enforcer.Info] keeps the error until a Reload succeeds. For an enforcer of
// [NewEnforcer], or of a desk, it returns false and no error.
func (e *Enforcer) Reload() (changed bool, err error) {
	switch {
	case e.isClosed():
		return false, ErrClosed
	case !e.loaded:
		return false, nil
	}
	return e.sources[0].list.Reload()
}

// FilterURL decides by the address of an image alone. A crawler calls it before a
// fetch. If imageURL is not a valid HTTP(S) URL (empty, relative, of another
// scheme), no URL look-up is made. The verdict is then Allow, and Decision.Checked
// has no TierURL.
func (e *Enforcer) FilterURL(imageURL string) Decision { return e.decide(where{}, imageURL, "", nil) }

// FilterPage decides by the address of a page that shows images. Addresses of
// pages and addresses of images are separate. An address that is blocked as a page
// is not blocked as an image, and vice versa.
func (e *Enforcer) FilterPage(pageURL string) Decision { return e.decide(where{}, "", pageURL, nil) }

// Filter decides by the address and the hashes of an image. There may be no hash,
// one, or several: of different algorithms, or those that phash.HashesToAsk
// returns for one picture, and Candidate.Parts. If several rules match, the strongest verdict wins. An
// empty or invalid address and the zero Hash are not compared; see
// Decision.Checked.
//
// Filter looks for hashes within the block radius; [Enforcer.Check] looks further.
// Filter answers [Review] only for rules that ask for it, and for flat pictures,
// whose hashes beyond 31 bits are not enough evidence to block.
//
// It takes no lock. When imageURL is canonical it allocates nothing, except one
// counting table per day.
func (e *Enforcer) Filter(imageURL string, hashes ...phash.Hash) Decision {
	return e.decide(where{}, imageURL, "", hashes)
}

// Check decides about a candidate by all its data: its addresses, the pages that
// show it, its file and its hashes. It compares features and faces where nothing
// else blocks the candidate. It compares hashes up to ReviewRadius, while Filter
// stops at BlockRadius. Check is slower than Filter: use it where pixels were
// decoded anyway.
func (e *Enforcer) Check(c Candidate) Decision { return e.check(where{}, &c) }

// In returns the view of a viewer in a country, ISO 3166-1 alpha-2 (UK is GB, EL
// is GR). Rules for other territories do not count, and rules for this one block.
// With an invalid or empty code, every rule applies (fail closed), and
// [Region.Err] returns an error. [ParseCountry] checks a code beforehand.
func (e *Enforcer) In(country string) Region {
	t, err := blocklist.ParseTerritory(country)
	return Region{e, where{set: true, all: err != nil, territory: t}}
}

// Region is an [Enforcer] as seen from one country: see [Enforcer.In]. It is a
// small value.
type Region struct {
	e  *Enforcer
	in where
}

// Err returns an error if the code given to [Enforcer.In] is not a country. Every
// rule then applies.
func (r Region) Err() error {
	if r.in.all {
		return badArgument("In, country", "it is no code of ISO 3166-1, such as DE; every rule applies")
	}
	return nil
}

// Country is a country or area of ISO 3166-1.
type Country = blocklist.Territory

// ParseCountry reads a two-letter code of ISO 3166-1, in upper or lower case.
// UK is read as GB, and EL as GR.
func ParseCountry(code string) (Country, error) { return blocklist.ParseTerritory(code) }

// FilterURL is [Enforcer.FilterURL] in the region.
func (r Region) FilterURL(imageURL string) Decision { return r.e.decide(r.in, imageURL, "", nil) }

// FilterPage is [Enforcer.FilterPage] in the region.
func (r Region) FilterPage(pageURL string) Decision { return r.e.decide(r.in, "", pageURL, nil) }

// Filter is [Enforcer.Filter] in the region.
func (r Region) Filter(imageURL string, hashes ...phash.Hash) Decision {
	return r.e.decide(r.in, imageURL, "", hashes)
}

// Check is [Enforcer.Check] in the region.
func (r Region) Check(c Candidate) Decision { return r.e.check(r.in, &c) }

// where says for which territory a query is made; zero says for none.
type where struct {
	set       bool
	all       bool // every territory counts as this one
	purposes  Purposes
	territory blocklist.Territory
}

// Matches returns the decision of [Enforcer.Check] for each rule alone that the
// candidate matches, the strongest first. It is for support and reviewers. It
// continues after the match that decides Check, so it is slower, and it does not
// count matches. Decision.Checked is that of the whole query. It returns nothing
// for a closed list.
func (e *Enforcer) Matches(c Candidate) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		var w weighing
		w.begin(e, where{})
		w.all = map[matched]Decision{}
		w.candidate(&c)
		checked := w.decision().Checked
		for _, d := range slices.SortedFunc(maps.Values(w.all), func(a, b Decision) int { return -a.compare(&b) }) {
			d.Checked = checked
			if !yield(d) {
				return
			}
		}
	}
}

// searchers keeps the memory of searches by features.
var searchers = sync.Pool{New: func() any { return new(blocklist.FeatureSearcher) }}
