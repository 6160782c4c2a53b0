// Package mail sends the letters of a desk by SMTP.
//
//	s, err := mail.New(&mail.Options{Host: "smtp.example.org", From: "Example Search <privacy@search.example>", Write: pages.Message})
//	d, err := desk.Open(dir, &desk.Options{Notifier: s, ConfirmEmail: true})
//
// A letter is plain text with the same in simple HTML. The same message of the
// desk has the same Message-ID whenever it is sent, so that a copy that was sent
// twice, after a crash, is recognised as one.
package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"net"
	"net/mail"
	"strings"
	"time"

	smtp "github.com/wneessen/go-mail"

	"github.com/staydown/staydown/takedown/desk"
)

// Options are the options of [New].
type Options struct {
	// Host and Port are those of the mail server; port 0 means 587. The connection
	// is encrypted before anything is sent, unless Plain is set, which is for a
	// server on the same machine.
	Host  string
	Port  int
	Plain bool
	// Username and Password are for servers that ask for them.
	Username, Password string
	// From is the sender, with or without a name.
	From string
	// Write puts a message into words, such as [web.Handler.Message] or
	// [texts.Texts.Message].
	Write func(desk.Message) (subject, body string, err error)
	// Bounced, unless nil, is told of a message that the server refuses for good,
	// with the code of its answer: the address does not exist, for example. Such a
	// message is not sent again.
	Bounced func(m desk.Message, code int)
	// Other takes messages to people without an email address, and statements of
	// reasons, whose recipient the operator has to find. Without it they wait.
	Other desk.Notifier
	// Timeout bounds the time for one letter; 0 means a minute.
	Timeout time.Duration
}

// ErrNoAddress is returned for a message without an email address where
// [Options].Other is nil.
var ErrNoAddress = errors.New("mail: the message has no email address, and Options.Other is nil")

// Sender sends letters. It is a [desk.Notifier], safe for concurrent use.
type Sender struct {
	opts   Options
	from   *mail.Address
	client func() (*smtp.Client, error)
}

// New returns a sender. It does not connect.
func New(opts *Options) (*Sender, error) {
	if opts == nil || opts.Host == "" || opts.Write == nil {
		return nil, errors.New("mail: Options.Host and Options.Write are required")
	}
	from, err := mail.ParseAddress(opts.From)
	if err != nil {
		return nil, fmt.Errorf("mail: Options.From: %w", err)
	}
	s := &Sender{opts: *opts, from: from}
	policy := smtp.TLSMandatory
	if opts.Plain {
		policy = smtp.NoTLS
	}
	options := []smtp.Option{smtp.WithPort(cmp.Or(opts.Port, 587)), smtp.WithTLSPolicy(policy), smtp.WithTimeout(cmp.Or(opts.Timeout, time.Minute)), smtp.WithDialContextFunc(dial)}
	if opts.Username != "" {
		options = append(options, smtp.WithSMTPAuth(smtp.SMTPAuthAutoDiscover), smtp.WithUsername(opts.Username), smtp.WithPassword(opts.Password))
	}
	s.client = func() (*smtp.Client, error) { return smtp.NewClient(opts.Host, options...) }
	_, err = s.client() // its options are checked here, not at the first letter
	return s, err
}

// dial connects to a server. The library bounds the connecting only: a server that
// does not greet would keep it waiting.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Notify sends a message. Errors name no person.
func (s *Sender) Notify(ctx context.Context, m desk.Message) error {
	if m.To.Email == "" {
		if s.opts.Other == nil {
			return ErrNoAddress
		}
		return s.opts.Other.Notify(ctx, m)
	}
	letter, err := s.letter(m)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.opts.Timeout, time.Minute))
	defer cancel()
	if err := c.DialAndSendWithContext(ctx, letter); err != nil {
		var failed *smtp.SendError
		if errors.As(err, &failed) && failed.ErrorCode() >= 500 {
			if s.opts.Bounced != nil {
				s.opts.Bounced(m, failed.ErrorCode())
			}
			return nil
		}
		if errors.As(err, &failed) {
			return fmt.Errorf("mail: the server did not take the letter: code %d", failed.ErrorCode())
		}
		return fmt.Errorf("mail: the server cannot be reached: %w", unnamed(err))
	}
	return nil
}

// unnamed is an error without the words of the server, which may repeat an
// address.
func unnamed(err error) error {
	for _, known := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return known
		}
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return context.DeadlineExceeded
	}
	return errors.New("no connection")
}

// letter writes the mail of a message.
func (s *Sender) letter(m desk.Message) (*smtp.Msg, error) {
	subject, body, err := s.opts.Write(m)
	if err != nil {
		return nil, err
	}
	letter := smtp.NewMsg()
	if err := letter.From(s.from.String()); err != nil {
		return nil, fmt.Errorf("mail: Options.From: %w", err)
	}
	if err := letter.AddToFormat("", m.To.Email); err != nil {
		return nil, errors.New("mail: the address of the recipient is not one that mail knows")
	}
	letter.Subject(strings.Join(strings.Fields(subject), " "))
	domain := s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:]
	letter.SetMessageIDWithValue(fmt.Sprintf("%d.%s@%s", m.ID, m.Case, domain))
	letter.SetDateWithValue(m.Time)
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.To.Language != "" {
		letter.SetGenHeader("Content-Language", m.To.Language)
	}
	letter.SetBodyString(smtp.TypeTextPlain, body)
	letter.AddAlternativeString(smtp.TypeTextHTML, page(body, cmp.Or(m.To.Language, "en")))
	return letter, nil
}

// page is a letter in HTML: its paragraphs, and its addresses as links.
func page(body, lang string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!doctype html><html lang="%s"><body style="font:16px/1.5 sans-serif;max-width:40em">`, html.EscapeString(lang))
	for par := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
		b.WriteString("<p>")
		for i, line := range strings.Split(par, "\n") {
			if i > 0 {
				b.WriteString("<br>")
			}
			text := html.EscapeString(line)
			if strings.HasPrefix(line, "https://") && !strings.ContainsAny(line, " \t") {
				text = `<a href="` + text + `">` + text + `</a>`
			}
			b.WriteString(text)
		}
		b.WriteString("</p>\n")
	}
	b.WriteString("</body></html>\n")
	return b.String()
}
