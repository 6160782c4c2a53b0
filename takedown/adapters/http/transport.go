// Package takedownhttp keeps a client of net/http from fetching what is blocked,
// and a server from taking it as an upload.
//
//	client := &http.Client{Transport: &takedownhttp.Transport{Enforcer: enforcer, Images: enforcer}}
//	resp, err := client.Get(u)
//	var blocked *takedownhttp.BlockedError
//	if errors.As(err, &blocked) { … blocked.Decision … }
//
//	http.Handle("POST /upload", &takedownhttp.Uploads{Enforcer: enforcer, Next: store})
//
// It is a package of its own, so that a program that only asks does not link
// net/http.
package takedownhttp

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Filter answers about addresses: a [takedown.Enforcer], or its view from one
// country, a [takedown.Region].
type Filter interface {
	FilterURL(imageURL string) takedown.Decision
	FilterPage(pageURL string) takedown.Decision
}

// FileFilter answers about files: a [takedown.Enforcer] or a [takedown.Region].
type FileFilter interface {
	CheckFile(ctx context.Context, file io.Reader, src takedown.Source, opts *takedown.InspectOptions) (takedown.Decision, takedown.Candidate, error)
}

// Transport is an http.RoundTripper that asks before each request is sent. A
// client sends each step of a redirect as a request of its own, so each is asked
// about. Transport is safe for concurrent use if its fields are not changed.
type Transport struct {
	// Enforcer answers. The address of a request may be that of a picture or of a
	// page, so both are asked and the stronger verdict counts.
	Enforcer Filter
	// Images, unless nil, also looks at pictures: at bodies that are served as an
	// image, or begin as one. The body is read before RoundTrip returns, so a
	// picture that is refused never reaches the caller.
	Images FileFilter
	// Looked, unless nil, is called with each picture that was looked at and its
	// decision, for counting, and for a queue of what is to be reviewed. It may be
	// called by several goroutines at once.
	Looked func(takedown.Match)
	// Inspect holds the options of looking at pictures.
	Inspect *takedown.InspectOptions
	// MaxBytes is the longest picture that is read; 0 means DefaultMaxBytes. A longer
	// one is an error, because it was not looked at.
	MaxBytes int64
	// Dir is the folder for pictures that are too big for memory; "" is that of the
	// system.
	Dir string
	// Next sends what is not refused; nil is http.DefaultTransport.
	Next http.RoundTripper
	// Refuse reports whether a decision keeps a request from being sent. nil
	// refuses Block, and Unknown, which is no permission: see
	// takedown.EnforcerOptions.Stale for a list that is too old.
	Refuse func(takedown.Decision) bool
}

// BlockedError says that a request was not sent, or that its answer was withheld.
// It does not name the address.
type BlockedError struct{ Decision takedown.Decision }

func (e *BlockedError) Error() string {
	return fmt.Sprintf("takedown: refused: %v", e.Decision)
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
	resp, err := next.RoundTrip(req)
	if err != nil || t.Images == nil || req.Method == http.MethodHead {
		return resp, err
	}
	return t.look(req, resp)
}

// look replaces the body of a picture by one that was looked at.
func (t *Transport) look(req *http.Request, resp *http.Response) (*http.Response, error) {
	body := bufio.NewReaderSize(resp.Body, sniffed)
	mediaType := resp.Header.Get("Content-Type")
	head, _ := body.Peek(sniffed) // the error comes again below
	original := resp.Body
	if phash.Sniff(head) == phash.FormatUnknown && !isImage(mediaType) {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{body, original}
		return resp, nil
	}
	defer original.Close()
	s := &spool{dir: t.Dir, left: cmp.Or(t.MaxBytes, DefaultMaxBytes)}
	src := takedown.Source{ImageURL: req.URL.String(), MediaType: mediaType}
	for r := req.Response; r != nil && r.Request != nil; r = r.Request.Response {
		src.Aliases = append(src.Aliases, r.Request.URL.String())
	}
	d, c, err := check(req.Context(), t.Images, io.TeeReader(body, s), src, t.Inspect)
	if t.Looked != nil && err == nil {
		t.Looked(takedown.Match{Candidate: c, Decision: d})
	}
	if err == nil && !t.refuses(d) {
		_, err = io.Copy(s, body) // what the decision did not need
	}
	switch {
	case t.refuses(d):
		err = &BlockedError{d}
	case err == nil:
		resp.Body, err = s.open()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return resp, nil
}

// sniffed is how many bytes tell what a file is.
const sniffed = 512

func isImage(mediaType string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(mediaType)), "image/")
}

// check asks about a file. A file that cannot be decoded is no error: the decision
// says what it means.
func check(ctx context.Context, f FileFilter, r io.Reader, src takedown.Source, opts *takedown.InspectOptions) (takedown.Decision, takedown.Candidate, error) {
	d, c, err := f.CheckFile(ctx, r, src, opts)
	if errors.As(err, new(*phash.DecodeError)) || errors.As(err, new(*phash.LeftOutError)) {
		err = nil
	}
	return d, c, err
}

// ask returns the stronger decision about an address.
func (t *Transport) ask(u string) takedown.Decision {
	image, page := t.Enforcer.FilterURL(u), t.Enforcer.FilterPage(u)
	if image.Stronger(page) {
		return image
	}
	return page
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
