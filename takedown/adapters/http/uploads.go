package takedownhttp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/staydown/staydown/takedown"
)

// Uploads is an http.Handler that looks at the files of a request before another
// handler sees it: the whole body, or each file of a multipart form. It keeps the
// body in memory, or on disk if it is big, and hands it on unchanged. Uploads is
// safe for concurrent use if its fields are not changed.
type Uploads struct {
	// Enforcer answers.
	Enforcer FileFilter
	// Next gets the requests that are not refused.
	Next http.Handler
	// Status returns the status with which a decision is answered, or 0 to hand the
	// request on. nil is [DefaultStatus].
	Status func(takedown.Decision) int
	// Refused, unless nil, writes the answer to a refused request.
	Refused func(w http.ResponseWriter, r *http.Request, status int, d takedown.Decision)
	// Inspect holds the options of looking at pictures. Its Slots limit how many are
	// decoded at a time.
	Inspect *takedown.InspectOptions
	// MaxBytes is the longest body, 0 means DefaultMaxBytes; MaxFiles is how many
	// files a form may have, 0 means 100.
	MaxBytes int64
	MaxFiles int
	// Dir is the folder for bodies that are too big for memory; "" is that of the
	// system.
	Dir string
}

// DefaultStatus refuses Block with 451 (unavailable for legal reasons), and Unknown
// with 503, because the list cannot answer. Everything else is handed on. The
// handler asks [DecisionOf] for files that are to be held for review.
func DefaultStatus(d takedown.Decision) int {
	switch d.Verdict {
	case takedown.Block:
		return http.StatusUnavailableForLegalReasons
	case takedown.Unknown:
		return http.StatusServiceUnavailable
	}
	return 0
}

type decisionKey struct{}

// DecisionOf returns the strongest decision about the files of a request that
// Uploads handed on. It is the zero Decision for other requests, and for forms
// without files.
func DecisionOf(ctx context.Context) takedown.Decision {
	d, _ := ctx.Value(decisionKey{}).(takedown.Decision)
	return d
}

// ServeHTTP implements http.Handler.
func (u *Uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limit := cmp.Or(u.MaxBytes, DefaultMaxBytes)
	if r.Body != nil {
		// Many clients read the answer when they have sent all, so a request that is
		// refused is read too, within bounds.
		body := r.Body
		defer func() { io.CopyN(io.Discard, body, limit) }()
	}
	if r.ContentLength > limit {
		http.Error(w, ErrTooLong.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	s := &spool{dir: u.Dir, left: limit}
	defer s.Close()
	d, err := u.look(r, s)
	if status := u.status(d); status != 0 && (err == nil || d.Verdict == takedown.Block) {
		u.refuse(w, r, status, *d)
		return
	}
	if err == nil {
		if d != nil {
			r = r.WithContext(context.WithValue(r.Context(), decisionKey{}, *d))
		}
		r.Body, err = s.open()
	}
	var form *formError
	switch {
	case errors.Is(err, ErrTooLong):
		http.Error(w, ErrTooLong.Error(), http.StatusRequestEntityTooLarge)
	case errors.As(err, &form):
		http.Error(w, "takedown: "+form.Error(), http.StatusBadRequest)
	case r.Context().Err() != nil: // the client went away
	case err != nil:
		http.Error(w, "takedown: the upload cannot be looked at", http.StatusInternalServerError)
	default:
		u.Next.ServeHTTP(w, r)
	}
}

// formError is a mistake of the client.
type formError struct{ err error }

func (e *formError) Error() string { return fmt.Sprintf("not a form that can be read: %v", e.err) }
func (e *formError) Unwrap() error { return e.err }

// status returns the status for a decision, which is nil if there is no file. The
// zero Decision is not that: a closed list returns it.
func (u *Uploads) status(d *takedown.Decision) int {
	if d == nil {
		return 0
	}
	if u.Status != nil {
		return u.Status(*d)
	}
	return DefaultStatus(*d)
}

func (u *Uploads) refuse(w http.ResponseWriter, r *http.Request, status int, d takedown.Decision) {
	if u.Refused != nil {
		u.Refused(w, r, status, d)
		return
	}
	http.Error(w, http.StatusText(status), status)
}

// look reads the body into s, and asks about its files. The decision is nil if
// there are none.
func (u *Uploads) look(r *http.Request, s *spool) (d *takedown.Decision, err error) {
	if r.Body == nil {
		return nil, nil
	}
	body := io.TeeReader(r.Body, s)
	mediaType, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case mediaType == "multipart/form-data" || mediaType == "multipart/mixed":
		if params["boundary"] == "" {
			return d, &formError{errors.New("no boundary")}
		}
		d, err = u.lookAtForm(r.Context(), multipart.NewReader(body, params["boundary"]), s)
	case mediaType == "application/x-www-form-urlencoded" || r.Method == http.MethodGet || r.Method == http.MethodHead || r.ContentLength == 0:
	default:
		d = new(takedown.Decision)
		*d, _, err = check(r.Context(), u.Enforcer, body, takedown.Source{MediaType: r.Header.Get("Content-Type")}, u.Inspect)
	}
	if err == nil && u.status(d) == 0 {
		_, err = io.Copy(io.Discard, body)
	}
	return d, err
}

// lookAtForm asks about each file of a form, and returns the strongest decision. A
// file that is refused ends it.
func (u *Uploads) lookAtForm(ctx context.Context, form *multipart.Reader, s *spool) (worst *takedown.Decision, err error) {
	for n := 0; ; {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return worst, nil
		}
		if err != nil {
			if s.left < 0 {
				err = ErrTooLong
			} else {
				err = &formError{err}
			}
			return worst, err
		}
		if part.FileName() == "" && !isImage(part.Header.Get("Content-Type")) {
			continue // a field
		}
		if n++; n > cmp.Or(u.MaxFiles, 100) {
			return worst, &formError{errors.New("too many files")}
		}
		d, _, err := check(ctx, u.Enforcer, part, takedown.Source{MediaType: part.Header.Get("Content-Type")}, u.Inspect)
		if worst == nil || d.Stronger(*worst) {
			worst = &d
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = &formError{err}
		}
		if err != nil || u.status(worst) != 0 {
			return worst, err
		}
	}
}
