package blocklist_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/blocklist"
)

// Rules for hosts and prefixes cover what lies below them and nothing else, wherever
// they are in the list.
func TestFindURL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := &blocklist.Options{CompactAfter: -1, PublicSuffix: func(host string) bool { return host == "github.io" }}
	l := open(t, filepath.Join(dir, "l"), opts)
	var names []string
	add := func(scope blocklist.Scope, kind blocklist.AddressKind, text string) {
		t.Helper()
		d, err := l.Digest(kind, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		names = append(names, text)
		mustAppend(t, l, blocklist.Event{ID: newID(uint64(len(names))), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: scope, Effect: blocklist.EffectBlock, Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: kind, Digest: d}}}}})
	}
	deep := "https://deep.example" + strings.Repeat("/x", 16)
	add(blocklist.ScopeURL, blocklist.ImageAddress, "https://example.com/a.jpg")
	add(blocklist.ScopeHost, blocklist.HostAddress, "Pics.Example.org")
	add(blocklist.ScopeHost, blocklist.HostAddress, "http://bücher.example/")
	add(blocklist.ScopeHost, blocklist.HostAddress, "a.b.c.d.e.f.g.h.i.jp")
	add(blocklist.ScopeHost, blocklist.HostAddress, "203.0.113.9")
	add(blocklist.ScopeHost, blocklist.HostAddress, "http://[2001:db8::1]")
	add(blocklist.ScopeHost, blocklist.HostAddress, "someone.github.io")
	add(blocklist.ScopePrefix, blocklist.PrefixAddress, "https://social.example/u/Jane/")
	add(blocklist.ScopePrefix, blocklist.PrefixAddress, "social.example:8080/x")
	add(blocklist.ScopePrefix, blocklist.PrefixAddress, deep)

	check := func(when string, v *blocklist.State) {
		t.Helper()
		for url, want := range map[string]string{
			"https://example.com/a.jpg":                         "https://example.com/a.jpg",
			"https://www.example.com/a.jpg":                     "",
			"https://pics.example.org/":                         "Pics.Example.org",
			"HTTP://CDN.pics.EXAMPLE.org:8443/a/b?c=d":          "Pics.Example.org",
			"https://a.b.c.d.e.f.g.h.i.j.k.l.pics.example.org/": "Pics.Example.org",
			"https://example.org/pics.example.org/":             "",
			"https://notpics.example.org/a":                     "",
			"https://pics.example.org.evil.example/":            "",
			"https://xn--bcher-kva.example/z":                   "http://bücher.example/",
			"https://z.a.b.c.d.e.f.g.h.i.jp/":                   "a.b.c.d.e.f.g.h.i.jp",
			"https://b.c.d.e.f.g.h.i.jp/":                       "",
			"http://203.0.113.9/x.jpg":                          "203.0.113.9",
			"http://203.0.113.90/x.jpg":                         "",
			"http://[2001:db8:0::1]/x.jpg":                      "http://[2001:db8::1]",
			"http://[2001:db8::2]/x.jpg":                        "",
			"https://someone.github.io/a":                       "someone.github.io",
			"https://other.github.io/a":                         "",
			"https://social.example/u/Jane":                     "https://social.example/u/Jane/",
			"https://social.example/u/Jane?page=2":              "https://social.example/u/Jane/",
			"https://social.example/u/Jane/":                    "https://social.example/u/Jane/",
			"https://social.example/u/./Jane/photo/1.jpg?x=/y/": "https://social.example/u/Jane/",
			"https://social.example/u/Jane%2e":                  "",
			"https://social.example/u/Janet/1.jpg":              "",
			"https://social.example/u/jane/1.jpg":               "",
			"https://social.example/u":                          "",
			"https://www.social.example/u/Jane/1.jpg":           "",
			"https://other.example/x?/u/Jane/":                  "",
			"https://social.example:8080/x/y":                   "social.example:8080/x",
			"https://social.example/x/y":                        "",
			deep + "/y/z/1.jpg":                                 deep,
			deep[:len(deep)-2] + "/z":                           "",
		} {
			for _, kind := range []blocklist.AddressKind{blocklist.ImageAddress, blocklist.PageAddress} {
				var got []string
				if err := v.FindURL(kind, url, func(h blocklist.Hit) bool {
					got = append(got, names[h.Rule-1])
					return true
				}); err != nil {
					t.Fatalf("%s: %s: %v", when, url, err)
				}
				var all []string
				if want != "" && (kind == blocklist.ImageAddress || !strings.HasSuffix(want, "a.jpg")) {
					all = []string{want}
				}
				if diff := cmp.Diff(all, got); diff != "" {
					t.Errorf("%s: %v %s (-want +got):\n%s", when, kind, url, diff)
				}
			}
		}
	}
	check("what came last", l.State())
	if err := l.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	check("base", l.State())
	path := filepath.Join(dir, "p")
	if err := l.Publish(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := blocklist.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	check("published", loaded.State())
	l.Close()
	l = open(t, filepath.Join(dir, "l"), opts)
	check("opened again", l.State())

	// Several rules, and one that stops the search.
	add(blocklist.ScopeHost, blocklist.HostAddress, "social.example")
	add(blocklist.ScopeURL, blocklist.ImageAddress, "https://social.example/u/Jane/1.jpg")
	var got []string
	find := func(stop int) {
		got = nil
		l.State().FindURL(blocklist.ImageAddress, "https://social.example/u/Jane/1.jpg", func(h blocklist.Hit) bool {
			got = append(got, names[h.Rule-1])
			return len(got) != stop
		})
	}
	find(9)
	all := []string{"https://social.example/u/Jane/1.jpg", "social.example", "https://social.example/u/Jane/"}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for stop := range 3 {
		find(stop + 1)
		if !slices.Equal(got, all[:stop+1]) {
			t.Errorf("stopped after %d: %v", stop+1, got)
		}
	}

	for text, want := range map[string]error{
		"https://com": blocklist.ErrShared, "https://jp/": blocklist.ErrShared, "https://co.uk": blocklist.ErrShared, "ne.jp": blocklist.ErrShared,
		"github.io": blocklist.ErrShared, "bbc.co.uk": nil, "t.co": nil, "example.com:8080": errSyntax, "example.com/a": errSyntax, "example.com?a": errSyntax,
		"a.b.c.d.e.f.g.h.i.j.jp": errSyntax, "data:,": errSyntax,
	} {
		if _, err := l.Digest(blocklist.HostAddress, text); !is(err, want) {
			t.Errorf("Digest of host %s: %v, want %v", text, err, want)
		}
	}
	for text, want := range map[string]error{
		"example.com": blocklist.ErrShared, "https://example.com/": blocklist.ErrShared, "https://example.com/a?b": errSyntax, "example.com/a": nil, deep + "/y": errSyntax,
	} {
		if _, err := l.Digest(blocklist.PrefixAddress, text); !is(err, want) {
			t.Errorf("Digest of prefix %s: %v, want %v", text, err, want)
		}
	}
	if err := l.State().FindURL(blocklist.HostAddress, "https://example.com/", func(blocklist.Hit) bool { return true }); err == nil {
		t.Error("FindURL of a host: no error")
	}
}

// errSyntax stands for an *AddressError.
var errSyntax = errors.New("an AddressError")

func is(err, want error) bool {
	var syntax *blocklist.AddressError
	switch want {
	case nil:
		return err == nil
	case errSyntax:
		return errors.As(err, &syntax)
	}
	return errors.Is(err, want)
}

// Keys of hosts and prefixes belong to rules of their scope, and to no others.
func TestAppend_RefusesHosts(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	host, image := blocklist.Address{Kind: blocklist.HostAddress}, blocklist.Address{Kind: blocklist.ImageAddress}
	prefix := blocklist.Address{Kind: blocklist.PrefixAddress}
	added := func(s blocklist.Scope, k blocklist.Keys) blocklist.Event {
		return blocklist.Event{ID: newID(1), Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: s, Effect: blocklist.EffectBlock, Keys: k}}
	}
	addresses := func(a ...blocklist.Address) blocklist.Keys { return blocklist.Keys{Addresses: a} }
	for i, e := range []blocklist.Event{
		added(blocklist.ScopeURL, addresses(image, host)),
		added(blocklist.ScopeDuplicate, addresses(prefix)),
		added(blocklist.ScopeHost, addresses(host, image)),
		added(blocklist.ScopeHost, addresses(prefix)),
		added(blocklist.ScopePrefix, addresses(host)),
		added(blocklist.ScopePrefix, blocklist.Keys{Addresses: addresses(prefix).Addresses, Bytes: [][32]byte{{1}}}),
		added(8, addresses(host)),
		{ID: newID(1), Type: blocklist.EventDerived, Target: 1, Keys: addresses(host)},
		added(blocklist.ScopeURL, addresses(blocklist.Address{Kind: 5})),
	} {
		if _, err := l.Append(context.Background(), e); !errors.Is(err, blocklist.ErrEvent) {
			t.Errorf("event %d: %v, want ErrEvent", i, err)
		}
	}
	mustAppend(t, l, added(blocklist.ScopeHost, addresses(host)))
}

func TestFindURL_DoesNotAllocate(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	for i, kind := range []blocklist.AddressKind{blocklist.HostAddress, blocklist.PrefixAddress} {
		d, err := l.Digest(kind, "example.org/"+strings.Repeat("a", i))
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, blocklist.Event{ID: newID(uint64(i + 1)), Type: blocklist.EventAdded, Rule: &blocklist.Rule{
			Scope: blocklist.ScopeHost + blocklist.Scope(i), Effect: 1, Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: kind, Digest: d}}}}})
	}
	v, hits := l.State(), 0
	for _, url := range []string{"https://a.b.example.com/c/d/e.jpg?f=g", "https://cdn.example.org/a/b.jpg"} {
		if n := testing.AllocsPerRun(100, func() {
			v.FindURL(blocklist.ImageAddress, url, func(blocklist.Hit) bool { hits++; return true })
		}); n != 0 {
			t.Errorf("%s: %v allocations", url, n)
		}
	}
	if hits == 0 {
		t.Error("nothing is found")
	}
}

// BenchmarkFindURL is an address that is not blocked, beside the same by its digest,
// and in a list that has rules for hosts and prefixes too.
func BenchmarkFindURL(b *testing.B) {
	urls := unknown(1 << 16)
	v := load(b, false).State()
	broad := blocklist.Continue(v, func(add func(*blocklist.Event)) {
		for i, kind := range []blocklist.AddressKind{blocklist.HostAddress, blocklist.PrefixAddress} {
			for n := range 1000 {
				d, err := v.Digest(kind, fmt.Sprintf("host-%d.example/%s", n, strings.Repeat("a", i)))
				if err != nil {
					b.Fatal(err)
				}
				add(&blocklist.Event{Type: blocklist.EventAdded, Rule: &blocklist.Rule{Scope: blocklist.ScopeHost + blocklist.Scope(i), Effect: 1,
					Keys: blocklist.Keys{Addresses: []blocklist.Address{{Kind: kind, Digest: d}}}}})
			}
		}
	})
	b.Run("digest", func(b *testing.B) { benchMiss(b, v, urls) })
	for name, v := range map[string]*blocklist.State{"url": v, "url beside hosts and prefixes": broad} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i, hits := 0, 0
			for b.Loop() {
				v.FindURL(blocklist.ImageAddress, urls[i&(len(urls)-1)], func(blocklist.Hit) bool { hits++; return true })
				i++
			}
			if hits > 0 {
				b.Fatal("hit")
			}
		})
	}
}
