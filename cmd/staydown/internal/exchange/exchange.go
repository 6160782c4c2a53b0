// Package exchange reads the lists of other organisations: hashes, digests,
// addresses, hosts. A reader yields one Entry after the other, in the memory of
// one, and goes on behind entries that it refuses.
package exchange

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/staydown/staydown/phash"
)

// Status is what the other organisation says about an entry.
type Status uint8

// The states of an entry.
const (
	// Active entries are in force.
	Active Status = iota
	// Unverified entries were received by the organisation and not looked at.
	Unverified
	// Ended entries were withdrawn or deleted.
	Ended
)

// Entry is one item of a list.
type Entry struct {
	// Line is where it is in the file: the number of its line, or of the item.
	Line int
	// Key names the entry within its list. A later entry with the same key
	// replaces it.
	Key    string
	Status Status

	Hashes   []phash.Hash
	SHA256   [][32]byte
	SHA1     [][20]byte
	MD5      [][16]byte
	Images   []string // addresses
	Pages    []string
	Hosts    []string
	Prefixes []string
}

// Empty reports whether nothing can be recognised by the entry.
func (e *Entry) Empty() bool {
	return len(e.Hashes)+len(e.SHA256)+len(e.SHA1)+len(e.MD5)+len(e.Images)+len(e.Pages)+len(e.Hosts)+len(e.Prefixes) == 0
}

// RefusedError is why an entry is not taken. It has nothing of the entry.
type RefusedError struct {
	Line int
	Why  string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Why) }

// A Reader yields the entries of a list. Its errors are *RefusedError, after which
// it goes on, or others, which end it.
type Reader func(r io.Reader) iter.Seq2[Entry, error]

// Format is a form of lists.
type Format struct {
	Name, Help string
	Read       Reader
}

// Formats are all forms that are read.
var Formats = []Format{
	{"pdq", "PDQ hashes as text or CSV: HASH[,QUALITY[,…]] in each line, 64 hex digits; a head is skipped", lines(pdqLine)},
	{"stopncii", "JSON of StopNCII: hashRecords with status and withdrawals", readStopNCII},
	{"ncmec", "XML of NCMEC hash sharing: md5, sha1 and PDQ of images, with deletions", readNCMEC},
	{"digests", "digests of files, one in each line: SHA-256, SHA-1 or MD5 in hex", lines(digestLine)},
	{"urls", "addresses of pictures, one in each line", lines(func(e *Entry, s string) error { e.Images = []string{s}; return nil })},
	{"pages", "addresses of pages, one in each line", lines(func(e *Entry, s string) error { e.Pages = []string{s}; return nil })},
	{"patterns", "hosts and beginnings of paths, one in each line: example.com, *.example.com, ||example.com^, 0.0.0.0 example.com, example.com/somebody/*, https://example.com/a.jpg", lines(patternLine)},
	{"iscc", "ISCC image codes, one in each line: ISCC:EE…", lines(isccLine)},
}

// Names are the names of Formats.
func Names() (names []string) {
	for _, f := range Formats {
		names = append(names, f.Name)
	}
	return names
}

// ByName returns a format.
func ByName(name string) (Format, bool) {
	i := slices.IndexFunc(Formats, func(f Format) bool { return f.Name == name })
	if i < 0 {
		return Format{}, false
	}
	return Formats[i], true
}

// maxLine is the longest line.
const maxLine = 16 << 10

// errSkip is returned for a line that is not an entry, and no mistake either.
var errSkip = errors.New("skip")

// lines makes a Reader of a function for one line. Empty lines and comments are
// left out.
func lines(parse func(e *Entry, line string) error) Reader {
	return func(r io.Reader) iter.Seq2[Entry, error] {
		return func(yield func(Entry, error) bool) {
			br := bufio.NewReaderSize(r, maxLine)
			for n := 1; ; n++ {
				raw, err := br.ReadSlice('\n')
				long := errors.Is(err, bufio.ErrBufferFull)
				for errors.Is(err, bufio.ErrBufferFull) {
					_, err = br.ReadSlice('\n')
				}
				if err != nil && !errors.Is(err, io.EOF) {
					yield(Entry{}, err)
					return
				}
				text := strings.TrimSpace(string(raw))
				if n == 1 {
					text = strings.TrimPrefix(text, "\ufeff")
				}
				if text != "" && text[0] != '#' && !yieldLine(n, text, long, parse, yield) {
					return
				}
				if err != nil {
					return
				}
			}
		}
	}
}

func yieldLine(n int, text string, long bool, parse func(*Entry, string) error, yield func(Entry, error) bool) bool {
	e := Entry{Line: n, Key: text}
	err := errors.New("longer than 16 KiB")
	if !long {
		err = parse(&e, text)
	}
	switch {
	case errors.Is(err, errSkip):
		return true
	case err != nil:
		return yield(e, &RefusedError{n, err.Error()})
	}
	return yield(e, nil)
}

// minQuality is the quality below which lists leave PDQ hashes out.
const minQuality = 50

func pdqLine(e *Entry, line string) error {
	hash, rest, _ := strings.Cut(line, ",")
	hash = strings.Trim(strings.TrimSpace(hash), `"`)
	if e.Line == 1 && !strings.ContainsAny(hash, "0123456789") {
		return errSkip // the head of a CSV file
	}
	h, err := parsePDQ(hash)
	if err != nil {
		return err
	}
	quality, _, _ := strings.Cut(rest, ",")
	if q, err := strconv.Atoi(strings.Trim(strings.TrimSpace(quality), `"`)); err == nil && q < minQuality {
		return fmt.Errorf("quality %d is below %d", q, minQuality)
	}
	e.Key, e.Hashes = h.String(), []phash.Hash{h}
	return nil
}

func parsePDQ(s string) (phash.Hash, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		return phash.Hash{}, errors.New("not a PDQ hash: 64 hex digits are expected")
	}
	return phash.FromPDQSlice(b)
}

func digestLine(e *Entry, line string) error {
	digest, _, _ := strings.Cut(line, ",")
	digest, _, _ = strings.Cut(digest, " ") // as sha256sum writes it
	if !e.digest(digest) {
		return errors.New("not a digest: 64, 40 or 32 hex digits are expected")
	}
	e.Key = strings.ToLower(digest)
	return nil
}

// digest adds a digest by its length.
func (e *Entry) digest(text string) bool {
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return false
	}
	switch len(b) {
	case 32:
		e.SHA256 = append(e.SHA256, [32]byte(b))
	case 20:
		e.SHA1 = append(e.SHA1, [20]byte(b))
	case 16:
		e.MD5 = append(e.MD5, [16]byte(b))
	default:
		return false
	}
	return true
}

// patternLine reads the forms in which block lists name hosts and paths.
func patternLine(e *Entry, line string) error {
	if line[0] == '!' {
		return errSkip // a comment of filter lists
	}
	line, _, _ = strings.Cut(line, " #")
	fields := strings.Fields(line)
	if len(fields) == 2 && (fields[0] == "0.0.0.0" || fields[0] == "127.0.0.1" || fields[0] == "::") {
		fields = fields[1:] // a hosts file
	}
	if len(fields) != 1 {
		return errors.New("one host, path or address is expected")
	}
	s := fields[0]
	e.Key = s
	if rest, ok := strings.CutPrefix(s, "||"); ok {
		if s, ok = strings.CutSuffix(rest, "^"); !ok || strings.Contains(s, "/") {
			return errors.New("of the filters that begin with ||, only ||host^ is known")
		}
	}
	s = strings.TrimPrefix(s, "*.")
	bare := s
	for _, scheme := range []string{"http://", "https://", "*://"} {
		bare = strings.TrimPrefix(bare, scheme)
	}
	bare = strings.TrimPrefix(bare, "*.")
	host, path, slash := strings.Cut(bare, "/")
	if prefix, ok := strings.CutSuffix(path, "*"); ok || prefix == "" {
		prefix = strings.TrimSuffix(prefix, "/")
		if strings.ContainsAny(host+prefix, "*^$|") {
			return errors.New("of patterns, only * at the beginning of a host and behind the last slash is known")
		}
		switch {
		case prefix == "":
			e.Hosts = []string{host}
		case !strings.HasSuffix(path, "/*"):
			return errors.New("a path can end only behind a slash: /somebody/*")
		default:
			e.Prefixes = []string{host + "/" + prefix}
		}
		return nil
	}
	if strings.ContainsAny(bare, "*^$|") || !slash {
		return errors.New("of patterns, only * at the beginning of a host and behind the last slash is known")
	}
	e.Images = []string{s}
	return nil
}
