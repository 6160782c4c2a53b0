// Package takedowncolly keeps a crawler made with colly from fetching and keeping
// what is blocked.
//
//	g := &takedowncolly.Guard{Enforcer: enforcer, Review: func(m takedown.Match) { … }}
//	g.Attach(collector)
//
// Each address is asked about before it is requested, each step of a redirect too,
// and each picture before a callback sees it. What is refused goes to OnError with
// a *takedownhttp.BlockedError.
//
// The program crawl beside this package shows it on a site of 300 pages.
package takedowncolly

import (
	"errors"
	"net/http"
	"sync"

	"github.com/gocolly/colly/v2"

	"github.com/staydown/staydown/takedown"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
)

// Enforcer answers: a [takedown.Enforcer], or a [takedown.Region].
type Enforcer interface {
	takedownhttp.Filter
	takedownhttp.FileFilter
}

// Guard connects an enforcer with collectors. Its exported fields must not change
// after Attach.
type Guard struct {
	Enforcer Enforcer
	// Refuse reports whether a decision keeps an address or a picture from the
	// crawler; nil refuses Block and Unknown.
	Refuse func(takedown.Decision) bool
	// Review, unless nil, gets the pictures that are to be reviewed, for a queue. It
	// may be called by several goroutines at once.
	Review func(takedown.Match)
	// Inspect holds the options of looking at pictures.
	Inspect *takedown.InspectOptions
	// Next sends the requests; nil is http.DefaultTransport.
	Next http.RoundTripper
	// MaxBytes is the longest picture that is read; 0 means
	// takedownhttp.DefaultMaxBytes.
	MaxBytes int64

	mu     sync.Mutex
	counts Counts
}

// Counts are what a Guard has seen.
type Counts struct {
	// Pictures is how many were looked at, Review how many of them are to be
	// reviewed.
	Pictures, Review int
	// Refused is how many pictures and addresses were refused, by the tier that
	// matched. 0 is for those without a match: the list could not answer.
	Refused map[takedown.Tier]int
}

// Attach makes a collector ask. It replaces the transport of the collector: use Next
// for one of your own. Clones of the collector share it.
func (g *Guard) Attach(c *colly.Collector) {
	c.WithTransport(&takedownhttp.Transport{Enforcer: g.Enforcer, Images: g.Enforcer, Refuse: g.Refuse, Inspect: g.Inspect, Next: g.Next, MaxBytes: g.MaxBytes, Looked: g.looked})
	c.OnError(func(_ *colly.Response, err error) {
		var blocked *takedownhttp.BlockedError
		if errors.As(err, &blocked) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.counts.Refused == nil {
				g.counts.Refused = map[takedown.Tier]int{}
			}
			g.counts.Refused[blocked.Decision.Why]++
		}
	})
}

func (g *Guard) looked(m takedown.Match) {
	review := m.Decision.Verdict == takedown.Review
	g.mu.Lock()
	g.counts.Pictures++
	if review {
		g.counts.Review++
	}
	g.mu.Unlock()
	if review && g.Review != nil {
		g.Review(m)
	}
}

// Counts returns what was seen so far.
func (g *Guard) Counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counts
	c.Refused = map[takedown.Tier]int{}
	for t, n := range g.counts.Refused {
		c.Refused[t] = n
	}
	return c
}
