package texts_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/requesttest"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// The requests of the tests are those of package requesttest.
var (
	person   = requesttest.Person
	stated   = requesttest.Stated
	samples  = requesttest.Samples
	images   = requesttest.Images
	testJPEG = requesttest.JPEG
	optOut   = requesttest.OptOut
	notice   = requesttest.Notice
)

var (
	ctx        = context.Background()
	day0       = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC) // a Friday
	alice, bob = desk.Actor{By: "alice", Reason: "well_founded"}, desk.Actor{By: "bob", Reason: "well_founded"}
)

// office is a real desk with a clock and a letter box: the letters of the tests are
// those that a desk sends.
type office struct {
	*desk.Desk
	mu   sync.Mutex
	now  time.Time
	sent []desk.Message
	fail error            // of the Notifier
	only desk.MessageType // which fails
}

// newOffice opens a desk in a folder of its own; opts may change its options.
func newOffice(tb testing.TB, opts ...func(*desk.Options)) *office {
	tb.Helper()
	o := &office{now: day0}
	options := &desk.Options{
		Now: o.Now, Notifier: o, Policy: "policy-7", Reasons: []string{"satire", "overriding_grounds"}, TrustFaceVectors: true,
		FaceModels: []desk.FaceModel{{Name: requesttest.FaceModel, Dimensions: 128, Block: 0.8, Review: 0.6}},
	}
	for _, f := range opts {
		f(options)
	}
	d, err := desk.Open(tb.TempDir(), options)
	ok(tb, err)
	tb.Cleanup(func() { d.Close() })
	o.Desk = d
	return o
}

func (o *office) Notify(_ context.Context, m desk.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil && o.only == m.Type {
		return o.fail
	}
	o.sent = append(o.sent, m)
	return nil
}

// failing makes the Notifier fail for messages of a type.
func (o *office) failing(err error, only desk.MessageType) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail, o.only = err, only
}

// mail returns what was sent.
func (o *office) mail() []desk.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.sent)
}

// settle waits until nothing is left to send, except what the Notifier does not take.
func (o *office) settle() { _ = o.Desk.Notify(ctx) }

// forget drops what was sent.
func (o *office) forget() {
	o.settle()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = nil
}

// last returns the last message of a type.
func (o *office) last(t desk.MessageType) (m desk.Message) {
	o.settle()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range slices.Backward(o.sent) {
		if x.Type == t {
			return x
		}
	}
	return m
}

func (o *office) Now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) later(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

func (o *office) submit(tb testing.TB, r request.Request) desk.Case {
	tb.Helper()
	c, err := o.Submit(ctx, r)
	ok(tb, err)
	return c
}

func ok(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
