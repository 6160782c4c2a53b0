package feed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/fsx"
)

// source is where a reader gets the files of a feed.
type source interface {
	// latest returns the pointer, unless it still has that tag.
	latest(ctx context.Context, tag string) (text []byte, newTag string, same bool, err error)
	// open returns a file from an offset on, or from the beginning: see from.
	open(ctx context.Context, name string, offset int64) (r io.ReadCloser, from int64, err error)
}

// sourceOf returns the source at a location: an address, or a folder.
func sourceOf(location string, client *http.Client) (source, error) {
	if !strings.Contains(location, "://") {
		return folderSource(location), nil
	}
	u, err := url.Parse(location)
	if err != nil {
		return nil, errors.New("feed: the location is neither an address nor a folder")
	}
	switch u.Scheme {
	case "file":
		return folderSource(filepath.FromSlash(u.Path)), nil
	case "http", "https":
		if u.Host == "" {
			return nil, errors.New("feed: the location has no host")
		}
		if !strings.HasSuffix(u.Path, "/") {
			u.Path += "/"
		}
		return &httpSource{client: clientFor(client), base: u}, nil
	}
	return nil, fmt.Errorf("feed: locations with %q are not supported: %w", u.Scheme, errors.ErrUnsupported)
}

// folderSource reads a folder, for example one that is mounted or that rsync
// writes.
type folderSource string

func (f folderSource) latest(_ context.Context, tag string) ([]byte, string, bool, error) {
	b, err := readSmall(fsx.OS{}, filepath.Join(string(f), pointerName))
	if err != nil {
		return nil, "", false, withoutPath(err)
	}
	now := versionOf(b)
	return b, now, now == tag, nil
}

func (f folderSource) open(_ context.Context, name string, offset int64) (io.ReadCloser, int64, error) {
	h, err := os.Open(filepath.Join(string(f), name))
	if err != nil {
		return nil, 0, withoutPath(err)
	}
	if _, err := h.Seek(offset, io.SeekStart); err != nil {
		h.Close()
		return nil, 0, withoutPath(err)
	}
	return h, offset, nil
}

// withoutPath leaves out the name of a file.
func withoutPath(err error) error {
	if p := (*iofs.PathError)(nil); errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}

type httpSource struct {
	client *http.Client
	base   *url.URL
}

// clientFor returns a client that follows redirects on one host only, unless the
// caller has decided about redirects.
func clientFor(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{}
	}
	if c.CheckRedirect != nil {
		return c
	}
	own := *c
	own.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if first := via[0].URL; len(via) > 5 || req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
			return errors.New("the server redirects to another place")
		}
		return nil
	}
	return &own
}

// retryError is the answer of a server that asks to wait.
type retryError struct {
	status int
	wait   time.Duration
}

func (e *retryError) Error() string { return fmt.Sprintf("the server answers %d", e.status) }

// maxRetryAfter bounds what a server can ask for.
const maxRetryAfter = time.Hour

func (s *httpSource) get(ctx context.Context, name string, header http.Header) (*http.Response, error) {
	u := *s.base
	u.Path += name
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the location is not a valid address")
	}
	req.Header = header
	// Sizes are those of the files.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := s.client.Do(req)
	if err != nil {
		// The address may hold a secret.
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified:
		return resp, nil
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		return nil, fmt.Errorf("the server answers %d: %w", resp.StatusCode, iofs.ErrNotExist)
	}
	return nil, &retryError{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), time.Now())}
}

// retryAfter reads a number of seconds or a date; 0 for none.
func retryAfter(text string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

var errNoCondition = errors.New("the server answers 304 to a request without a condition")

func (s *httpSource) latest(ctx context.Context, tag string) ([]byte, string, bool, error) {
	h := http.Header{}
	if tag != "" {
		h.Set("If-None-Match", tag)
	}
	resp, err := s.get(ctx, pointerName, h)
	if err != nil {
		return nil, "", false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		if tag == "" {
			return nil, "", false, errNoCondition
		}
		return nil, tag, true, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPointer+1))
	return text, tagOf(resp.Header), false, err
}

// tagOf returns the tag of an answer, if it can be relied on. Some servers make it
// of the time of the file in seconds: a pointer that was just written may get a
// successor with the same tag.
func tagOf(h http.Header) string {
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if date, failed := http.ParseTime(h.Get("Date")); err == nil && failed == nil && date.Sub(modified) < 2*time.Second {
		return ""
	}
	return h.Get("ETag")
}

func (s *httpSource) open(ctx context.Context, name string, offset int64) (io.ReadCloser, int64, error) {
	h := http.Header{}
	if offset > 0 {
		h.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := s.get(ctx, name, h)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case resp.StatusCode == http.StatusNotModified:
		resp.Body.Close()
		return nil, 0, errNoCondition
	case resp.StatusCode == http.StatusPartialContent:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) {
			resp.Body.Close()
			return nil, 0, errors.New("the server answers with another range")
		}
		return resp.Body, offset, nil
	}
	return resp.Body, 0, nil
}

// leastRate is how fast a file must come, in bytes a second. A server that is
// slower keeps a reader busy for nothing.
const leastRate = 16 << 10

// patient reads with a limit for each read, and for all of them.
type patient struct {
	r     io.ReadCloser
	timer *time.Timer
	stall time.Duration
}

// fetch opens a file of a known size, from an offset on or from the beginning: see
// source.open. The context that it passes on ends when the source stalls for too
// long, or is slower than leastRate.
func fetch(ctx context.Context, s source, name string, offset, size int64, stall time.Duration) (*patient, int64, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &patient{stall: stall, timer: time.AfterFunc(stall, cancel)}
	r, from, err := s.open(ctx, name, offset)
	if err != nil {
		p.timer.Stop()
		cancel()
		return nil, 0, nil, err
	}
	p.r = r
	// The source decides where it begins, and so how much there is to send.
	whole := time.AfterFunc(stall+time.Duration(float64(size-from)/leastRate*float64(time.Second)), cancel)
	return p, from, func() { p.timer.Stop(); whole.Stop(); cancel() }, nil
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 {
		p.timer.Reset(p.stall)
	}
	return n, err
}

func (p *patient) Close() error { return p.r.Close() }

// fetchSmall returns a file that fits into memory.
func fetchSmall(ctx context.Context, s source, name string, f *file, stall time.Duration) ([]byte, error) {
	if f.Size > blocklist.MaxDelta {
		return nil, fmt.Errorf("feed: a delta of %d bytes: %w", f.Size, blocklist.ErrLimit)
	}
	r, _, done, err := fetch(ctx, s, name, 0, f.Size, stall)
	if err != nil {
		return nil, fmt.Errorf("feed: delta: %w", err)
	}
	defer done()
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, f.Size+1))
	if err != nil {
		return nil, fmt.Errorf("feed: delta: %w", err)
	}
	if int64(len(b)) != f.Size || hashText(sha256.Sum256(b)) != f.SHA256 {
		return nil, fmt.Errorf("feed: delta: %d bytes, %d were named: %w", len(b), f.Size, ErrMismatch)
	}
	return b, nil
}

// fetchFile brings a file to path. What an earlier call brought of it is not
// fetched again.
func fetchFile(ctx context.Context, s source, fs fsx.FS, name string, f *file, path string, stall time.Duration) (n int64, err error) {
	part := path + partSuffix
	h, err := fs.Edit(part)
	if errors.Is(err, iofs.ErrNotExist) {
		h, err = fs.Create(part)
	}
	if err != nil {
		return 0, fmt.Errorf("feed: %w", withoutPath(err))
	}
	n, err = fetchRest(ctx, s, h, name, f, stall)
	if err == nil {
		err = compare(h, f)
	}
	if err == nil {
		err = h.Sync()
	}
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(part, path)
	}
	if err == nil {
		err = fs.SyncDir(filepath.Dir(path))
	}
	if err == nil {
		return n, nil
	}
	if errors.Is(err, ErrMismatch) {
		err = errors.Join(err, remove(fs, part))
	}
	return n, fmt.Errorf("feed: base: %w", withoutPath(err))
}

// fetchRest fetches what a file lacks, and goes on after interruptions as long as
// the file grows. An attempt that begins again at 0 counts as a failure, however
// much it brings: otherwise a server that ignores ranges is asked without end.
func fetchRest(ctx context.Context, s source, h fsx.File, name string, f *file, stall time.Duration) (n int64, err error) {
	for failures := 0; ; {
		at, err := h.Size()
		if err != nil || at >= f.Size {
			return n, err
		}
		got, err := fetchPart(ctx, s, h, name, f, at, stall)
		if n += got; err == nil {
			return n, nil
		}
		end, sizeErr := h.Size()
		if sizeErr != nil {
			return n, sizeErr
		}
		if failures++; got >= worthwhile && end == at+got {
			failures = 0
		}
		if failures == 3 || ctx.Err() != nil || isHopeless(err) {
			return n, err
		}
	}
}

// isHopeless reports whether the same request would end in the same error.
func isHopeless(err error) bool {
	return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, errDisk) || errors.Is(err, ErrMismatch)
}

// compare reads a file back: that is what is used.
func compare(h fsx.File, f *file) error {
	sum := sha256.New()
	size, err := io.Copy(sum, io.NewSectionReader(h, 0, f.Size+1))
	if err == nil && (size != f.Size || hashText(sum.Sum(nil)) != f.SHA256) {
		err = fmt.Errorf("%d bytes, %d were named: %w", size, f.Size, ErrMismatch)
	}
	return err
}

// worthwhile is how much an attempt must add for the failures before it not to count.
const worthwhile = 1 << 20

var errDisk = errors.New("the disk does not take it")

// fetchPart appends what the source gives from an offset on.
func fetchPart(ctx context.Context, s source, h fsx.File, name string, f *file, at int64, stall time.Duration) (n int64, err error) {
	r, from, done, err := fetch(ctx, s, name, at, f.Size, stall)
	if err != nil {
		return 0, err
	}
	defer done()
	defer r.Close()
	at = from
	buf := make([]byte, 256<<10)
	for {
		k, err := io.ReadAtLeast(r, buf, 1)
		if int64(k) > f.Size-at {
			return n, fmt.Errorf("it is longer than %d bytes: %w", f.Size, ErrMismatch)
		}
		if k > 0 {
			if _, err := h.WriteAt(buf[:k], at); err != nil {
				return n, fmt.Errorf("%w: %w", errDisk, withoutPath(err))
			}
			at, n = at+int64(k), n+int64(k)
		}
		if err == io.EOF && at == f.Size {
			return n, nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, err
		}
	}
}
