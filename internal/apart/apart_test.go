package apart_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/staydown/staydown/internal/apart"
)

var errTest = errors.New("test")

func contexts(t *testing.T) map[string]context.Context {
	ending, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return map[string]context.Context{"never ends": context.Background(), "may end": ending}
}

func TestEach(t *testing.T) {
	t.Parallel()
	for name, ctx := range contexts(t) {
		for _, end := range []error{nil, errTest} {
			var got []int
			ended := make(chan struct{}, 1)
			err := apart.Each(ctx, func() { ended <- struct{}{} }, func(yield func(int) bool) error {
				for i := range 4 {
					if !yield(i) {
						t.Errorf("%s: stopped at %d", name, i)
					}
				}
				return end
			}, func(i int) error {
				got = append(got, i)
				return nil
			})
			if err != end || !slices.Equal(got, []int{0, 1, 2, 3}) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			<-ended
		}
		// The taker ends it.
		stopped := make(chan bool, 1)
		err := apart.Each(ctx, nil, func(yield func(int) bool) error {
			yield(1)
			stopped <- !yield(2)
			return nil
		}, func(int) error { return errTest })
		if err != errTest || !<-stopped {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The caller returns when the context ends; the work ends later, and only then is
// its slot free.
func TestRun_Context(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	running, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		<-running
		cancel()
	}()
	err := apart.Run(ctx, func() { close(ended) }, func() error {
		close(running)
		<-goOn
		return errTest
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	select {
	case <-ended:
		t.Error("the work has ended before it could")
	default:
	}
	close(goOn)
	<-ended
}

func TestRun_Panic(t *testing.T) {
	t.Parallel()
	for name, ctx := range contexts(t) {
		func() {
			defer func() {
				if r := recover(); r != "oh" {
					t.Errorf("%s: recovered %v", name, r)
				}
			}()
			err := apart.Run(ctx, nil, func() error { panic("oh") })
			t.Errorf("%s: no panic, %v", name, err)
		}()
	}
}
