// Package apart runs work that cannot be interrupted at any moment, so that its
// caller returns as soon as a context ends. The work then goes on by itself until it
// looks at the context, or ends.
package apart

import (
	"context"
	"fmt"
)

// Run calls work. If ctx ends first, Run returns the error of ctx, and work goes on:
// it must write to nothing that the caller reads after an error. end, unless nil, is
// called when work has ended. A context that never ends costs no goroutine. A panic of
// work is one of the caller, unless the caller has returned.
func Run(ctx context.Context, end func(), work func() error) error {
	return Each(ctx, end, func(func(struct{}) bool) error { return work() }, nil)
}

// Each is Run for work that yields values. The caller's goroutine takes them. If take
// returns an error, yield returns false, and Each returns that error.
func Each[T any](ctx context.Context, end func(), work func(yield func(T) bool) error, take func(T) error) (err error) {
	if ctx.Done() == nil {
		if end != nil {
			defer end()
		}
		var refused error
		err = work(func(v T) bool {
			refused = take(v)
			return refused == nil
		})
		if refused != nil {
			return refused
		}
		return err
	}
	type outcome struct {
		err    error
		panics any
	}
	values, stop, done := make(chan T), make(chan struct{}), make(chan outcome, 1)
	defer close(stop)
	go func() {
		var o outcome
		defer func() {
			o.panics = recover()
			if end != nil {
				end()
			}
			done <- o
		}()
		o.err = work(func(v T) bool {
			select {
			case values <- v:
				return true
			case <-stop:
				return false
			}
		})
	}()
	for {
		select {
		case v := <-values:
			if err := take(v); err != nil {
				return err
			}
		case o := <-done:
			if o.panics != nil {
				panic(fmt.Sprint(o.panics))
			}
			return o.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
