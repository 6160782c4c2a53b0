// Package raster is what the tolerant decoders share: a bound on work, pixels
// that arrive in any order and are kept at full size or reduced, and frames that
// are composed as viewers show them.
package raster

import (
	"context"
	"errors"
)

// Fault says what was wrong with a file that gave pixels nevertheless. The
// values are those of phash.DamageReason, and greater ones are graver.
type Fault uint8

const (
	Sound     Fault = iota
	Structure       // a rule of the format is broken, no pixel is missing
	Cut             // the data end before the picture does
	Data            // the data are wrong
	Budget          // the limit of work was reached
)

// ErrBudget means that the limit of work was reached.
var ErrBudget = errors.New("raster: limit of work reached")

// Work bounds the work on one file and carries its context. One unit is about
// the work of inflating and unfiltering one byte of a PNG: a nanosecond.
type Work struct {
	ctx   context.Context
	left  int64
	check int64 // the context is asked when left is below this
}

// checkEvery is how many units pass between two looks at the context: far below
// 50 ms.
const checkEvery = 4 << 20

// NewWork returns a bound of n units.
func NewWork(ctx context.Context, n int64) *Work {
	return &Work{ctx: ctx, left: n, check: n - checkEvery}
}

// Spend takes n units. It returns ErrBudget when none are left, and the error of
// the context when that is done. Both are final: the caller stops.
func (w *Work) Spend(n int64) error {
	w.left -= n
	if w.left < w.check {
		w.check = w.left - checkEvery
		if err := w.ctx.Err(); err != nil {
			return err
		}
	}
	if w.left < 0 {
		return ErrBudget
	}
	return nil
}

// Left returns how many units are left; it is not negative.
func (w *Work) Left() int64 { return max(0, w.left) }

// Context returns the context.
func (w *Work) Context() context.Context { return w.ctx }

// Stopped turns an error of Spend into what a decoder returns: the fault Budget,
// or the error of the context.
func Stopped(err error) (Fault, error) {
	if errors.Is(err, ErrBudget) {
		return Budget, nil
	}
	return Budget, err
}
