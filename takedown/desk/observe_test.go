package desk_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// watcher keeps what it observes.
type watcher struct {
	mu   sync.Mutex
	seen []blocklist.Observation
}

func (w *watcher) Observe(o blocklist.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, o)
}

func (w *watcher) count(op blocklist.Op) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.seen {
		if o.Op == op {
			n++
			err = errors.Join(err, o.Err)
		}
	}
	return n, err
}

// What the desk, its list and its enforcer do is observed; what fails in the
// background is not dropped; and neither observer nor log learns who is concerned.
func TestOptions_Observer(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	w := new(watcher)
	d := open(t, t.TempDir(), &desk.Options{
		Observer: w, Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Notifier: desk.NotifierFunc(func(context.Context, desk.Message) error {
			return errors.New("550 no mailbox for requester@example.org")
		}),
	})
	accept(t, d, optOut(t, 1), desk.Grant{})
	if err := d.Withdraw(ctx, takedown.CaseID{1}, alice); err == nil {
		t.Error("a case that does not exist was withdrawn")
	}
	for range 5000 {
		d.Enforcer().FilterURL("https://example.org/x.jpg")
	}
	for op, want := range map[blocklist.Op]int{desk.OpSubmit: 1, desk.OpMove: 2, blocklist.OpAppend: 1} {
		if n, _ := w.count(op); n != want {
			t.Errorf("%s was observed %d times, want %d", op, n, want)
		}
	}
	if n, _ := w.count(takedown.OpFilter); n < 1 || n > 40 {
		t.Errorf("%d of 5,000 queries were sampled", n)
	}
	for range 500 { // the sender is a goroutine of its own
		if n, _ := w.count(desk.OpNotify); n > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	ok(t, d.Close())
	if n, err := w.count(desk.OpNotify); n == 0 || !errors.Is(err, desk.ErrNotTaken) {
		t.Errorf("messages that were not taken: %d, %v", n, err)
	}
	if _, err := w.count(desk.OpMove); !errors.Is(err, desk.ErrNoCase) {
		t.Errorf("a failed move: %v", err)
	}
	if s := text.String(); strings.Contains(s, "example.org") || !strings.Contains(s, "level=ERROR") || !strings.Contains(s, "desk notify") {
		t.Errorf("the log:\n%s", s)
	}

}
