package features

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

const (
	// fullInk and compactInk are the greatest numbers of pixels of the fine
	// picture in a full and in a compact set. 61,440 pixels are 208 × 294 of a
	// sheet of paper: fine enough for the words of two letters to differ.
	// fullBlocks and compactBlocks bound its blocks.
	fullInk, compactInk       = 131_072, 61_440
	fullBlocks, compactBlocks = 2_200, 1_000
	// inkBlock is the side of the blocks in which the fine picture is kept.
	// A block without ink takes one byte, any other inkSize.
	inkBlock = 8
	inkSize  = 2 + inkBlock*inkBlock/4
	inkHead  = 4
	// plainRange is the greatest difference of grey levels in a block that is
	// kept as its mean.
	plainRange = 12
)

// The greatest lengths of a fine picture.
const (
	maxFullInk    = inkHead + (fullBlocks+7)/8 + inkSize*fullBlocks
	maxCompactInk = inkHead + (compactBlocks+7)/8 + inkSize*compactBlocks
)

// inkFit returns the size of the fine picture of a picture of w × h.
func inkFit(w, h, area, blocks int) (iw, ih int) {
	for {
		iw, ih = lumaSize(w, h, area)
		if inkBlocks(iw, ih) <= blocks {
			return iw, ih
		}
		area -= area / 16
	}
}

// inkBlocks returns the number of blocks of a fine picture of w × h.
func inkBlocks(w, h int) int {
	return ((w + inkBlock - 1) / inkBlock) * ((h + inkBlock - 1) / inkBlock)
}

// inkEnd returns the length of the fine picture that begins at b, once its
// header is within its limits.
func inkEnd(b []byte, compact bool) (int, error) {
	if len(b) < inkHead {
		return 0, fmt.Errorf("features: the fine picture is cut: %w", ErrFormat)
	}
	w, h := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	limit := fullBlocks
	if compact {
		limit = compactBlocks
	}
	if w < inkBlock || h < inkBlock || inkBlocks(w, h) > limit {
		return 0, fmt.Errorf("features: fine picture of %d × %d, allowed are sides from %d and %d blocks: %w", w, h, inkBlock, limit, ErrFormat)
	}
	n := inkBlocks(w, h)
	mask := (n + 7) / 8
	if len(b) < inkHead+mask {
		return 0, fmt.Errorf("features: the fine picture is cut: %w", ErrFormat)
	}
	inked := 0
	for _, m := range b[inkHead : inkHead+mask] {
		inked += bits.OnesCount8(m)
	}
	if inked > n || n%8 != 0 && b[inkHead+mask-1]>>(n%8) != 0 {
		return 0, fmt.Errorf("features: the fine picture has blocks beyond its last: %w", ErrFormat)
	}
	return inkHead + mask + (n - inked) + inkSize*inked, nil
}

// HasInk reports whether f has a fine picture.
func (f Features) HasInk() bool { return f.b != nil && f.b[3]&flagInk != 0 }

// inkBytes returns the encoded fine picture of f.
func (f Features) inkBytes() []byte {
	return f.b[headerSize+f.Len()*f.pointBytes()+f.lumaBytes():]
}

// ink unpacks the fine picture of f into buf.
func (f Features) ink(buf []uint8) (gray, []uint8) {
	b := f.inkBytes()
	w, h := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	if cap(buf) < w*h {
		buf = make([]uint8, w*h)
	}
	buf = buf[:w*h]
	n := inkBlocks(w, h)
	mask := b[inkHead:]
	b = b[inkHead+(n+7)/8:]
	i := 0
	for y := 0; y < h; y += inkBlock {
		for x := 0; x < w; x += inkBlock {
			inked := mask[i>>3]>>(i&7)&1 != 0
			i++
			var level [4]uint8
			if inked {
				lo, hi := int(b[0]), int(b[1])
				for k := range level {
					level[k] = uint8((lo*(3-k) + hi*k + 1) / 3)
				}
			} else {
				level[0] = b[0]
			}
			for v := range min(inkBlock, h-y) {
				for u := range min(inkBlock, w-x) {
					k := 0
					if inked {
						k = int(b[2+v*2+u>>2]>>(u&3*2)) & 3
					}
					buf[(y+v)*w+x+u] = level[k]
				}
			}
			if inked {
				b = b[inkSize:]
			} else {
				b = b[1:]
			}
		}
	}
	return gray{w, h, w, buf}, buf
}

// appendInk appends the fine picture g.
func appendInk(b []byte, g gray) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(g.w))
	b = binary.LittleEndian.AppendUint16(b, uint16(g.h))
	mask := len(b)
	b = append(b, make([]byte, (inkBlocks(g.w, g.h)+7)/8)...)
	i := 0
	for y := 0; y < g.h; y += inkBlock {
		for x := 0; x < g.w; x += inkBlock {
			lo, hi, sum, n := 255, 0, 0, 0
			for v := range min(inkBlock, g.h-y) {
				for _, p := range g.pix[(y+v)*g.stride+x:][:min(inkBlock, g.w-x)] {
					lo, hi, sum, n = min(lo, int(p)), max(hi, int(p)), sum+int(p), n+1
				}
			}
			k := i
			i++
			if hi-lo <= plainRange {
				b = append(b, uint8((sum+n/2)/n))
				continue
			}
			b[mask+k>>3] |= 1 << (k & 7)
			b = append(b, uint8(lo), uint8(hi))
			at := len(b)
			b = append(b, make([]byte, inkSize-2)...)
			for v := range min(inkBlock, g.h-y) {
				for u, p := range g.pix[(y+v)*g.stride+x:][:min(inkBlock, g.w-x)] {
					q := (2*3*(int(p)-lo) + hi - lo) / (2 * (hi - lo))
					b[at+v*2+u>>2] |= uint8(q) << (u & 3 * 2)
				}
			}
		}
	}
	return b
}

// finePicture returns g reduced to the fine picture of a picture whose working size is
// w × h. It is good until the next call.
func (e *extractor) finePicture(g gray, w, h int) gray {
	w, h = inkFit(w, h, fullInk, fullBlocks)
	e.fine = e.appendThumbnail(e.fine[:0], g, w, h)
	return gray{w, h, w, e.fine}
}
