package bmpdec

import (
	"encoding/binary"
	"fmt"

	"github.com/staydown/staydown/internal/pngdec"
	"github.com/staydown/staydown/internal/raster"
)

// IsICO reports whether data begin as an icon or a cursor: a directory whose
// entries lie within the file.
func IsICO(data []byte) bool {
	le := binary.LittleEndian
	if len(data) < 6+16 || le.Uint16(data) != 0 || le.Uint16(data[2:]) != 1 && le.Uint16(data[2:]) != 2 {
		return false
	}
	n := int(le.Uint16(data[4:]))
	return n > 0 && le.Uint32(data[6+8:]) > 0 && int64(le.Uint32(data[6+12:])) >= 6+16*int64(n)
}

// OpenICO takes the largest picture of an icon or a cursor, which is the one that
// browsers show; of pictures of one size, the one of the most bits a pixel. One that
// cannot be decoded gives way to the next.
func OpenICO(data []byte) (*raster.File, error) {
	if !IsICO(data) {
		return nil, ErrHeader
	}
	le := binary.LittleEndian
	n := min(int(le.Uint16(data[4:])), (len(data)-6)/16)
	var best *raster.File
	var first error
	size, depth := -1, -1
	for i := range n {
		e := data[6+16*i:]
		w, h, d := int(e[0]), int(e[1]), int(le.Uint16(e[6:]))
		if w == 0 {
			w = 256
		}
		if h == 0 {
			h = 256
		}
		if w*h < size || w*h == size && d <= depth {
			continue
		}
		at := int64(le.Uint32(e[12:]))
		if at >= int64(len(data)) {
			first = firstOf(first, fmt.Errorf("%w: entry %d lies behind the end", ErrData, i))
			continue
		}
		f, err := openEntry(data[at:])
		if err != nil {
			first = firstOf(first, err)
			continue
		}
		best, size, depth = f, w*h, d
	}
	if best == nil {
		return nil, firstOf(first, ErrData)
	}
	return best, nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// openEntry takes one picture of an icon: a PNG, or a BMP without its file header,
// twice as high, because the AND mask follows.
func openEntry(data []byte) (*raster.File, error) {
	if len(data) >= len(pngdec.Signature) && string(data[:len(pngdec.Signature)]) == pngdec.Signature {
		return pngdec.Open(data)
	}
	if len(data) < 4 {
		return nil, ErrHeader
	}
	b, behind, err := read(data)
	if err != nil {
		return nil, err
	}
	if b.h /= 2; b.h == 0 {
		return nil, ErrHeader
	}
	b.data = data[min(behind, len(data)):]
	if b.depth == 32 && b.compression == rgb {
		b.opaque = false // in icons, alpha is respected
	}
	if b.compression == rgb || b.depth >= 16 {
		if n := int64(b.stride(b.depth)) * int64(b.h); n < int64(len(b.data)) {
			b.data, b.transparent = b.data[:n], b.data[n:]
		}
	}
	return b.file(), nil
}
