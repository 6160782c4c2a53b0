package unwrap

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Rules returns the rules that are built in. The slice is the caller's.
func Rules() []Rule { return slices.Clone(builtin) }

// The services whose addresses people paste, as seen in public reports of
// links. Order matters only between rules for one host.
var builtin = []Rule{
	// Search engines.
	{Name: "Google Images", Hosts: []string{"*.google.*"}, Path: "/imgres", Query: []string{"imgurl"}, PageParam: "imgrefurl", Kind: Picture},
	{Name: "Google", Hosts: []string{"*.google.*"}, Path: "/url", Query: []string{"url", "q"}, Kind: Page},
	{Name: "Google thumbnail", Hosts: []string{"*.gstatic.com"}, Path: "/images", Kind: Thumbnail},
	{Name: "Bing Images", Hosts: []string{"*.bing.com"}, Path: "/images/search", Query: []string{"mediaurl", "imgurl"}, Kind: Picture},
	{Name: "Bing image", Hosts: []string{"th.bing.com", "*.mm.bing.net"}, Path: "/th", Query: []string{"riu"}, Kind: Picture},
	{Name: "Bing thumbnail", Hosts: []string{"th.bing.com", "*.mm.bing.net"}, Path: "/th", Kind: Thumbnail},
	{Name: "DuckDuckGo", Hosts: []string{"external-content.duckduckgo.com", "proxy.duckduckgo.com"}, Path: "/iu/", Query: []string{"u"}, Kind: Picture},
	{Name: "Yandex Images", Hosts: []string{"*.yandex.*"}, Path: "/images/search", Query: []string{"img_url"}, Kind: Picture},
	{Name: "Startpage", Hosts: []string{"*.startpage.com"}, Path: "/av/proxy-image", Query: []string{"piurl"}, Kind: Picture},
	{Name: "Brave Search", Hosts: []string{"imgs.search.brave.com"}, Inner: brave, Kind: Picture},
	// Image proxies and delivery networks.
	{Name: "Photon", Hosts: []string{"i0.wp.com", "i1.wp.com", "i2.wp.com", "i3.wp.com"}, Inner: photon, Kind: Picture},
	{Name: "weserv", Hosts: []string{"images.weserv.nl", "wsrv.nl"}, Query: []string{"url"}, Kind: Picture},
	{Name: "Next.js", Path: "…/_next/image", Query: []string{"url"}, Kind: Picture},
	{Name: "Cloudflare Images", Path: "…/cdn-cgi/image/", Inner: cloudflare, Kind: Picture},
	{Name: "Cloudinary", Hosts: []string{"res.cloudinary.com", "substackcdn.com"}, Path: "…/image/fetch/", Inner: lastAddress, Kind: Picture},
	{Name: "Camo", Hosts: []string{"camo.githubusercontent.com"}, Inner: camo, Kind: Picture},
	{Name: "Discord", Hosts: []string{"*.discordapp.net"}, Path: "/external/", Inner: discord, Kind: Picture},
	{Name: "Reddit preview", Hosts: []string{"preview.redd.it"}, Inner: reddit, Kind: Picture},
	{Name: "Wikimedia thumbnail", Hosts: []string{"upload.wikimedia.org"}, Path: "…/thumb/", Inner: wikimediaThumb, Kind: Picture},
	{Name: "Wikimedia file page", Hosts: []string{"*.wikipedia.org", "commons.wikimedia.org"}, Path: "/wiki/", Inner: wikimediaFile, Kind: Picture},
	// Archives, translators and accelerated pages.
	{Name: "Internet Archive", Hosts: []string{"web.archive.org"}, Path: "/web/", Inner: archive},
	{Name: "AMP cache", Hosts: []string{"*.cdn.ampproject.org"}, Inner: amp},
	{Name: "Google Translate", Hosts: []string{"*.translate.goog"}, Inner: translateGoog, Kind: Page},
	{Name: "Google Translate", Hosts: []string{"translate.google.*"}, Path: "/translate", Query: []string{"u"}, Kind: Page},
	// Social networks.
	{Name: "Facebook proxy", Hosts: []string{"*.fbcdn.net", "fbexternal-a.akamaihd.net"}, Path: "/safe_image.php", Query: []string{"url"}, Kind: Picture},
	{Name: "Facebook picture", Hosts: []string{"*.fbcdn.net", "*.cdninstagram.com"}, Path: "/v/", Kind: Expiring},
	{Name: "Facebook link", Hosts: []string{"l.facebook.com", "lm.facebook.com", "l.instagram.com"}, Query: []string{"u"}, Kind: Page},
	{Name: "Reddit link", Hosts: []string{"out.reddit.com"}, Query: []string{"url"}, Kind: Page},
}

// pages are addresses that always lead to a page, whatever their path.
var pages = []Rule{
	{Hosts: []string{"*.instagram.com"}, Path: "/p/"}, {Hosts: []string{"*.instagram.com"}, Path: "/reel/"},
	{Hosts: []string{"t.co", "pin.it", "bit.ly", "fb.watch", "youtu.be", "tinyurl.com"}},
	{Hosts: []string{"*.pinterest.*"}, Path: "/pin/"},
	{Hosts: []string{"*.x.com", "*.twitter.com"}, Path: "…/status/"},
	{Hosts: []string{"*.reddit.com"}, Path: "/r/"}, {Hosts: []string{"*.facebook.com"}},
	{Hosts: []string{"*.tiktok.com"}, Path: "/@"}, {Hosts: []string{"*.youtube.com"}, Path: "/watch"},
	{Hosts: []string{"*.wikipedia.org"}, Path: "/wiki/"}, {Hosts: []string{"*.google.*"}, Path: "/search"},
}

// brave reads the base64url text after the last "g:ce/", with its slashes taken out.
func brave(u *url.URL) (string, bool) {
	_, text, ok := strings.Cut(u.EscapedPath(), "/g:ce/")
	if !ok {
		return "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.ReplaceAll(text, "/", ""), "="))
	return string(raw), err == nil
}

// photon reads /HOST/PATH. Without ssl=1 the source is http.
func photon(u *url.URL) (string, bool) {
	scheme := "http:/"
	if u.Query().Get("ssl") == "1" {
		scheme = "https:/"
	}
	inner := scheme + u.EscapedPath()
	if q := u.Query().Get("q"); q != "" {
		inner += "?" + q
	}
	return inner, strings.Count(u.Path, "/") > 1
}

// cloudflare reads what follows the options: an address, or a path of the same site.
func cloudflare(u *url.URL) (string, bool) {
	_, rest, _ := strings.Cut(u.EscapedPath(), "/cdn-cgi/image/")
	_, inner, ok := strings.Cut(rest, "/")
	if !ok || inner == "" {
		return "", false
	}
	if text, err := url.PathUnescape(inner); err == nil && hasScheme(text) {
		return text, true
	}
	if hasScheme(inner) {
		return withQuery(inner, u), true
	}
	return withQuery(u.Scheme+"://"+u.Host+"/"+inner, u), true
}

// lastAddress reads the last http address that stands in the path.
func lastAddress(u *url.URL) (string, bool) {
	p := u.EscapedPath()
	i := max(strings.LastIndex(p, "/http:"), strings.LastIndex(p, "/https:"))
	if j := max(strings.LastIndex(p, "/http%3A"), strings.LastIndex(p, "/https%3A")); j > i {
		text, err := url.PathUnescape(p[j+1:])
		return text, err == nil
	}
	if i < 0 {
		return "", false
	}
	return withQuery(p[i+1:], u), true
}

func camo(u *url.URL) (string, bool) {
	raw, err := hex.DecodeString(path.Base(u.Path))
	return string(raw), err == nil
}

// discord reads /external/SIGNATURE/[%3FQUERY/]SCHEME/HOST/PATH.
func discord(u *url.URL) (string, bool) {
	parts := strings.SplitN(strings.TrimPrefix(u.EscapedPath(), "/external/"), "/", 3)
	if len(parts) < 3 {
		return "", false
	}
	rest := parts[1] + "/" + parts[2]
	query := ""
	if q, err := url.PathUnescape(parts[1]); err == nil && strings.HasPrefix(q, "?") {
		query, rest = q, parts[2]
	}
	scheme, address, ok := strings.Cut(rest, "/")
	return scheme + "://" + address + query, ok && (scheme == "http" || scheme == "https")
}

// reddit reads NAME.EXT, or SLUG-v0-NAME.EXT.
func reddit(u *url.URL) (string, bool) {
	name := path.Base(u.Path)
	if i := strings.LastIndex(name, "-v0-"); i >= 0 {
		name = name[i+len("-v0-"):]
	}
	return "https://i.redd.it/" + name, len(name) > 1
}

// wikimediaThumb drops "thumb" and the last segment, which names the size.
func wikimediaThumb(u *url.URL) (string, bool) {
	before, after, ok := strings.Cut(u.EscapedPath(), "/thumb/")
	i := strings.LastIndexByte(after, '/')
	if !ok || i < 0 {
		return "", false
	}
	return "https://upload.wikimedia.org" + before + "/" + after[:i], true
}

// wikimediaFile reads the name of a file from its page. Its folder is made from
// the MD5 of the name. The file is taken to lie on Commons, where most do.
func wikimediaFile(u *url.URL) (string, bool) {
	name := strings.TrimPrefix(u.Path, "/wiki/")
	if f := u.Fragment; strings.HasPrefix(f, "/media/") {
		name = strings.TrimPrefix(f, "/media/")
	}
	_, name, ok := strings.Cut(name, ":")
	name = strings.ReplaceAll(name, " ", "_")
	if !ok || Guess(&url.URL{Path: name}) != Picture {
		return "", false
	}
	sum := md5.Sum([]byte(name))
	h := hex.EncodeToString(sum[:1])
	return "https://upload.wikimedia.org/wikipedia/commons/" + h[:1] + "/" + h + "/" + url.PathEscape(name), true
}

// archive reads /web/TIME[im_ or if_]/ADDRESS.
func archive(u *url.URL) (string, bool) {
	_, inner, ok := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/web/"), "/")
	return withQuery(inner, u), ok && inner != ""
}

// amp reads /i/s/HOST/PATH for a picture and /c/s/HOST/PATH for a page; without
// the s the source is http.
func amp(u *url.URL) (string, bool) {
	kind, rest, ok := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if !ok || kind != "i" && kind != "c" && kind != "v" {
		return "", false
	}
	if inner, ok := strings.CutPrefix(rest, "s/"); ok {
		return withQuery("https://"+inner, u), true
	}
	return withQuery("http://"+rest, u), true
}

// translateGoog reads the host from the first label: "-" is a dot, "--" a hyphen.
func translateGoog(u *url.URL) (string, bool) {
	label := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".translate.goog")
	host := strings.NewReplacer("--", "-", "-", ".").Replace(label)
	q := u.Query()
	for name := range q {
		if strings.HasPrefix(name, "_x_tr_") {
			q.Del(name)
		}
	}
	inner := url.URL{Scheme: "https", Host: host, Path: u.Path, RawPath: u.RawPath, RawQuery: q.Encode()}
	return inner.String(), strings.Contains(host, ".")
}

func hasScheme(s string) bool { return strings.HasPrefix(s, "http:") || strings.HasPrefix(s, "https:") }

func withQuery(inner string, outer *url.URL) string {
	if outer.RawQuery == "" {
		return inner
	}
	return inner + "?" + outer.RawQuery
}
