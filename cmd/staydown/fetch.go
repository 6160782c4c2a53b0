package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/staydown/staydown/takedown"
)

// fetchOptions say what may be fetched.
type fetchOptions struct {
	// hosts are the only hosts that are asked, each with the hosts below it; nil
	// for any.
	hosts []string
	// private allows addresses of private networks. Tests set it.
	private bool
	bytes   int64         // of a file; 0 for the default
	timeout time.Duration // of a fetch; 0 for the default
}

// fetcher fetches pictures from other people's servers. It never connects to a
// private network: the address is checked when it is dialled, so a name that
// changes its address between two look-ups gains nothing.
type fetcher struct {
	opts   fetchOptions
	client *http.Client
}

// Errors of a fetch.
var (
	errHost      = errors.New("this host is not among the allowed ones")
	errPrivate   = errors.New("an address of a private network is not fetched")
	errTooLong   = errors.New("the file is longer than the limit")
	errRedirects = errors.New("more than 5 redirects")
)

// maxRedirects is how many redirects are followed.
const maxRedirects = 5

func newFetcher(o fetchOptions) *fetcher {
	if o.bytes == 0 {
		o.bytes = takedown.DefaultInspectBytes
	}
	if o.timeout == 0 {
		o.timeout = 20 * time.Second
	}
	f := &fetcher{opts: o}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !o.private && !isPublic(at.Addr()) {
			return errPrivate
		}
		return nil
	}}
	f.client = &http.Client{
		Timeout: o.timeout,
		// No proxy of the environment: it would connect where Control does not look.
		Transport: &http.Transport{DialContext: dialer.DialContext, ResponseHeaderTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10, MaxConnsPerHost: 8},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errRedirects
			}
			return f.allowed(req.URL)
		},
	}
	return f
}

// notPublic are networks that are not on the internet, beside those that netip
// knows.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	// Networks of IPv6 that hold addresses of IPv4, which may be private.
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("100::/64"),
}

// isPublic reports whether an address is on the internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

// allowed reports whether an address may be asked.
func (f *fetcher) allowed(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return errors.New("not a web address")
	}
	if f.opts.hosts == nil {
		return nil
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	for _, h := range f.opts.hosts {
		if host == h || strings.HasSuffix(host, "."+h) {
			return nil
		}
	}
	return errHost
}

// get fetches a file. The caller reads at most the limit and closes it. urls are
// all addresses of the chain of redirects, the first one first.
func (f *fetcher) get(ctx context.Context, raw string) (body io.ReadCloser, mediaType string, urls []string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "", nil, errors.New("not a web address")
	}
	if err := f.allowed(u); err != nil {
		return nil, "", nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, "", nil, errors.New("not a web address")
	}
	req.Header.Set("Accept", "image/*")
	req.Header.Set("User-Agent", "staydown")
	resp, err := f.client.Do(req)
	if err != nil {
		var ue *url.Error // it has the address, which logs must not have
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, "", nil, fmt.Errorf("not fetched: %w", err)
	}
	for r := resp.Request; r != nil; {
		urls = append([]string{r.URL.String()}, urls...)
		if r.Response == nil {
			break
		}
		r = r.Response.Request
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, "", urls, fmt.Errorf("not fetched: the server answers %d", resp.StatusCode)
	}
	if resp.ContentLength > f.opts.bytes {
		resp.Body.Close()
		return nil, "", urls, errTooLong
	}
	return &limitedBody{resp.Body, f.opts.bytes}, resp.Header.Get("Content-Type"), urls, nil
}

// limitedBody fails behind the limit, instead of ending as if the file were whole.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLong
	}
	return n, err
}

// inspect fetches a picture and looks at it. It returns what is known beside an
// error.
func (f *fetcher) inspect(ctx context.Context, raw string) (*takedown.Candidate, error) {
	body, mediaType, urls, err := f.get(ctx, raw)
	c := &takedown.Candidate{ImageURLs: append([]string{raw}, urls...)}
	if err != nil {
		return c, err
	}
	defer body.Close()
	got, err := takedown.InspectContext(ctx, body, takedown.Source{ImageURL: raw, Aliases: urls, MediaType: mediaType}, &takedown.InspectOptions{Decode: decoding()})
	if err == nil && len(got.Hashes) == 0 {
		err = errors.New("not a picture; only its bytes and addresses are compared")
	}
	return &got, err
}
