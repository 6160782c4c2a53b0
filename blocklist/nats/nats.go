// Package natsbell rings the bell of a feed over NATS, so that readers learn of
// an update within milliseconds.
//
//	nc, err := nats.Connect(servers)
//	err = natsbell.EnsureStream(ctx, nc, natsbell.Stream{Name: "LISTS", Subject: "lists.main", Replicas: 3})
//	p, err := feed.NewPublisher(ctx, list, store, &feed.PublisherOptions{
//		Bells: []feed.Bell{natsbell.NewBell(nc, "lists.main")}, …
//	})
//	f, err := feed.Follow(ctx, location, &feed.Options{
//		Listeners: []feed.Listener{natsbell.NewListener(nc, "lists.main")}, …
//	})
//
// The stream keeps the last notes, so that a reader that was disconnected for a
// moment gets those that it missed. It is optional, and losing it does no harm: the
// list is in the files of the feed, and readers request these too. Notes are signed
// and verified by the reader; NATS is not trusted.
//
// By default a NATS server acknowledges messages before they are on its disk, and a
// stream can lose or repeat messages after a power failure, also with sync_interval
// set to always. Neither matters here.
package natsbell

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/staydown/staydown/blocklist/feed"
)

// Bell publishes notes to a subject. It is safe for concurrent use.
type Bell struct {
	nc      *nats.Conn
	subject string
}

// NewBell returns a Bell that rings on a subject.
func NewBell(nc *nats.Conn, subject string) *Bell { return &Bell{nc, subject} }

// ringTimeout bounds how long a publisher waits for a server.
const ringTimeout = time.Second

// Ring implements feed.Bell. It returns when a server has the note. Streams that
// cover the subject store it.
func (b *Bell) Ring(ctx context.Context, n feed.Note) error {
	if !b.nc.IsConnected() {
		return fmt.Errorf("natsbell: %w", nats.ErrDisconnected) // nothing is kept for later
	}
	data, err := n.MarshalBinary()
	if err != nil {
		return err
	}
	m := nats.NewMsg(b.subject)
	m.Data = data
	// A stream takes a note once, also if the publisher was started again.
	m.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%d-%d-%s-%d", n.Position.Epoch, n.Position.Seq, hex.EncodeToString(n.Position.Digest[:16]), n.Written.Unix()))
	if err := b.nc.PublishMsg(m); err != nil {
		return fmt.Errorf("natsbell: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, ringTimeout)
	defer cancel()
	if err := b.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("natsbell: %w", err)
	}
	return nil
}

// Stream is the JetStream stream that keeps the last notes.
type Stream struct {
	Name    string
	Subject string
	// Replicas is the number of servers that store it; 0 means 1.
	Replicas int
}

// EnsureStream makes a stream for the notes of a subject, or changes an existing
// one. It keeps 256 notes, for an hour.
func EnsureStream(ctx context.Context, nc *nats.Conn, s Stream) error {
	js, err := jetstream.New(nc)
	if err == nil {
		_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: s.Name, Subjects: []string{s.Subject}, Replicas: cmp.Or(s.Replicas, 1),
			MaxMsgs: 256, MaxBytes: 256 * (feed.MaxNoteDelta + 32<<10), MaxAge: time.Hour, Discard: jetstream.DiscardOld,
		})
	}
	if err != nil {
		return fmt.Errorf("natsbell: %w", err)
	}
	return nil
}

// Listener receives notes from a subject, and from the stream that covers it those
// that it missed. It is for one reader.
type Listener struct {
	nc      *nats.Conn
	subject string
	last    atomic.Pointer[[sha256.Size]byte] // of the newest note that was passed on
}

// NewListener returns a Listener for a subject.
func NewListener(nc *nats.Conn, subject string) *Listener {
	return &Listener{nc: nc, subject: subject}
}

// Listen implements feed.Listener.
func (l *Listener) Listen(ctx context.Context, ring func(feed.Note)) error {
	pass := func(data []byte) {
		sum := sha256.Sum256(data)
		l.last.Store(&sum)
		var n feed.Note
		if n.UnmarshalBinary(data) == nil {
			ring(n)
		}
	}
	status := l.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer l.nc.RemoveStatusListener(status)
	sub, err := l.nc.Subscribe(l.subject, func(m *nats.Msg) { pass(m.Data) })
	if err != nil {
		return fmt.Errorf("natsbell: %w", err)
	}
	defer sub.Unsubscribe()
	for {
		// After the subscription, so that nothing falls between.
		if l.nc.IsConnected() {
			l.tail(ctx, pass)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, ok := <-status:
			if !ok || s == nats.CLOSED {
				return fmt.Errorf("natsbell: %w", nats.ErrConnectionClosed)
			}
		}
	}
}

// tailNotes is how many notes a reader takes from the stream at most. The files have
// the older ones.
const tailNotes = 64

// tail passes on what the stream has after the newest note that was passed on, the
// oldest first. Without a stream, or with another one than before, it does what it
// can: readers ignore old notes.
func (l *Listener) tail(ctx context.Context, pass func([]byte)) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	js, err := jetstream.New(l.nc)
	if err != nil {
		return
	}
	name, err := js.StreamNameBySubject(ctx, l.subject)
	if err != nil {
		return
	}
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return
	}
	last, state := l.last.Load(), stream.CachedInfo().State
	var missed [][]byte
	for k := range min(state.Msgs, tailNotes) {
		if state.LastSeq < state.FirstSeq+k {
			break
		}
		m, err := stream.GetMsg(ctx, state.LastSeq-k)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil || last != nil && sha256.Sum256(m.Data) == *last {
			break
		}
		missed = append(missed, m.Data)
	}
	for _, data := range slices.Backward(missed) {
		pass(data)
	}
}
