package segment_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/internal/segment"
)

var (
	errVersion = errors.New("version")
	errCorrupt = errors.New("corrupt")
	format     = segment.Format{Name: "test: segment", Magic: "sdTESTS\n", Version: 2, Header: 16, ErrVersion: errVersion, ErrCorrupt: errCorrupt}
)

func TestFormat_Check(t *testing.T) {
	t.Parallel()
	good := make([]byte, 24)
	format.Put(good)
	tests := []struct {
		name   string
		change func([]byte) []byte
		want   error
		text   string
	}{
		{"whole", func(b []byte) []byte { return b }, nil, ""},
		{"an older version", func(b []byte) []byte { b[8] = 1; return b }, nil, ""},
		{"a newer version", func(b []byte) []byte { b[8] = 3; return b }, errVersion, "test: segment: version 3, this package knows up to 2: version"},
		{"a much newer version", func(b []byte) []byte { b[9] = 1; return b }, errVersion, "test: segment: version 258, this package knows up to 2: version"},
		{"version 0", func(b []byte) []byte { b[8] = 0; return b }, errCorrupt, "test: segment: version 0 at byte 8: corrupt"},
		{"cut", func(b []byte) []byte { return b[:15] }, errCorrupt, "test: segment: 15 bytes where the header alone has 16: corrupt"},
		{"something else", func(b []byte) []byte { b[0] = 'x'; return b }, errCorrupt, `test: segment: begins with "xdTESTS\n", not with "sdTESTS\n": corrupt`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := format.Check(tt.change(slices.Clone(good)))
			if !errors.Is(err, tt.want) || err != nil && err.Error() != tt.text {
				t.Errorf("%v, want %q", err, tt.text)
			}
		})
	}
	if err := format.CheckSize(good, 24, 24); err != nil {
		t.Errorf("the size that it says: %v", err)
	}
	for _, c := range [][2]int64{{24, 16}, {16, 24}, {32, 32}} {
		if err := format.CheckSize(good, uint64(c[0]), c[1]); !errors.Is(err, errCorrupt) {
			t.Errorf("size %d said, %d counted, 24 there: %v, want corrupt", c[0], c[1], err)
		}
	}
}

func TestCarver(t *testing.T) {
	t.Parallel()
	b := make([]byte, 16+8+16)
	for i := range b {
		b[i] = byte(i)
	}
	c := format.Carve(b)
	got := [][]byte{c.Next(3), c.Next(0), c.Next(16)}
	want := [][]byte{{16, 17, 18}, nil, {24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if cap(got[0]) != 3 {
		t.Error("an array can be appended to, over the next one")
	}
	for n, want := range map[int64]int64{0: 0, 1: 8, 7: 8, 8: 8, 9: 16} {
		if got := segment.Pad(n); got != want {
			t.Errorf("Pad(%d) = %d, want %d", n, got, want)
		}
	}
	if !segment.IsZero(nil) || !segment.IsZero(make([]byte, 9)) || segment.IsZero([]byte{0, 1}) {
		t.Error("IsZero is wrong")
	}
}
