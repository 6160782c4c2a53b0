package avif

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	_ "github.com/gen2brain/avif"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/staydown/staydown/phash"
)

// The module of gen2brain/avif: libavif with libaom, which decodes. Its own calls
// take many times the memory, because every growth copies, and have no bound.
//
//go:linkname decodeWasm github.com/gen2brain/avif.decodeWasm
var decodeWasm []byte

// What a picture takes in the sandbox: of 15 files 29 to 33.7 bytes a pixel.
const (
	perPixel    = 34
	startMemory = 6 << 20
)

var errDecode = errors.New("avif: the picture cannot be decoded; it is damaged, or too large")

type sandbox struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// compiled is the module, compiled once.
var compiled = sync.OnceValues(func() (s sandbox, err error) {
	r, err := gzip.NewReader(bytes.NewReader(decodeWasm))
	if err != nil {
		return s, err
	}
	code, err := io.ReadAll(r)
	if err != nil {
		return s, err
	}
	ctx := context.Background()
	s.runtime = wazero.NewRuntime(ctx)
	if s.module, err = s.runtime.CompileModule(ctx, code); err != nil {
		return s, err
	}
	_, err = wasi_snapshot_preview1.Instantiate(ctx, s.runtime)
	return s, err
})

// memory is that of one call. It begins with what the picture will take, so that
// growing copies nothing.
type memory struct {
	bytes []byte
	limit int64
}

func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(m.limit) {
		return nil
	}
	if size > uint64(cap(m.bytes)) {
		grown := make([]byte, size, min(uint64(m.limit), size+size/2))
		copy(grown, m.bytes)
		m.bytes = grown
	}
	m.bytes = m.bytes[:size]
	return m.bytes
}

func (m *memory) Free() { m.bytes = nil }

// decoded is what the module returns for a file. pixels are those of its frames, or of
// the first, and are good until close.
type decoded struct {
	width, height int
	deep          bool // 16 bits a channel, little-endian
	count         int  // frames of the file
	pixels        [][]byte
	durations     []time.Duration
	close         func()
}

// frameBytes is the size of the pixels of a frame.
func (d *decoded) frameBytes() int {
	n := 4 * d.width * d.height
	if d.deep {
		n *= 2
	}
	return n
}

// call decodes a file: the first frame, or all. pixels is what memory is taken for at
// first.
func (l limits) call(data []byte, pixels, maxPixels int64, all bool) (d *decoded, err error) {
	s, err := compiled()
	if err != nil {
		return nil, fmt.Errorf("avif: %w: %w", phash.ErrUnsupported, err)
	}
	m := &memory{make([]byte, 0, min(l.memory, startMemory+perPixel*pixels+int64(len(data)))), l.memory}
	ctx := experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(
		func(_, _ uint64) experimental.LinearMemory { return m }))
	module, err := s.runtime.InstantiateModule(ctx, s.module, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, fmt.Errorf("avif: %w", err)
	}
	d = &decoded{close: func() { module.Close(ctx) }}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	alloc, decode := module.ExportedFunction("malloc"), module.ExportedFunction("decode")
	if alloc == nil || decode == nil {
		return d, fmt.Errorf("avif: another module: %w", phash.ErrUnsupported)
	}
	take := func(n int) (uint32, error) {
		r, err := alloc.Call(ctx, uint64(n))
		if err != nil || r[0] == 0 {
			return 0, errDecode
		}
		return uint32(r[0]), nil
	}
	in, err := take(len(data))
	if err != nil {
		return d, err
	}
	module.Memory().Write(in, data)
	// Width, height, depth and number of frames.
	head, err := take(16)
	if err != nil {
		return d, err
	}
	run := func(config, all, durations, out uint64) error {
		h := uint64(head)
		r, err := decode.Call(ctx, uint64(in), uint64(len(data)), config, all, h, h+4, h+8, h+12, durations, out)
		if err != nil || r[0] == 0 {
			return errDecode
		}
		return nil
	}
	if err := run(1, 0, 0, 0); err != nil {
		return d, err
	}
	field := func(i uint32) int {
		v, _ := module.Memory().ReadUint32Le(head + 4*i)
		return int(min(v, math.MaxInt32))
	}
	d.width, d.height, d.deep, d.count = field(0), field(1), field(2) > 8, max(1, field(3))
	if d.width <= 0 || d.height <= 0 || int64(d.width) > maxPixels/int64(d.height) {
		return d, fmt.Errorf("avif: %d × %d pixels where %d are allowed: %w", d.width, d.height, maxPixels, phash.ErrTooLarge)
	}
	frames, flag := 1, uint64(0)
	if all {
		frames, flag = d.count, 1
	}
	if int64(frames) > l.memory/int64(d.frameBytes()) {
		return d, fmt.Errorf("avif: %d frames of %d × %d pixels: %w", frames, d.width, d.height, phash.ErrTooLarge)
	}
	out, err := take(frames * d.frameBytes())
	if err != nil {
		return d, fmt.Errorf("avif: %w", phash.ErrTooLarge)
	}
	times, err := take(8 * frames)
	if err != nil {
		return d, err
	}
	if err := run(0, flag, uint64(times), uint64(out)); err != nil {
		return d, err
	}
	for i := range frames {
		p, ok := module.Memory().Read(out+uint32(i*d.frameBytes()), uint32(d.frameBytes()))
		seconds, _ := module.Memory().ReadFloat64Le(times + uint32(8*i))
		if !ok {
			return d, errDecode
		}
		d.pixels = append(d.pixels, p)
		d.durations = append(d.durations, time.Duration(max(0, min(seconds, 1e6))*float64(time.Second)))
	}
	return d, nil
}

// picture copies one frame, of which the upper 8 bits are kept.
func (d *decoded) picture(frame int, p *properties) (image.Image, error) {
	m := image.NewNRGBA(image.Rect(0, 0, d.width, d.height))
	src, step, high := d.pixels[frame], 1, 0
	if d.deep {
		step, high = 2, 1
	}
	any := false
	for i := 0; i < len(m.Pix); i += 4 {
		s := src[i*step:][:4*step]
		r, g, b, a := s[high], s[step+high], s[2*step+high], s[3*step+high]
		// Where the AV1 data are damaged there can be memory that nobody wrote to.
		// What is written is opaque, or multiplied by alpha and not all zero.
		if !p.alpha && a != 0xff || !p.premultiplied && max(r, g, b) > a {
			return nil, errDecode
		}
		any = any || a != 0
		switch a {
		case 0:
		case 0xff:
			*(*[4]byte)(m.Pix[i:]) = [4]byte{r, g, b, a}
		default:
			*(*[4]byte)(m.Pix[i:]) = [4]byte{straight(r, a), straight(g, a), straight(b, a), a}
		}
	}
	if !any {
		return nil, errDecode
	}
	return p.turn(m), nil
}

// straight returns a colour that is not multiplied by alpha. In files with
// premultiplied colours these can exceed alpha, because they are compressed apart;
// what exceeds it is cut off, as browsers do.
func straight(c, a byte) byte { return byte(min(255, (int(c)*255+int(a)/2)/int(a))) }
