package mail_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/web/mail"
)

var bounced = takedown.CaseID{1, 2, 3}

// report is a mail as servers send it when a letter is not delivered.
func report(action, status, returned string) string {
	return strings.ReplaceAll(fmt.Sprintf(`From: MAILER-DAEMON@mx.example
To: privacy@search.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain; charset=us-ascii

The mail could not be delivered.

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Arrival-Date: Mon, 30 Nov 2026 10:00:00 +0000

Final-Recipient: rfc822; somebody@requester.example
Action: %s
Status: %s
Diagnostic-Code: smtp; 550 no such user here

--b1
Content-Type: %s

Message-ID: <42.%s@search.example>
Subject: Your request

--b1--
`, action, status, returned, bounced), "\n", "\r\n")
}

func TestReadBounce(t *testing.T) {
	t.Parallel()
	for _, returned := range []string{"message/rfc822", "text/rfc822-headers; charset=us-ascii", "message/global-headers"} {
		b, err := mail.ReadBounce(strings.NewReader(report("failed", "5.1.1", returned)))
		if want := (mail.Bounce{Message: 42, Case: bounced, Status: "5.1.1", Permanent: true}); err != nil || b != want {
			t.Errorf("%s: %+v, %v; want %+v", returned, b, err, want)
		}
	}
	if b, err := mail.ReadBounce(strings.NewReader(report("delayed", "4.4.1", "message/rfc822"))); err != nil || b.Permanent || b.Status != "4.4.1" {
		t.Errorf("a delay: %+v, %v", b, err)
	}
	whole := report("failed", "5.1.1", "message/rfc822")
	for name, text := range map[string]string{
		"nothing": "", "no mail": "x", "a letter": "Subject: Re: your letter\r\n\r\nThank you.",
		"another report": strings.Replace(whole, "delivery-status;", "disposition-notification;", 1),
		"another letter": strings.Replace(whole, "42.", "x.", 1),
		"no case":        strings.Replace(whole, bounced.String(), "aaaa", 1),
		"no status":      strings.Replace(whole, "5.1.1", "bad", 1),
		"cut off":        whole[:strings.Index(whole, "Message-ID")],
	} {
		if b, err := mail.ReadBounce(strings.NewReader(text)); !errors.Is(err, mail.ErrNoBounce) {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}

func FuzzReadBounce(f *testing.F) {
	f.Add(report("failed", "5.1.1", "message/rfc822"))
	f.Add(report("delayed", "4.4.1", "text/rfc822-headers"))
	f.Fuzz(func(t *testing.T, text string) {
		b, err := mail.ReadBounce(strings.NewReader(text))
		if err != nil && !errors.Is(err, mail.ErrNoBounce) {
			t.Error(err)
		}
		if err == nil && (b.Status == "" || strings.ContainsAny(b.Status, "@ \r\n<")) {
			t.Errorf("status %q", b.Status)
		}
	})
}
