// Package takedownhttp keeps a client of net/http from fetching what is blocked.
//
//	client := &http.Client{Transport: &takedownhttp.Transport{Enforcer: enforcer}}
//	resp, err := client.Get(u)
//	var blocked *takedownhttp.BlockedError
//	if errors.As(err, &blocked) { … blocked.Decision … }
//
// It is a package of its own, so that a program that only asks does not link
// net/http.
package takedownhttp

import (
	"fmt"
	"net/http"

	"github.com/staydown/staydown/takedown"
)

// Filter answers about addresses: a [takedown.Enforcer], or its view from one
// country, a [takedown.Region].
type Filter interface {
	FilterURL(imageURL string) takedown.Decision
	FilterPage(pageURL string) takedown.Decision
}

// Transport is an http.RoundTripper that asks before each request is sent. A
// client sends each step of a redirect as a request of its own, so each is asked
// about. Transport is safe for concurrent use if its fields are not changed.
type Transport struct {
	// Enforcer answers. The address of a request may be that of a picture or of a
	// page, so both are asked and the stronger verdict counts.
	Enforcer Filter
	// Next sends what is not refused; nil is http.DefaultTransport.
	Next http.RoundTripper
	// Refuse reports whether a decision keeps a request from being sent. nil
	// refuses Block, and Unknown, which is no permission: see
	// takedown.EnforcerOptions.Stale for a list that is too old.
	Refuse func(takedown.Decision) bool
}

// BlockedError says that a request was not sent. It does not name the address.
type BlockedError struct{ Decision takedown.Decision }

func (e *BlockedError) Error() string {
	return fmt.Sprintf("takedown: not requested: %v", e.Decision)
}

// RoundTrip sends a request, or returns a [*BlockedError]. A client wraps it in an
// *url.Error, through which errors.As finds it.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if d := t.ask(req.URL.String()); t.refuses(d) {
		if req.Body != nil {
			req.Body.Close() // as http.RoundTripper demands
		}
		return nil, &BlockedError{d}
	}
	next := t.Next
	if next == nil {
		next = http.DefaultTransport
	}
	return next.RoundTrip(req)
}

// ask returns the stronger decision about an address. Unknown is the weakest
// verdict, but no permission: it is returned unless the other decision blocks.
func (t *Transport) ask(u string) takedown.Decision {
	image, page := t.Enforcer.FilterURL(u), t.Enforcer.FilterPage(u)
	weak, strong := image, page
	if image.Stronger(page) {
		weak, strong = page, image
	}
	if weak.Verdict == takedown.Unknown && strong.Verdict < takedown.Block {
		return weak
	}
	return strong
}

func (t *Transport) refuses(d takedown.Decision) bool {
	if t.Refuse != nil {
		return t.Refuse(d)
	}
	return d.Verdict == takedown.Block || d.Verdict == takedown.Unknown
}

// CloseIdleConnections closes those of Next, if it has any: http.Client calls it.
func (t *Transport) CloseIdleConnections() {
	next := t.Next
	if next == nil {
		next = http.DefaultTransport
	}
	if c, ok := next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
