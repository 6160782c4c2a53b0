// Package svgpics finds the pictures that an SVG file carries in itself: as data:
// addresses of elements such as image, and in style sheets. It does not draw.
package svgpics

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"io"
	"iter"
	"net/url"
	"strings"
)

// The limits for one file.
const (
	MaxPictures = 32       // that are given
	maxEntities = 100      // that the file declares
	maxEntity   = 4 << 20  // bytes of all their values
	maxExpanded = 16 << 20 // bytes that all uses of them become
	maxName     = 64       // bytes of the name of an entity
	maxTokens   = 1 << 20  // elements, texts and the like
)

// IsSVG reports whether data begin as an SVG file: behind a byte order mark, white
// space, an XML declaration, comments and a document type, its first element is
// svg.
func IsSVG(data []byte) bool {
	data = data[:min(len(data), 4096)]
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for {
		data = bytes.TrimLeft(data, " \t\r\n")
		end := ""
		switch {
		case bytes.HasPrefix(data, []byte("<?xml")):
			end = "?>"
		case bytes.HasPrefix(data, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(data, []byte("<!DOCTYPE")):
			if end = ">"; bytes.IndexByte(data, '[') >= 0 && bytes.IndexByte(data, '[') < bytes.IndexByte(data, '>') {
				end = "]>"
			}
		default:
			return isRoot(data)
		}
		_, rest, ok := bytes.Cut(data, []byte(end))
		if !ok {
			return false
		}
		data = rest
	}
}

func isRoot(data []byte) bool {
	if len(data) == 0 || data[0] != '<' {
		return false
	}
	name := data[1:]
	if i := bytes.IndexAny(name, " \t\r\n/>"); i >= 0 {
		name = name[:i]
	}
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return string(name) == "svg"
}

// Pictures gives the pictures in an SVG file in their order: each with the media
// type that its address states. At most MaxPictures are given; more reports that
// there were others, or that the file is not read to its end.
func Pictures(ctx context.Context, data []byte) (seq iter.Seq2[string, []byte], more func() bool) {
	left := false
	return func(yield func(string, []byte) bool) {
		s := scanner{yield: yield, entities: map[string]string{}, literal: map[string]string{}}
		left = s.scan(&reader{ctx, data})
	}, func() bool { return left }
}

type scanner struct {
	yield    func(string, []byte) bool
	given    int
	entities map[string]string
	literal  map[string]string // what the XML decoder makes of them: nothing
	size     int               // of all entities
	expanded int               // bytes that entities became
}

// reader reads data until the context is done.
type reader struct {
	ctx  context.Context
	data []byte
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// scan reports whether something was left out.
func (s *scanner) scan(in io.Reader) (more bool) {
	d := xml.NewDecoder(in) // strict, as the decoders of browsers
	d.Entity = s.literal
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // addresses are ASCII
	style := false
	for range maxTokens {
		t, err := d.RawToken()
		if err != nil {
			return false // the end, or what no browser reads either
		}
		ok := true
		switch t := t.(type) {
		case xml.Directive:
			s.declare(string(t))
		case xml.StartElement:
			style = t.Name.Local == "style"
			for _, a := range t.Attr {
				ok = ok && s.attribute(a)
			}
		case xml.CharData:
			if style {
				ok = s.sheet(s.expand(string(t)))
			}
		case xml.EndElement:
			style = false
		}
		if !ok {
			return true
		}
	}
	return true
}

// declare takes the entities of a document type, because an address can be one.
func (s *scanner) declare(doctype string) {
	for range maxEntities {
		_, rest, ok := strings.Cut(doctype, "<!ENTITY")
		if !ok {
			return
		}
		doctype = rest
		rest = strings.TrimLeft(rest, " \t\r\n")
		i := strings.IndexAny(rest[:min(len(rest), maxName)], " \t\r\n")
		if i <= 0 {
			continue
		}
		name, value := rest[:i], strings.TrimLeft(rest[i:], " \t\r\n")
		if value == "" || value[0] != '"' && value[0] != '\'' {
			continue
		}
		end := strings.IndexByte(value[1:], value[0])
		if end < 0 || s.size+end > maxEntity {
			return
		}
		s.size += end
		s.entities[name], s.literal[name] = value[1:1+end], "&"+name+";"
	}
}

// expand replaces the entities that the file declares, which the XML decoder leaves
// as they are, by their values; not those in the values. Decoders that do it without
// a bound are made to fill the memory by a few bytes.
func (s *scanner) expand(v string) string {
	if len(s.entities) == 0 || !strings.Contains(v, "&") {
		return v
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(v, "&")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, _, ok := strings.Cut(rest[:min(len(rest), maxName)], ";")
		value, known := s.entities[name]
		if !ok || !known || s.expanded+len(value) > maxExpanded {
			b.WriteByte('&')
			v = rest
			continue
		}
		s.expanded += len(value)
		b.WriteString(value)
		v = rest[len(name)+1:]
	}
}

// attribute takes an attribute; false stops the scan.
func (s *scanner) attribute(a xml.Attr) bool {
	switch a.Name.Local {
	case "href", "src":
		return s.address(s.expand(a.Value))
	case "style", "fill", "stroke", "filter", "mask", "background":
		return s.sheet(s.expand(a.Value))
	}
	return true
}

// sheet takes the addresses in a style sheet.
func (s *scanner) sheet(css string) bool {
	for {
		i := strings.Index(css, "url(")
		if i < 0 {
			return true
		}
		css = strings.TrimLeft(css[i+4:], " \t\r\n")
		end := ")"
		if css != "" && (css[0] == '"' || css[0] == '\'') {
			end, css = css[:1], css[1:]
		}
		address, rest, ok := strings.Cut(css, end)
		if !s.address(address) || !ok {
			return ok
		}
		css = rest
	}
}

// address takes an address, if it is one of a picture in itself.
func (s *scanner) address(v string) bool {
	v = strings.TrimSpace(v)
	if len(v) < 5 || !strings.EqualFold(v[:5], "data:") {
		return true
	}
	head, body, ok := strings.Cut(v[5:], ",")
	if !ok {
		return true
	}
	kind, _, _ := strings.Cut(head, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if !strings.HasPrefix(kind, "image/") && kind != "" && kind != "application/octet-stream" && kind != "text/plain" {
		return true
	}
	data := unescape(body)
	if i := strings.LastIndexByte(head, ';'); i >= 0 && strings.EqualFold(strings.TrimSpace(head[i+1:]), "base64") {
		data = unbase64(data)
	}
	if len(data) == 0 {
		return true
	}
	if s.given == MaxPictures {
		return false
	}
	s.given++
	return s.yield(kind, data)
}

// unescape undoes percent encoding; what is not valid stays as it is.
func unescape(s string) []byte {
	if v, err := url.PathUnescape(s); err == nil {
		return []byte(v)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := url.PathUnescape(s[i : i+3]); err == nil {
				out = append(out, v...)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

// unbase64 decodes as browsers do: white space does not count, and the padding may
// be missing.
func unbase64(b []byte) []byte {
	n := 0
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\f' && c != '=' {
			b[n] = c
			n++
		}
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(n))
	n, err := base64.RawStdEncoding.Decode(out, b[:n])
	if err != nil {
		return nil
	}
	return out[:n]
}
