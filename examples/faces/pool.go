package main

import (
	"context"
	"errors"
	"image"
	"sync"

	"github.com/staydown/staydown/takedown"
)

// Pool is several model processes. A process that broke is started anew for the next
// picture, so that one picture that crashes the model costs one answer and no more.
type Pool struct {
	start   func(context.Context) (*Embedder, error)
	workers chan *Embedder // nil for a process that has to be started
	closed  chan struct{}
	once    sync.Once
}

// newPool makes a pool of at most that many processes, which start when they are needed.
func newPool(processes int, start func(context.Context) (*Embedder, error)) *Pool {
	p := &Pool{start: start, workers: make(chan *Embedder, processes), closed: make(chan struct{})}
	for range processes {
		p.workers <- nil
	}
	return p
}

// EmbedFaces implements takedown.FaceEmbedder.
func (p *Pool) EmbedFaces(ctx context.Context, picture image.Image) (found []takedown.FoundFace, err error) {
	var e *Embedder
	select {
	case e = <-p.workers:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, errors.New("the pool is closed")
	}
	defer func() { p.workers <- e }()
	if e == nil {
		if e, err = p.start(ctx); err != nil {
			e = nil
			return nil, err
		}
	}
	found, err = e.EmbedFaces(ctx, picture)
	if err != nil && e.isBroken() {
		err = errors.Join(err, e.Close())
		e = nil
	}
	return found, err
}

// Close ends all processes, each when it has answered.
func (p *Pool) Close() (err error) {
	p.once.Do(func() {
		close(p.closed)
		for range cap(p.workers) {
			if e := <-p.workers; e != nil {
				err = errors.Join(err, e.Close())
			}
		}
	})
	return err
}
