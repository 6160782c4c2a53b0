package main

import (
	"context"
	"image"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
)

// A crash of the model costs one picture: the next one has a new process. Several
// pictures are embedded at once.
func TestPool(t *testing.T) {
	t.Parallel()
	var started atomic.Int64
	pool := newPool(2, func(ctx context.Context) (*Embedder, error) {
		what := "faces"
		if started.Add(1) == 1 {
			what = "an end"
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), envChild+"="+what), io.Discard
		return start(ctx, cmd)
	})
	picture := image.NewGray(image.Rect(0, 0, 10, 5))
	if found, err := pool.EmbedFaces(t.Context(), picture); err == nil {
		t.Errorf("a process that ends answered %v", found)
	}
	var wait sync.WaitGroup
	for range 12 {
		wait.Go(func() {
			if found, err := pool.EmbedFaces(t.Context(), picture); err != nil || len(found) != 1 {
				t.Errorf("after the crash: %v, %v", found, err)
			}
		})
	}
	wait.Wait()
	if n := started.Load(); n < 2 || n > 3 {
		t.Errorf("%d processes were started", n)
	}
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	if _, err := pool.EmbedFaces(t.Context(), picture); err == nil {
		t.Error("a closed pool answers")
	}
}
