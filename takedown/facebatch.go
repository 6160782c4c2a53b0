package takedown

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"time"
)

// FaceBatcher makes a model that is fast with several pictures at once, as on a GPU,
// a [FaceEmbedder]. It collects the pictures of concurrent calls into batches.
type FaceBatcher struct {
	// Embed returns the faces of each picture, in the order of the pictures. An error
	// is that of all pictures of the batch. One batch is embedded at a time.
	Embed func(ctx context.Context, pictures []image.Image) ([][]FoundFace, error)
	// Size is the largest number of pictures in a batch; 0 means 16. Wait is how long a
	// picture waits for others; 0 means 5 ms.
	Size int
	Wait time.Duration

	mu      sync.Mutex
	waiting []*batched
	running sync.Mutex
}

// batched is a picture that waits for its batch.
type batched struct {
	ctx     context.Context
	picture image.Image
	found   []FoundFace
	err     error
	done    chan struct{}
}

// EmbedFaces implements [FaceEmbedder].
func (b *FaceBatcher) EmbedFaces(ctx context.Context, picture image.Image) ([]FoundFace, error) {
	if b.Embed == nil {
		return nil, errors.New("takedown: FaceBatcher has no Embed")
	}
	size, wait := b.Size, b.Wait
	if size <= 0 {
		size = 16
	}
	if wait <= 0 {
		wait = 5 * time.Millisecond
	}
	p := &batched{ctx: ctx, picture: picture, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, p)
	first, full := len(b.waiting) == 1, len(b.waiting) >= size
	var batch []*batched
	if full {
		batch, b.waiting = b.waiting, nil
	}
	b.mu.Unlock()
	switch {
	case full:
		go b.run(batch)
	case first:
		time.AfterFunc(wait, func() { b.run(b.take(p)) })
	}
	select {
	case <-p.done:
		return p.found, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// take takes the pictures that wait, if the first of them is still among them.
func (b *FaceBatcher) take(first *batched) (batch []*batched) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 && b.waiting[0] == first {
		batch, b.waiting = b.waiting, nil
	}
	return batch
}

// run embeds a batch, without the pictures whose callers have gone.
func (b *FaceBatcher) run(batch []*batched) {
	b.running.Lock()
	defer b.running.Unlock()
	var live []*batched
	var pictures []image.Image
	for _, p := range batch {
		if p.err = p.ctx.Err(); p.err != nil {
			close(p.done)
			continue
		}
		live, pictures = append(live, p), append(pictures, p.picture)
	}
	if len(live) == 0 {
		return
	}
	// The batch goes on as long as one of its callers waits.
	ctx, cancel := context.WithCancel(context.WithoutCancel(live[0].ctx))
	defer cancel()
	go func() {
		for _, p := range live {
			select {
			case <-p.ctx.Done():
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	found, err := b.embed(ctx, pictures)
	if err == nil && len(found) != len(pictures) {
		err = fmt.Errorf("takedown: FaceBatcher: faces of %d pictures for %d", len(found), len(pictures))
	}
	for i, p := range live {
		if p.err = err; err == nil {
			p.found = found[i]
		}
		close(p.done)
	}
}

// embed calls Embed. A panic is an error: it is not in the goroutine of a caller.
func (b *FaceBatcher) embed(ctx context.Context, pictures []image.Image) (found [][]FoundFace, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("takedown: FaceBatcher: it panicked: %v", r)
		}
	}()
	return b.Embed(ctx, pictures)
}
