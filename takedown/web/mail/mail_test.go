package mail_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/web/mail"
)

// server is a mail server on loopback. It refuses addresses that begin with
// "gone" for good, and those that begin with "later" for now.
type server struct {
	net.Listener
	mu   sync.Mutex
	mail []string
}

func serve(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *server) talk(c net.Conn) {
	defer c.Close()
	in := bufio.NewScanner(c)
	say := func(text string) { fmt.Fprint(c, text+"\r\n") }
	say("220 mail.example ready")
	var body strings.Builder
	data := false
	for in.Scan() {
		line := in.Text()
		verb := strings.ToUpper(line)
		switch {
		case data && line == ".":
			data = false
			s.mu.Lock()
			s.mail = append(s.mail, body.String())
			s.mu.Unlock()
			body.Reset()
			say("250 taken")
		case data:
			body.WriteString(line + "\n")
		case strings.HasPrefix(verb, "EHLO"), strings.HasPrefix(verb, "HELO"):
			say("250 mail.example")
		case strings.HasPrefix(verb, "RCPT TO:<GONE"):
			say("550 5.1.1 no such user gone@requester.example")
		case strings.HasPrefix(verb, "RCPT TO:<LATER"):
			say("451 4.3.0 try again")
		case verb == "DATA":
			data = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func write(m desk.Message) (string, string, error) {
	return "About your request\r\nBcc: everybody@elsewhere.example", "Dear " + m.To.Name + ",\n\nopen this:\nhttps://search.example/case/x\n", nil
}

func sender(t *testing.T, s *server, change func(*mail.Options)) *mail.Sender {
	t.Helper()
	o := &mail.Options{Host: "127.0.0.1", Port: s.Addr().(*net.TCPAddr).Port, Plain: true, From: "Example Search <privacy@search.example>", Write: write, Timeout: 5 * time.Second}
	if change != nil {
		change(o)
	}
	m, err := mail.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A letter arrives as text and as HTML, in which nothing of a person is markup or
// a header; sent again, it has the same Message-ID.
func TestNotify(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := sender(t, s, nil)
	msg := desk.Message{ID: 7, Case: takedown.CaseID{1}, Time: time.Unix(1e9, 0), To: desk.Recipient{Name: "<b>Some</b>", Email: "some@requester.example", Language: "th"}}
	for range 2 {
		if err := m.Notify(context.Background(), msg); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mail) != 2 {
		t.Fatalf("%d letters", len(s.mail))
	}
	id := "Message-ID: <7." + msg.Case.String() + "@search.example>"
	for _, got := range s.mail {
		head, _, _ := strings.Cut(got, "\n\n")
		for _, want := range []string{id, "Auto-Submitted: auto-generated", "To: <some@requester.example>", "Subject: About your request Bcc: everybody"} {
			if !strings.Contains(head, want) {
				t.Errorf("the head lacks %q:\n%s", want, head)
			}
		}
		if strings.Contains(head, "\nBcc:") || !strings.Contains(got, "&lt;b&gt;Some") || !strings.Contains(got, "text/html") {
			t.Errorf("the letter:\n%s", got)
		}
	}
}

// What the server refuses for good is told and not sent again, what it refuses
// for now is an error without the words of the server, and so is a server that is
// not there or does not answer.
func TestNotify_Refused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var bounced []int
	m := sender(t, s, func(o *mail.Options) { o.Bounced = func(_ desk.Message, code int) { bounced = append(bounced, code) } })
	to := func(email string) desk.Message { return desk.Message{To: desk.Recipient{Email: email}} }
	if err := m.Notify(context.Background(), to("gone@requester.example")); err != nil || len(bounced) != 1 || bounced[0] != 550 {
		t.Errorf("an address that does not exist: %v, bounced %v", err, bounced)
	}
	err := m.Notify(context.Background(), to("later@requester.example"))
	if err == nil || strings.Contains(err.Error(), "requester.example") {
		t.Errorf("for now: %v", err)
	}
	if err := m.Notify(context.Background(), desk.Message{}); !errors.Is(err, mail.ErrNoAddress) {
		t.Errorf("without an address: %v", err)
	}
	s.Close()
	if err := m.Notify(context.Background(), to("x@requester.example")); err == nil || strings.Contains(err.Error(), "requester.example") {
		t.Errorf("no server: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	m = sender(t, &server{Listener: silent}, func(o *mail.Options) { o.Timeout = 300 * time.Millisecond })
	if err := m.Notify(context.Background(), to("x@requester.example")); err == nil {
		t.Error("a server that does not answer took a letter")
	}
}

func TestNew_Options(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*mail.Options{
		"nothing": nil, "no host": {From: "a@b.example", Write: write}, "no writer": {Host: "h", From: "a@b.example"}, "no sender": {Host: "h", Write: write},
	} {
		if _, err := mail.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
