package exchange

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/staydown/staydown/phash"
)

// maxItem is the largest item of a document, in bytes.
const maxItem = 1 << 20

var errItem = errors.New("an item is longer than 1 MiB")

// boundedReader fails when an item is too long. The parser reads ahead, so the
// bound is on what was read since the last item.
type boundedReader struct {
	r    io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errItem
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (b *boundedReader) next() { b.left = 2 * maxItem }

// stopNCIIRecord is an element of hashRecords.
type stopNCIIRecord struct {
	SignalType string `json:"signalType"`
	HashValue  string `json:"hashValue"`
	HashStatus string `json:"hashStatus"`
}

// readStopNCII reads one page or several, one after the other.
func readStopNCII(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		in := &boundedReader{r: r}
		in.next()
		d := json.NewDecoder(in)
		n := 0
		for {
			ok, err := readPage(d, in, &n, yield)
			if errors.Is(err, io.EOF) && n == 0 {
				err = errors.New("there is no hashRecords in it")
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Entry{}, fmt.Errorf("after %d records: %w", n, err))
			}
			if err != nil || !ok {
				return
			}
		}
	}
}

// readPage reads a page. ok is false if yield ended it.
func readPage(d *json.Decoder, in *boundedReader, n *int, yield func(Entry, error) bool) (ok bool, err error) {
	t, err := d.Token()
	if err != nil {
		return false, err // io.EOF behind the last page
	}
	if t != json.Delim('{') {
		return false, errors.New("an object is expected")
	}
	seen := false
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false, whole(err)
		}
		if name != "hashRecords" {
			var other json.RawMessage
			if err := d.Decode(&other); err != nil {
				return false, whole(err)
			}
			continue
		}
		seen = true
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return false, errors.Join(whole(err), errors.New("hashRecords is not a list"))
		}
		for d.More() {
			in.next()
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				return false, whole(err)
			}
			*n++
			if !yield(stopNCIIEntry(*n, raw)) {
				return false, nil
			}
		}
		if _, err := d.Token(); err != nil {
			return false, whole(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return false, whole(err)
	}
	if !seen {
		return false, errors.New("there is no hashRecords in it")
	}
	return true, nil
}

// whole turns the end of the file within a document into an error.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func stopNCIIEntry(n int, raw json.RawMessage) (Entry, error) {
	e := Entry{Line: n}
	refuse := func(why string) (Entry, error) { return e, &RefusedError{n, why} }
	var r stopNCIIRecord
	if json.Unmarshal(raw, &r) != nil {
		return refuse("not a record with signalType, hashValue and hashStatus")
	}
	e.Key = r.SignalType + " " + strings.ToLower(r.HashValue)
	switch r.HashStatus {
	case "Active":
	case "Received":
		e.Status = Unverified
	case "Withdrawn", "Deleted":
		e.Status = Ended
	default:
		return refuse("hashStatus is none of Received, Active, Withdrawn, Deleted")
	}
	switch r.SignalType {
	case "ImagePDQ":
		h, err := parsePDQ(r.HashValue)
		if err != nil {
			return refuse(err.Error())
		}
		e.Hashes = []phash.Hash{h}
	default:
		return refuse("signalType is not ImagePDQ; only pictures are compared")
	}
	return e, nil
}

// ncmecItem is an image or deletedImage.
type ncmecItem struct {
	Member struct {
		ID string `xml:"id,attr"`
	} `xml:"member"`
	ID           string `xml:"id"`
	Fingerprints struct {
		MD5  []string `xml:"md5"`
		SHA1 []string `xml:"sha1"`
		PDQ  []string `xml:"pdq"`
	} `xml:"fingerprints"`
}

// ncmecSpace is the namespace of the documents.
const ncmecSpace = "https://hashsharing.ncmec.org/hashsharing/v2"

// readNCMEC reads one document. encoding/xml resolves no external entities.
func readNCMEC(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		in := &boundedReader{r: bufio.NewReader(r)}
		in.next()
		d := xml.NewDecoder(in)
		n, root := 0, false
		for {
			in.next()
			t, err := d.Token()
			if errors.Is(err, io.EOF) && root {
				return
			}
			if err != nil {
				if !root {
					err = errors.Join(errors.New("not a queryResult of NCMEC hash sharing"), whole(err))
				}
				yield(Entry{}, fmt.Errorf("after %d entries: %w", n, whole(err)))
				return
			}
			start, ok := t.(xml.StartElement)
			if !ok {
				continue
			}
			if !root {
				if root = start.Name.Local == "queryResult" && start.Name.Space == ncmecSpace; !root {
					yield(Entry{}, fmt.Errorf("not a queryResult in the namespace %s", ncmecSpace))
					return
				}
				continue
			}
			switch start.Name.Local {
			case "image", "deletedImage", "video", "deletedVideo":
				n++
				e, err := ncmecEntry(d, &start, n)
				if !yield(e, err) {
					return
				}
				if err != nil && !errors.As(err, new(*RefusedError)) {
					return
				}
			}
		}
	}
}

func ncmecEntry(d *xml.Decoder, start *xml.StartElement, n int) (Entry, error) {
	e := Entry{Line: n}
	refuse := func(why string) (Entry, error) { return e, &RefusedError{n, why} }
	var x ncmecItem
	if err := d.DecodeElement(&x, start); err != nil {
		return e, fmt.Errorf("after %d entries: %w", n-1, whole(err))
	}
	if strings.HasSuffix(strings.ToLower(start.Name.Local), "video") {
		return refuse("a video; only pictures are compared")
	}
	if x.Member.ID == "" || x.ID == "" {
		return refuse("member or id is missing")
	}
	e.Key = x.Member.ID + " " + strings.TrimSpace(x.ID)
	if start.Name.Local == "deletedImage" {
		e.Status = Ended
		return e, nil
	}
	f := &x.Fingerprints
	for _, text := range append(f.MD5, f.SHA1...) {
		if !e.digest(text) {
			return refuse("md5 or sha1 is not as long as it should be")
		}
	}
	for _, text := range f.PDQ {
		h, err := parsePDQ(strings.TrimSpace(text))
		if err != nil {
			return refuse(err.Error())
		}
		e.Hashes = append(e.Hashes, h)
	}
	if e.Empty() {
		return refuse("none of md5, sha1, pdq is in it")
	}
	return e, nil
}
