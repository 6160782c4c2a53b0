package urlkey_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	whatwg "github.com/nlnwa/whatwg-url/url"

	"github.com/staydown/staydown/internal/sharedtest"
	"github.com/staydown/staydown/internal/urlkey"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, want string
	}{
		{"already canonical", "https://example.com/a/photo.jpg?w=200&h=100", "https://example.com/a/photo.jpg?w=200&h=100"},
		{"http and https are one", "http://example.com/a", "https://example.com/a"},
		{"scheme in upper case", "HTTPS://example.com/a", "https://example.com/a"},
		{"one slash", "https:/example.com/a", "https://example.com/a"},
		{"backslashes", `https:\\example.com\a`, "https://example.com/a"},
		{"white space around, line end within", "  https://example.com/a\n/b\t ", "https://example.com/a/b"},

		{"host in upper case", "https://EXAMPLE.com/A", "https://example.com/A"},
		{"trailing dot of the host", "https://example.com./a", "https://example.com/a"},
		{"IDN", "https://Bücher.example/", "https://xn--bcher-kva.example/"},
		{"IDN with full width letters", "https://ｅｘａｍｐｌｅ。com/", "https://example.com/"},
		{"IDN as ACE", "https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"},
		{"escaped host", "https://ex%61mple.com/", "https://example.com/"},
		{"underscore", "https://My_Bucket.example.com/a", "https://my_bucket.example.com/a"},
		{"underscore beside an IDN label", "https://A_b.例え.jp/x", "https://a_b.xn--r8jz45g.jp/x"},
		{"the same as ACE, with user and port", "http://u:p@A_b.XN--r8jz45g.jp:8080?x", "https://a_b.xn--r8jz45g.jp:8080/?x"},
		{"underscore after a full stop of another script", "https://xn--r8jz45g。_b．jp./x", "https://xn--r8jz45g._b.jp/x"},
		{"0x and a sign is a name", "https://example.0x-1/x", "https://example.0x-1/x"},
		{"IPv4", "http://192.0.2.1/a", "https://192.0.2.1/a"},
		{"IPv4 in hex", "http://0xC0.0.0x2.1/a", "https://192.0.2.1/a"},
		{"IPv4 as one number", "http://3221225985/a", "https://192.0.2.1/a"},
		{"IPv6", "http://[2001:DB8:0:0::1]/a", "https://[2001:db8::1]/a"},
		{"www stays", "https://www.example.com/", "https://www.example.com/"},
		{"single label", "http://localhost/a", "https://localhost/a"},

		{"default port of https", "https://example.com:443/a", "https://example.com/a"},
		{"default port of http", "http://example.com:80/a", "https://example.com/a"},
		{"default port of the other scheme", "http://example.com:443/a", "https://example.com/a"},
		{"other port", "http://example.com:08080/a", "https://example.com:8080/a"},
		{"empty port", "http://example.com:/a", "https://example.com/a"},
		{"user info", "https://me:secret@example.com/a", "https://example.com/a"},
		{"fragment", "https://example.com/a#top", "https://example.com/a"},

		{"no path", "https://example.com", "https://example.com/"},
		{"no path, query", "https://example.com?a=1", "https://example.com/?a=1"},
		{"dot segments", "https://example.com/a/./b/../c", "https://example.com/a/c"},
		{"escaped dot segment", "https://example.com/a/%2E/b", "https://example.com/a/b"},
		{"escaped double dot segments", "https://example.com/a/b/%2e./c/.%2E", "https://example.com/a/"},
		{"escaped letter", "https://example.com/photo%2Ejpg", "https://example.com/photo.jpg"},
		{"three dots stay", "https://example.com/.../a", "https://example.com/.../a"},
		{"lower-case escape", "https://example.com/%c3%a9", "https://example.com/%C3%A9"},
		{"raw letter beyond ASCII", "https://example.com/é", "https://example.com/%C3%A9"},
		{"Thai, escaped", "https://example.com/%E0%B8%A0", "https://example.com/%E0%B8%A0"},
		{"Thai, raw", "https://example.com/ภ", "https://example.com/%E0%B8%A0"},
		{"bytes that are no UTF-8 differ", "https://example.com/\xe9\xea", "https://example.com/%E9%EA"},
		{"escaped slash stays", "https://example.com/a%2fb", "https://example.com/a%2Fb"},
		{"space", "https://example.com/a b", "https://example.com/a%20b"},
		{"brackets and bars", "https://example.com/a|b[c]^{d}`\"<>", "https://example.com/a%7Cb%5Bc%5D%5E%7Bd%7D%60%22%3C%3E"},
		{"single percent sign", "https://example.com/100%.jpg", "https://example.com/100%25.jpg"},
		{"escaped percent sign is not decoded twice", "https://example.com/%252E", "https://example.com/%252E"},
		{"percent sign before an escape", "https://example.com/%%32%35", "https://example.com/%2525"},
		{"a path's characters and their escapes are one", "https://example.com/a_%28b%29%2c%21%27%2A%3a%40%24", "https://example.com/a_(b),!'*:@$"},
		{"separators keep their spelling", "https://example.com/a;b%3Bc&%26=%3D+%2B%2F%3F%23%25", "https://example.com/a;b%3Bc&%26=%3D+%2B%2F%3F%23%25"},
		{"escapes in a query stay", "https://example.com/?a=%28b%29%2C", "https://example.com/?a=%28b%29%2C"},
		{"doubled slash stays", "https://example.com//a//b/", "https://example.com//a//b/"},
		{"apostrophe in the path", "https://example.com/it's", "https://example.com/it's"},

		{"apostrophe in the query", "https://example.com/?q=it's", "https://example.com/?q=it%27s"},
		{"order of parameters stays", "https://example.com/?b=1&a=2", "https://example.com/?b=1&a=2"},
		{"size parameters stay", "https://example.com/i?w=100&size=large", "https://example.com/i?w=100&size=large"},
		{"empty query", "https://example.com/a?", "https://example.com/a"},
		{"tracking parameters", "https://example.com/a?utm_source=x&id=7&fbclid=y", "https://example.com/a?id=7"},
		{"only tracking parameters", "https://example.com/a?utm_source=x&gclid=y", "https://example.com/a"},
		{"escaped tracking parameter", "https://example.com/a?%75tm_source=x&id=7", "https://example.com/a?id=7"},
		{"tracking parameter without value", "https://example.com/a?gclid&id=7", "https://example.com/a?id=7"},
		{"parameters that only begin like one", "https://example.com/a?gclids=1&utmost=2", "https://example.com/a?gclids=1&utmost=2"},
		{"case of a name matters", "https://example.com/a?GCLID=1", "https://example.com/a?GCLID=1"},
		{"empty parameters stay", "https://example.com/a?&x=1&&y=2&", "https://example.com/a?&x=1&&y=2&"},
		{"second question mark", "https://example.com/a?b?c", "https://example.com/a?b?c"},
		{"plus stays", "https://example.com/?q=a+b%20c", "https://example.com/?q=a+b%20c"},

		{"without a scheme", "example.com/photo.jpg", "https://example.com/photo.jpg"},
		{"without a scheme, with a port", "example.com:8080/photo.jpg", "https://example.com:8080/photo.jpg"},
		{"without a scheme, host only", "www.example.com", "https://www.example.com/"},
		{"relative to the scheme", "//example.com/a", "https://example.com/a"},
		{"localhost with a port", "localhost:8080/a", "https://localhost:8080/a"},
		{"IDN without a scheme", "例え。テスト/a", "https://xn--r8jz45g.xn--zckzah/a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := urlkey.Canonical(tt.in)
			if err != nil {
				t.Fatalf("Canonical(%q): %v", tt.in, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Canonical(%q) (-want +got):\n%s", tt.in, diff)
			}
			again, err := urlkey.Canonical(got)
			if err != nil || again != got {
				t.Errorf("Canonical(%q) = %q, %v; want it unchanged", got, again, err)
			}
		})
	}
}

func TestCanonicalErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     urlkey.Reason
	}{
		{"empty", "", urlkey.Empty},
		{"white space", " \t\n ", urlkey.Empty},
		{"8 KiB of garbage", strings.Repeat("x", 8193), urlkey.TooLong},
		{"too long once escaped", "https://example.com/" + strings.Repeat("é", 3000), urlkey.TooLong},
		{"data", "data:image/png;base64,AAAA", urlkey.Scheme},
		{"javascript", "java\nscript:alert(1)", urlkey.Scheme},
		{"mailto", "mailto:someone@example.com", urlkey.Scheme},
		{"blob", "blob:https://example.com/1234", urlkey.Scheme},
		{"file", "file:///etc/passwd", urlkey.Scheme},
		{"ftp", "ftp://example.com/a", urlkey.Scheme},
		{"email", "someone@example.com", urlkey.Email},
		{"word", "photo", urlkey.NoHost},
		{"path", "/a/photo.jpg", urlkey.NoHost},
		{"sentence", "Please remove it. Thanks.", urlkey.NoHost},
		{"no host", "https://", urlkey.Syntax},
		{"dot as host", "https://./a", urlkey.Syntax},
		{"two trailing dots", "https://example.com../a", urlkey.Syntax},
		{"port too high", "https://example.com:65536/", urlkey.Syntax},
		{"space in the host", "https://exa mple.com/", urlkey.Syntax},
		{"bytes that are no UTF-8 in the host", "https://\xff\xfe.com/", urlkey.Syntax},
		{"an ACE label that changes when it is read again", "//xn--xn--xn--", urlkey.Syntax},
		{"an ACE label that cannot be read again", "https://\u0130_a.example.com/x.jpg", urlkey.Syntax},
		{"an empty ACE label", "https://xn--.example.com/", urlkey.Syntax},
		{"an ACE label with an underscore", "https://xn--r8_jz45g.jp/", urlkey.Syntax},
		{"an empty label beside an underscore", "https://a_b..xn--r8jz45g.jp/", urlkey.Syntax},
		{"file name", "photo.jpg", urlkey.NoHost},
		{"file name of a page", "index.HTML?a=1", urlkey.NoHost},
		{"IPv4 out of range", "https://256.1.1.1/", urlkey.Syntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := urlkey.Canonical(tt.in)
			var e *urlkey.Error
			if !errors.As(err, &e) {
				t.Fatalf("Canonical = %q, %v; want a *urlkey.Error", got, err)
			}
			if diff := cmp.Diff(&urlkey.Error{Reason: tt.want, Len: len(tt.in)}, e); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "example") {
				t.Errorf("the error %q repeats the address", err)
			}
		})
	}
}

// Spellings of different resources must not meet.
func TestCanonicalKeepsApart(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, a, b string }{
		{"www", "https://example.com/a", "https://www.example.com/a"},
		{"case of the path", "https://example.com/a", "https://example.com/A"},
		{"trailing slash", "https://example.com/a", "https://example.com/a/"},
		{"order of parameters", "https://example.com/?a=1&b=2", "https://example.com/?b=2&a=1"},
		{"size", "https://example.com/?w=1", "https://example.com/?w=2"},
		{"escaped slash", "https://example.com/a/b", "https://example.com/a%2Fb"},
		{"escaped ampersand", "https://example.com/?a=1&b=2", "https://example.com/?a=1%26b=2"},
		{"escaped plus", "https://example.com/?a+b", "https://example.com/?a%2Bb"},
		{"invalid bytes", "https://example.com/\xe9", "https://example.com/\xea"},
		{"port", "https://example.com:8080/", "https://example.com/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, errA := urlkey.Canonical(tt.a)
			b, errB := urlkey.Canonical(tt.b)
			if errA != nil || errB != nil || a == b {
				t.Errorf("Canonical gives %q (%v) and %q (%v); want two addresses", a, errA, b, errB)
			}
		})
	}
}

func TestCheckTakesTheShortWay(t *testing.T) {
	for _, raw := range []string{
		"https://example.com/",
		"http://example.com/a/b/c.jpg",
		"https://cdn-1.my_bucket.example.com:8443/%E0%B8%A0%E0%B8%B2%E0%B8%9E/a.jpg?w=1&h=2&q=%20",
		"https://upload.example.org/wikipedia/commons/thumb/a/a9/Example.jpg/320px-Example.jpg?download&x=(1),2",
	} {
		canonical, err := urlkey.Canonical(raw)
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := urlkey.Check(raw)
		if want := canonical[len("https://"):]; !ok || rest != want {
			t.Errorf("Check(%q) = %q, %t; want %q, true", raw, rest, ok, want)
		}
		if n := sharedtest.AllocsPerRun(100, func() { urlkey.Check(raw) }); n != 0 {
			t.Errorf("Check(%q) allocates %v times", raw, n)
		}
	}
}

// The published vectors: what the standard calls an http or https address has
// a canonical form, which is a fixed point, and two inputs with one href have
// one form.
func TestCanonicalOnPublishedVectors(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(sharedtest.Path(t, "url", "urltestdata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		t.Fatal(err)
	}
	applied, refused := 0, 0
	for _, e := range entries {
		var v struct {
			Input   string
			Base    *string
			Href    string
			Failure bool
		}
		if json.Unmarshal(e, &v) != nil || v.Input == "" {
			continue // a comment
		}
		if v.Failure {
			// Without a base and with a web scheme, what the standard refuses is refused.
			lower := strings.ToLower(strings.TrimSpace(v.Input))
			if strings.HasPrefix(lower, "http:") || strings.HasPrefix(lower, "https:") {
				refused++
				if got, err := urlkey.Canonical(v.Input); err == nil {
					t.Errorf("Canonical(%q) = %q; the standard refuses it", v.Input, got)
				}
			}
			continue
		}
		if !strings.HasPrefix(v.Href, "http://") && !strings.HasPrefix(v.Href, "https://") {
			continue
		}
		want, err := urlkey.Canonical(v.Href)
		if strings.Contains(v.Href, "./") && strings.Trim(v.Href, "htps:/0123456789.fo") == "" {
			// Hosts that end in two dots, or are nothing but dots, name nothing
			// and are refused by a rule of ours.
			if err == nil {
				t.Errorf("Canonical(%q) = %q, want an error", v.Href, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("Canonical(%q): %v", v.Href, err)
			continue
		}
		applied++
		if again, err := urlkey.Canonical(want); again != want || err != nil {
			t.Errorf("Canonical(%q) = %q, %v; want it unchanged", want, again, err)
		}
		lower := strings.ToLower(strings.TrimSpace(v.Input))
		if v.Base == nil && (strings.HasPrefix(lower, "http:") || strings.HasPrefix(lower, "https:")) {
			if got, err := urlkey.Canonical(v.Input); got != want || err != nil {
				t.Errorf("Canonical(%q) = %q, %v; want %q as for its href", v.Input, got, err, want)
			}
		}
	}
	t.Logf("%d addresses, %d refusals", applied, refused)
	if applied < 200 || refused < 200 {
		t.Errorf("only %d addresses and %d refusals applied", applied, refused)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		"https://example.com/a?b=c", "HTTP://User@EXAMPLE.com:80/%7e/%2e%2E/x?utm_source=1&y#z",
		"example.com:8080", "//a.b", "https://xn--bcher-kva.example./%", "http://0x7f.1/", "http://[::1]:81/?'", "https://a..b/",
		"http://ａ。b/\xff?\xfe&%75tm_x", "https:example.com?&&utm_a=1&", "http://h/%%32%35/%2", "data:,", "a@b.c",
	} {
		f.Add(s)
	}
	plain := whatwg.NewParser()
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := urlkey.Canonical(raw)
		rest, checked := urlkey.Check(raw)
		if err != nil {
			if checked {
				t.Fatalf("Check accepts %q, Canonical does not: %v", raw, err)
			}
			return
		}
		if again, err := urlkey.Canonical(got); err != nil || again != got {
			t.Fatalf("Canonical(%q) = %q, whose own form is %q, %v", raw, got, again, err)
		}
		if checked {
			if want := "https://" + rest; got != want {
				t.Fatalf("Check(%q) stands for %q, Canonical gives %q", raw, want, got)
			}
			// The short way says what the long way says: force it with a fragment.
			if long, err := urlkey.Canonical(raw + "#"); err != nil || long != got {
				t.Fatalf("Canonical(%q) = %q, by the parser %q, %v", raw, got, long, err)
			}
		}
		if strings.ContainsAny(got[:len("https://")+strings.IndexByte(got[len("https://"):], '/')], "_+") || strings.Contains(got, "0x-") {
			return // the parser may refuse it; TestCanonical has what becomes of these
		}
		if u, err := plain.Parse(got); err != nil {
			t.Fatalf("the parser refuses %q: %v", got, err)
		} else if u.Hash() != "" || u.Username() != "" {
			t.Fatalf("%q still has a fragment or user", got)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	const raw = "https://images.example-cdn.com/media/2024/07/18/a1b2c3d4e5f60718/photo-of-a-harbour-at-dawn.jpg?w=1200&h=800"
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, ok := urlkey.Check(raw); !ok {
			b.Fatal("not canonical")
		}
	}
}

func BenchmarkCanonicalByParser(b *testing.B) {
	const raw = "https://images.example-cdn.com/media/2024/07/18/a1b2c3d4e5f60718/photo-of-a-harbour-at-dawn.jpg?w=1200&h=80#"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := urlkey.Canonical(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// TestShareByParser says which share of the addresses in the file that
// STAYDOWN_URLS names, one a line, needs the parser, and for how many of those
// that is because of what.
func TestShareByParser(t *testing.T) {
	name := os.Getenv("STAYDOWN_URLS")
	if name == "" {
		t.Skip("skipped: STAYDOWN_URLS names no file")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	n, short, refused := 0, 0, 0
	why := map[string]int{}
	for raw := range strings.Lines(string(text)) {
		raw = strings.TrimSpace(raw)
		n++
		if _, ok := urlkey.Check(raw); ok {
			short++
			continue
		}
		c, err := urlkey.Canonical(raw)
		host, rest, slash := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(raw, "https://"), "http://"), "/")
		switch {
		case err != nil:
			refused++
		case strings.Contains(raw, "#"):
			why["fragment"]++
		case !slash:
			why["no slash after the host"]++
		case host != strings.ToLower(host):
			why["upper case in the host"]++
		case strings.Contains(host, "xn--"):
			why["IDN"]++
		case strings.ContainsAny(host, "@"):
			why["user"]++
		case strings.Contains(host, ":"):
			why["port"]++
		case host != "" && strings.Contains("0123456789", host[len(host)-1:]):
			why["IPv4"]++
		case len(c) < len(raw)-3 && strings.Contains(rest, "?"):
			why["tracking parameters"]++
		default:
			why["escapes and others"]++
		}
	}
	t.Logf("%d addresses; %.1f %% canonical already, %.1f %% by the parser, of which refused %d; %v", n, 100*float64(short)/float64(n), 100-100*float64(short)/float64(n), refused, why)
}
