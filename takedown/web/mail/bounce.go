package mail

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/staydown/staydown/takedown"
)

// Bounce is the report of a mail server that a letter did not arrive (RFC 3464). It
// names no person.
type Bounce struct {
	Message uint64 // [desk.Message].ID of the letter
	Case    takedown.CaseID
	// Status is the code of the failure, such as "5.1.1" for an address that does not
	// exist.
	Status string
	// Permanent reports that the letter was not delivered and is not tried again.
	Permanent bool
}

// ErrNoBounce is returned for a mail that is no report about a letter of this package.
var ErrNoBounce = errors.New("mail: it is no report about a letter")

// Limits of ReadBounce: a report is short, with the headers of the letter behind it.
const (
	maxReport = 1 << 20
	maxParts  = 8
	maxNested = 4
)

// ReadBounce reads a mail that came to the sender's address, and returns what it
// reports about a letter. Reports come hours after the letter was taken, so they are no
// errors of [Sender.Notify]; a program that reads the mailbox of the sender calls
// ReadBounce for each mail, and notes what it finds beside the case:
//
//	b, err := mail.ReadBounce(r)
//	if err == nil && b.Permanent {
//		err = d.AddNote(ctx, b.Case, desk.Actor{By: "mail"}, "A letter did not arrive: "+b.Status, "", nil)
//	}
//
// Anybody can send such a mail. The number of a case and of a letter in it are known to
// the recipient of the letter only, and nothing but a note should follow from it.
func ReadBounce(r io.Reader) (b Bounce, err error) {
	m, err := mail.ReadMessage(bufio.NewReader(io.LimitReader(r, maxReport)))
	if err != nil {
		return b, ErrNoBounce
	}
	typ, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || typ != "multipart/report" || !strings.EqualFold(params["report-type"], "delivery-status") {
		return b, ErrNoBounce
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	var named bool
	for range maxParts {
		part, err := parts.NextPart()
		if err != nil { // the end, or a report that was cut off
			break
		}
		typ, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		switch typ {
		case "message/delivery-status":
			b.readStatus(part)
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers":
			named = b.readLetter(part) || named
		}
	}
	if !named || b.Status == "" {
		return Bounce{}, ErrNoBounce
	}
	return b, nil
}

// readStatus reads the fields of a report: those of the report, then those of each
// recipient. Letters have one.
func (b *Bounce) readStatus(r io.Reader) {
	fields := textproto.NewReader(bufio.NewReader(r))
	for range maxNested {
		h, err := fields.ReadMIMEHeader()
		if status := strings.TrimSpace(h.Get("Status")); isStatus(status) && b.Status == "" {
			b.Status = status
			b.Permanent = status[0] == '5' && strings.EqualFold(strings.TrimSpace(h.Get("Action")), "failed")
		}
		if err != nil {
			return
		}
	}
}

// isStatus reports whether a text is an enhanced status code (RFC 3463).
func isStatus(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(s) > 9 || parts[0] != "2" && parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 16); err != nil {
			return false
		}
	}
	return true
}

// readLetter reads from the returned headers which letter it was.
func (b *Bounce) readLetter(r io.Reader) bool {
	h, _ := textproto.NewReader(bufio.NewReader(r)).ReadMIMEHeader() // cut off headers do
	id, _, _ := strings.Cut(strings.Trim(strings.TrimSpace(h.Get("Message-Id")), "<>"), "@")
	number, text, ok := strings.Cut(id, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return false
	}
	c, err := takedown.ParseCaseID(text)
	if err != nil {
		return false
	}
	b.Message, b.Case = n, c
	return true
}
