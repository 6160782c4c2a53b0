package features

import (
	"encoding/binary"
	"image"
	"sync"
)

// extractor holds the memory of one extraction.
type extractor struct {
	work
	luma []uint8
	fine []uint8 // the fine picture
	src  plane
	pyr  pyramid
	det  detector
	keys []keypoint
	desc []descriptor
}

var extractors = sync.Pool{New: func() any { return new(extractor) }}

// points fills e.keys and e.desc with at most limit described points of img.
func (e *extractor) points(img image.Image, limit int) (gray, error) {
	b := img.Bounds()
	ww, wh, ok := workSize(b.Dx(), b.Dy())
	if !ok {
		return gray{}, &SizeError{b.Dx(), b.Dy()}
	}
	var g gray
	g, e.luma = grayOf(img, e.luma)
	e.src.reset(ww, wh)
	e.resize(g, &e.src)
	e.pyr.build(&e.src)
	e.det.find(&e.pyr, limit)
	e.keys, e.desc = e.keys[:0], e.desc[:0]
	for i := range e.det.pts {
		p := &e.det.pts[i]
		l := &e.pyr.levels[p.level]
		cx, cy := p.x*16+8+p.fx, p.y*16+8+p.fy
		a := orientation(l, p.x, p.y)
		e.keys = append(e.keys, keypoint{
			x:     uint16(cx * 2 * ww / l.w),
			y:     uint16(cy * 2 * wh / l.h),
			scale: uint8(max(p.level*16+p.fs, 0)),
			angle: a,
		})
		e.desc = append(e.desc, describe(l, cx, cy, a))
	}
	return g, nil
}

func (e *extractor) extract(img image.Image) (Features, error) {
	g, err := e.points(img, MaxPoints)
	if err != nil {
		return Features{}, err
	}
	n := len(e.keys)
	lw, lh := lumaSize(e.src.w, e.src.h, fullLuma)
	b := make([]byte, headerSize, headerSize+n*(descSize+pointSize)+lw*lh)
	b[0], b[1], b[2] = 'S', 'F', version
	for i, v := range []int{e.src.w, e.src.h, n, lw, lh} {
		binary.LittleEndian.PutUint16(b[4+2*i:], uint16(v))
	}
	for i := range e.desc {
		for _, w := range e.desc[i] {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
	}
	for i := range e.keys {
		k := &e.keys[i]
		b = binary.LittleEndian.AppendUint16(b, k.x)
		b = binary.LittleEndian.AppendUint16(b, k.y)
		b = append(b, k.scale, k.angle)
	}
	b = e.appendThumbnail(b, g, lw, lh)
	ink := e.finePicture(g, e.src.w, e.src.h)
	if s := surveyOf(ink); s.inked() {
		b[3] |= flagInk
		if s.plain() {
			b[3] |= flagPlain | byte(s.Look())<<lookShift
		}
		b = appendInk(b, ink)
	}
	return Features{b}, nil
}
