// Package s3store is a feed.Store in a bucket of Amazon S3 or of a service that
// speaks the same protocol.
//
//	store, err := s3store.New(s3store.Options{
//		Endpoint: "https://s3.eu-central-1.amazonaws.com", Region: "eu-central-1",
//		Bucket: "lists", Prefix: "main/", Credentials: credentials,
//	})
//	p, err := feed.NewPublisher(ctx, list, store, opts)
//
// Readers need no credentials if the bucket is public, or is behind a web server:
// they follow the address of the bucket and prefix.
//
// The service must support conditional writes, If-Match and If-None-Match in PUT,
// as Amazon S3 does. Check tests it. Without them two publishers could overwrite
// each other.
package s3store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
)

// Options configure New. Endpoint, Bucket and Credentials are required.
type Options struct {
	// Endpoint is the address of the service, without the bucket.
	Endpoint string
	// Region is the region of the bucket; "us-east-1" if empty.
	Region string
	Bucket string
	// Prefix comes before the names of the files, for example "main/".
	Prefix string
	// Credentials sign the requests.
	Credentials aws.CredentialsProvider
	// Client sends the requests; http.DefaultClient if nil.
	Client *http.Client
	// Timeout is how long a request may take, and a second more for each 64 KiB that
	// it sends; 0 means 30 seconds.
	Timeout time.Duration
}

// Store is a feed.Store in a bucket. It is safe for concurrent use.
type Store struct {
	o      Options
	base   *url.URL
	signer *v4.Signer
}

const (
	// maxPut is the largest object that one request can write.
	maxPut = 5 << 30
	// maxSmall bounds what Get returns, and the text of a listing.
	maxSmall = 1 << 20

	conflicts = 4 // attempts while the service reports a concurrent write

	defaultTimeout = 30 * time.Second
	leastRate      = 64 << 10 // bytes a second
)

// New returns a Store in a bucket. It sends no request.
func New(o Options) (*Store, error) {
	base, err := url.Parse(o.Endpoint)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("s3store: Options.Endpoint is not an http or https address")
	}
	if len(o.Bucket) < 3 || strings.ContainsAny(o.Bucket, "/?#") {
		return nil, errors.New("s3store: Options.Bucket is not the name of a bucket")
	}
	if o.Credentials == nil {
		return nil, errors.New("s3store: Options.Credentials is nil")
	}
	if o.Timeout < 0 {
		return nil, errors.New("s3store: Options.Timeout is negative")
	}
	o.Region, o.Timeout = cmp.Or(o.Region, "us-east-1"), cmp.Or(o.Timeout, defaultTimeout)
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	signer := v4.NewSigner(func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true })
	return &Store{o: o, base: base.JoinPath(o.Bucket), signer: signer}, nil
}

// statusError is an answer that reports a failure.
type statusError struct {
	status int
	code   string
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the service answers %d %s", e.status, e.code))
}

func (e *statusError) Unwrap() error {
	if e.status == http.StatusNotFound {
		return fs.ErrNotExist
	}
	return nil
}

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// answerBody ends the time of a request when its answer is closed.
type answerBody struct {
	io.ReadCloser
	done context.CancelFunc
}

func (b answerBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

// do sends a signed request, and returns its answer within a limited time. The
// caller closes the body of the answer.
func (s *Store) do(ctx context.Context, method, name string, query url.Values, header http.Header, body io.Reader, size int64, sum string) (*http.Response, error) {
	ctx, done := context.WithTimeout(ctx, s.o.Timeout+time.Duration(size/leastRate)*time.Second)
	resp, err := s.send(ctx, method, name, query, header, body, size, sum)
	if err != nil {
		done()
		return nil, err
	}
	resp.Body = answerBody{resp.Body, done}
	return resp, nil
}

func (s *Store) send(ctx context.Context, method, name string, query url.Values, header http.Header, body io.Reader, size int64, sum string) (*http.Response, error) {
	u := *s.base
	if name != "" {
		u = *s.base.JoinPath(s.o.Prefix + name)
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, errors.New("s3store: the address of the bucket is not valid")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.ContentLength = size
	req.Header.Set("X-Amz-Content-Sha256", sum)
	credentials, err := s.o.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("s3store: credentials: %w", err)
	}
	if err := s.signer.SignHTTP(ctx, credentials, req, sum, "s3", s.o.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("s3store: signature: %w", err)
	}
	resp, err := s.o.Client.Do(req)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // without the address
		}
		return nil, fmt.Errorf("s3store: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	var answer struct{ Code string }
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	_ = xml.Unmarshal(text, &answer) // the status is enough
	return nil, fmt.Errorf("s3store: %w", &statusError{resp.StatusCode, answer.Code})
}

// Get implements feed.Store. The version is the ETag.
func (s *Store) Get(ctx context.Context, name string) ([]byte, string, error) {
	resp, err := s.do(ctx, http.MethodGet, name, nil, nil, nil, 0, emptySHA256)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxSmall+1))
	if err != nil {
		return nil, "", fmt.Errorf("s3store: %w", err)
	}
	if len(b) > maxSmall {
		return nil, "", fmt.Errorf("s3store: an object has more than %d bytes: %w", maxSmall, blocklist.ErrLimit)
	}
	return b, resp.Header.Get("ETag"), nil
}

// Put implements feed.Store.
func (s *Store) Put(ctx context.Context, name string, content io.ReadSeeker, size int64) error {
	if size > maxPut {
		return fmt.Errorf("s3store: an object of %d bytes, at most %d can be written: %w", size, int64(maxPut), blocklist.ErrLimit)
	}
	h := sha256.New()
	if _, err := io.Copy(h, content); err != nil {
		return fmt.Errorf("s3store: %w", err)
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("s3store: %w", err)
	}
	// NopCloser: the caller closes it.
	header := http.Header{"Cache-Control": {"public, max-age=31536000, immutable"}, "Content-Type": {"application/octet-stream"}}
	resp, err := s.do(ctx, http.MethodPut, name, nil, header, io.NopCloser(content), size, hex.EncodeToString(h.Sum(nil)))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Swap implements feed.Store, with a conditional write.
func (s *Store) Swap(ctx context.Context, name string, content []byte, version string) (string, error) {
	header := http.Header{"Cache-Control": {"no-cache"}, "Content-Type": {"text/plain; charset=utf-8"}}
	if version == "" {
		header.Set("If-None-Match", "*")
	} else {
		header.Set("If-Match", version)
	}
	sum := sha256.Sum256(content)
	for attempt := 1; ; attempt++ {
		resp, err := s.do(ctx, http.MethodPut, name, nil, header, bytes.NewReader(content), int64(len(content)), hex.EncodeToString(sum[:]))
		if err == nil {
			return resp.Header.Get("ETag"), resp.Body.Close()
		}
		e := (*statusError)(nil)
		switch {
		case !errors.As(err, &e):
			return "", err
		case e.status == http.StatusPreconditionFailed, e.status == http.StatusNotFound && version != "":
			return "", fmt.Errorf("s3store: %w", feed.ErrConflict)
		case e.status != http.StatusConflict || attempt == conflicts:
			return "", err
		}
		// Another write was under way, and nothing was decided.
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Duration(attempt) * 50 * time.Millisecond):
		}
	}
}

// Delete implements feed.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	resp, err := s.do(ctx, http.MethodDelete, name, nil, nil, nil, 0, emptySHA256)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// List implements feed.Store.
func (s *Store) List(ctx context.Context) ([]string, error) {
	var names []string
	query := url.Values{"list-type": {"2"}, "prefix": {s.o.Prefix}}
	for {
		resp, err := s.do(ctx, http.MethodGet, "", query, nil, nil, 0, emptySHA256)
		if err != nil {
			return nil, err
		}
		var page struct {
			Contents              []struct{ Key string }
			IsTruncated           bool
			NextContinuationToken string
		}
		err = xml.NewDecoder(io.LimitReader(resp.Body, maxSmall)).Decode(&page)
		resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("s3store: the listing cannot be read: %w", err)
		}
		for _, c := range page.Contents {
			if name, ok := strings.CutPrefix(c.Key, s.o.Prefix); ok && name == path.Base(name) {
				names = append(names, name)
			}
		}
		if !page.IsTruncated || page.NextContinuationToken == "" {
			return names, nil
		}
		query.Set("continuation-token", page.NextContinuationToken)
	}
}

// ErrUnconditional: the service ignores conditions of writes.
var ErrUnconditional = errors.New("the service does not support conditional writes")

// Check writes and deletes a file to find out whether the service obeys the
// conditions of Swap. The error wraps ErrUnconditional if it does not.
func (s *Store) Check(ctx context.Context) error {
	const name = "check-conditional-writes"
	if err := s.Delete(ctx, name); err != nil {
		return err
	}
	version, err := s.Swap(ctx, name, []byte("1"), "")
	if err != nil {
		return err
	}
	_, first := s.Swap(ctx, name, []byte("2"), "")
	_, second := s.Swap(ctx, name, []byte("3"), `"`+strings.Repeat("0", 32)+`"`)
	_, third := s.Swap(ctx, name, []byte("4"), version)
	err = s.Delete(ctx, name)
	switch {
	case err != nil:
		return err
	case third != nil:
		return third
	case !errors.Is(first, feed.ErrConflict) || !errors.Is(second, feed.ErrConflict):
		return fmt.Errorf("s3store: %w", ErrUnconditional)
	}
	return nil
}
