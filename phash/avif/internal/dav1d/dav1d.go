// Package dav1d decodes AV1 with dav1d, the decoder of browsers, as WebAssembly:
// without cgo, and where a fault of the decoder cannot reach the memory of the
// process. The module is built from the released source by wasm/build.sh; COPYING is
// the licence of that source.
package dav1d

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

//go:embed dav1d.wasm.gz
var packed []byte

// ErrDamaged is the error for data that the decoder does not decode. ErrMemory is the
// error for a picture that takes more memory than is allowed.
var (
	ErrDamaged = errors.New("dav1d: the data are damaged")
	ErrMemory  = errors.New("dav1d: the picture takes too much memory")
)

type sandbox struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// compiled is the module, compiled once, which takes about a second.
var compiled = sync.OnceValues(func() (s sandbox, err error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
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

// memory is that of one decoder. It begins with what the picture will take, so that
// growing seldom copies.
type memory struct {
	bytes   []byte
	limit   int64
	refused bool
}

func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(m.limit) {
		m.refused = true
		return nil
	}
	if size > uint64(cap(m.bytes)) {
		grown := make([]byte, size, min(uint64(m.limit), size+size/4))
		copy(grown, m.bytes)
		m.bytes = grown
	}
	m.bytes = m.bytes[:size]
	return m.bytes
}

func (m *memory) Free() { m.bytes = nil }

// Options are those of a decoder.
type Options struct {
	Memory         int64  // in bytes, at most
	Expected       int64  // memory in bytes to begin with
	MaxPixels      uint32 // of a picture
	OperatingPoint int
	AllLayers      bool // give the pictures of all spatial layers
	Plain          bool // without filters and film grain, which takes less time
}

// Decoder decodes a sequence of data. It is not safe for concurrent use.
type Decoder struct {
	ctx          context.Context
	module       api.Module
	memory       *memory
	buffer, next api.Function
	found        uint32
}

// Open returns a decoder, which must be closed.
func Open(o Options) (*Decoder, error) {
	s, err := compiled()
	if err != nil {
		return nil, fmt.Errorf("dav1d: %w", err)
	}
	m := &memory{make([]byte, 0, max(0, min(o.Memory, o.Expected))), o.Memory, false}
	d := &Decoder{memory: m}
	d.ctx = experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(
		func(_, _ uint64) experimental.LinearMemory { return m }))
	d.module, err = s.runtime.InstantiateModule(d.ctx, s.module, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if m.refused {
		return nil, ErrMemory
	}
	if err != nil {
		return nil, fmt.Errorf("dav1d: %w", err)
	}
	d.buffer, d.next = d.module.ExportedFunction("buffer"), d.module.ExportedFunction("next")
	flag := func(b bool) uint64 {
		if b {
			return 1
		}
		return 0
	}
	if _, err = d.call(d.module.ExportedFunction("open"), uint64(o.MaxPixels), uint64(uint32(o.OperatingPoint)), flag(o.AllLayers), flag(o.Plain)); err == nil {
		d.found, err = d.call(d.module.ExportedFunction("found"))
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Close frees the memory.
func (d *Decoder) Close() { d.module.Close(d.ctx) }

// call calls a function. A trap is an error, after which the decoder is of no use.
func (d *Decoder) call(f api.Function, args ...uint64) (uint32, error) {
	r, err := f.Call(d.ctx, args...)
	switch {
	case d.memory.refused:
		return 0, ErrMemory
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	case len(r) == 0:
		return 0, nil
	}
	return uint32(r[0]), nil
}

// Send gives data to the decoder: a temporal unit. The pictures in them are returned
// by Next.
func (d *Decoder) Send(data []byte) error {
	if len(data) == 0 {
		return ErrDamaged
	}
	at, err := d.call(d.buffer, uint64(len(data)))
	if err != nil {
		return err
	}
	if at == 0 || !d.module.Memory().Write(at, data) {
		return ErrMemory
	}
	return nil
}

// Plane is a plane of a picture: of 8 bits, or 16 bits little-endian.
type Plane struct {
	Pix           []byte
	Stride        int // in bytes
	Width, Height int
}

// Layouts of a picture, as AV1 numbers them.
const (
	Gray = iota
	Half420
	Half422
	Full444
)

// Picture is a decoded picture. Its planes are good until the next call.
type Picture struct {
	Width, Height int
	Bits          int // of a sample: 8, 10 or 12
	Layout        int
	Planes        []Plane // luma, and chroma unless it is gray
	Primaries     int
	Matrix        int // as in ITU-T H.273
	FullRange     bool
	Layer         int // spatial
	Rows          int // that were decoded; below them the data are damaged
}

// Next returns the next picture, or nil if the decoder wants more data.
func (d *Decoder) Next() (*Picture, error) {
	r, err := d.call(d.next)
	if err != nil {
		return nil, err
	}
	if r == 0 {
		return nil, nil
	}
	if int32(r) < 0 {
		return nil, ErrDamaged
	}
	field := func(i uint32) int {
		v, _ := d.module.Memory().ReadUint32Le(d.found + 4*i)
		return int(int32(v))
	}
	p := &Picture{
		Width: field(0), Height: field(1), Bits: field(2), Layout: field(3),
		Primaries: field(9), Matrix: field(11), FullRange: field(12) != 0, Layer: field(13), Rows: field(14),
	}
	if p.Rows < 0 || p.Rows > p.Height {
		p.Rows = p.Height
	}
	for i := range 3 {
		pl := Plane{Width: p.Width, Height: p.Height, Stride: field(4)}
		if i > 0 {
			if p.Layout == Gray {
				break
			}
			pl.Stride = field(5)
			if p.Layout != Full444 {
				pl.Width = (pl.Width + 1) / 2
			}
			if p.Layout == Half420 {
				pl.Height = (pl.Height + 1) / 2
			}
		}
		sample := 1
		if p.Bits > 8 {
			sample = 2
		}
		if pl.Width <= 0 || pl.Height <= 0 || pl.Stride < pl.Width*sample {
			return nil, ErrDamaged
		}
		var ok bool
		if pl.Pix, ok = d.module.Memory().Read(uint32(field(6+uint32(i))), uint32(pl.Stride*(pl.Height-1)+pl.Width*sample)); !ok {
			return nil, ErrDamaged
		}
		p.Planes = append(p.Planes, pl)
	}
	return p, nil
}
