package pngdec_test

import (
	"bytes"
	"encoding/binary"
	"image/color"
	"testing"
	"time"

	"github.com/staydown/staydown/internal/pngdec"
)

var gray8 = variety{kind: 0, depth: 8, w: 4, h: 4}

func flat(w, h int, value byte) []byte {
	var rows []byte
	for range h {
		rows = append(append(rows, 0), bytes.Repeat([]byte{value}, w)...)
	}
	return deflate(rows)
}

func fctl(seq, w, h, x, y int, delay uint16, dispose, blend byte) []byte {
	var b []byte
	for _, v := range []int{seq, w, h, x, y} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	b = binary.BigEndian.AppendUint16(b, delay)
	b = binary.BigEndian.AppendUint16(b, 1000)
	return append(b, dispose, blend)
}

// animated returns an APNG: white in IDAT, then a full frame of 50, then one of 2 ×
// 2 pixels of 90 at 1,1. hidden: what is in IDAT is not part of the animation.
func animated(hidden bool) []byte {
	b := appendChunk([]byte(pngdec.Signature), "IHDR", ihdr(gray8))
	b = appendChunk(b, "acTL", []byte{0, 0, 0, 3, 0, 0, 0, 0})
	if !hidden {
		b = appendChunk(b, "fcTL", fctl(0, 4, 4, 0, 0, 10, 0, 0))
	}
	b = appendChunk(b, "IDAT", flat(4, 4, 255))
	n := byte(1)
	if hidden {
		n = 0
	}
	b = appendChunk(b, "fcTL", fctl(int(n), 4, 4, 0, 0, 20, 0, 0))
	b = appendChunk(b, "fdAT", append([]byte{0, 0, 0, n + 1}, flat(4, 4, 50)...))
	b = appendChunk(b, "fcTL", fctl(int(n)+2, 2, 2, 1, 1, 30, 0, 1))
	b = appendChunk(b, "fdAT", append([]byte{0, 0, 0, n + 3}, flat(2, 2, 90)...))
	return appendChunk(b, "IEND", nil)
}

func TestAnimation(t *testing.T) {
	t.Parallel()
	without := animated(true)
	i := bytes.Index(without, []byte("acTL"))
	without = append(bytes.Clone(without[:i-4]), without[i+16:]...)
	tests := []struct {
		name    string
		data    []byte
		corner  []byte // of each frame
		middle  []byte
		delays  []time.Duration
		indices []int
	}{
		{"with its still", animated(false), []byte{255, 50, 50}, []byte{255, 50, 90},
			[]time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond}, []int{0, 1, 2}},
		{"without its still", animated(true), []byte{50, 50}, []byte{50, 90},
			[]time.Duration{20 * time.Millisecond, 30 * time.Millisecond}, []int{0, 1}},
		{"out of order: the still, too", bytes.Replace(animated(true), []byte("fdAT\x00\x00\x00\x01"), []byte("fdAT\x00\x00\x00\x09"), 1),
			[]byte{255, 50, 50}, []byte{255, 50, 90}, []time.Duration{0, 20 * time.Millisecond, 30 * time.Millisecond}, []int{0, 1, 2}},
		{"without acTL", without, []byte{255}, []byte{255}, []time.Duration{0}, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, left, err := play(t, tt.data, plenty)
			if err != nil || left != 0 || len(list) != len(tt.corner) {
				t.Fatalf("%d frames, %d left out, %v; want %d", len(list), left, err, len(tt.corner))
			}
			for i, s := range list {
				c, m := eight(s.Image.At(0, 0)), eight(s.Image.At(1, 1))
				if g := tt.corner[i]; c != (color.NRGBA{g, g, g, 255}) || m.R != tt.middle[i] || s.Delay != tt.delays[i] || s.Index != tt.indices[i] {
					t.Errorf("frame %d: %v, %v, %v, index %d", i, c, m, s.Delay, s.Index)
				}
			}
		})
	}
}
