package takedown_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staydown/staydown/takedown"
)

// A match of a service with ids is as similar to the face of its id as the service
// answered, and to no other.
func TestFaceMatcher(t *testing.T) {
	t.Parallel()
	var answer []takedown.FaceMatch
	m := &takedown.FaceMatcher{Model: "service@6", Match: func(context.Context, image.Image) ([]takedown.FaceMatch, error) { return answer, nil }}
	own, err := m.Face("id-7")
	ok(t, err)
	again, err := m.Face("id-7")
	ok(t, err)
	if !own.Equal(again) || own.Model() != "service@6" {
		t.Errorf("%v, %v", own, again)
	}
	for s := 0.0; s <= 1; s += 0.05 {
		answer = []takedown.FaceMatch{{ID: "id-7", Similarity: s, Box: image.Rect(1, 2, 3, 4)}}
		found, err := m.EmbedFaces(t.Context(), image.NewGray(image.Rect(0, 0, 9, 9)))
		ok(t, err)
		if len(found) != 1 || found[0].Box != answer[0].Box {
			t.Fatalf("%v", found)
		}
		if got, comparable := own.Similarity(found[0].Face); !comparable || math.Abs(got-s) > 0.01 {
			t.Errorf("similarity %.3f, the service answered %.3f", got, s)
		}
	}
	most := 0.0
	for i := range 2000 {
		f, err := m.Face(fmt.Sprint("other-", i))
		ok(t, err)
		s, _ := f.Similarity(own)
		most = max(most, math.Abs(s))
	}
	if most > 0.35 {
		t.Errorf("two ids are similar by %v", most)
	}
	for _, bad := range []takedown.FaceMatch{{Similarity: 0.5}, {ID: "a", Similarity: 1.1}, {ID: "a", Similarity: math.NaN()}} {
		answer = []takedown.FaceMatch{bad}
		if _, err := m.EmbedFaces(t.Context(), nil); !errors.Is(err, takedown.ErrFace) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := new(takedown.FaceMatcher).EmbedFaces(t.Context(), nil); err == nil {
		t.Error("no service")
	}
}

// Pictures of concurrent calls go to the model together, and each caller gets the
// faces of its own picture.
func TestFaceBatcher(t *testing.T) {
	t.Parallel()
	var batches, most atomic.Int64
	b := &takedown.FaceBatcher{Size: 8, Wait: 20 * time.Millisecond, Embed: func(_ context.Context, pictures []image.Image) ([][]takedown.FoundFace, error) {
		batches.Add(1)
		most.Store(max(most.Load(), int64(len(pictures))))
		found := make([][]takedown.FoundFace, len(pictures))
		for i, m := range pictures {
			found[i] = []takedown.FoundFace{{Box: m.Bounds()}}
		}
		return found, nil
	}}
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			m := image.NewGray(image.Rect(0, 0, i+1, 1))
			found, err := b.EmbedFaces(t.Context(), m)
			if err != nil || len(found) != 1 || found[0].Box != m.Bounds() {
				t.Errorf("picture %d: %v, %v", i, found, err)
			}
		})
	}
	wait.Wait()
	if batches.Load() >= 50 || most.Load() > 8 || most.Load() < 2 {
		t.Errorf("%d batches, the largest of %d", batches.Load(), most.Load())
	}
}

func TestFaceBatcher_Failures(t *testing.T) {
	t.Parallel()
	m := image.NewGray(image.Rect(0, 0, 1, 1))
	broken := errors.New("no GPU")
	for name, embed := range map[string]func(context.Context, []image.Image) ([][]takedown.FoundFace, error){
		"an error":        func(context.Context, []image.Image) ([][]takedown.FoundFace, error) { return nil, broken },
		"a panic":         func(context.Context, []image.Image) ([][]takedown.FoundFace, error) { panic("out of memory") },
		"too few":         func(context.Context, []image.Image) ([][]takedown.FoundFace, error) { return nil, nil },
		"no Embed at all": nil,
	} {
		b := &takedown.FaceBatcher{Embed: embed, Wait: time.Microsecond}
		if _, err := b.EmbedFaces(t.Context(), m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// A caller that has gone does not wait, and the model is told when all have gone.
	told := make(chan struct{})
	b := &takedown.FaceBatcher{Wait: time.Microsecond, Embed: func(ctx context.Context, _ []image.Image) ([][]takedown.FoundFace, error) {
		<-ctx.Done()
		close(told)
		return nil, ctx.Err()
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.EmbedFaces(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	<-told
}
