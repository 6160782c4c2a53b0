package main

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

// family is a kind of files with parameters. The first two of each are the number of
// pixels, in thousands, and the proportion, in percent; limits are those of all.
type family struct {
	limits [][2]int
	make   func(p []int) []byte
}

func (f *family) draw(r *rand.Rand) (p []int) {
	for _, l := range f.limits {
		p = append(p, l[0]+r.IntN(l[1]-l[0]+1))
	}
	return p
}

// near changes one or two parameters.
func (f *family) near(r *rand.Rand, p []int) []int {
	q := append([]int(nil), p...)
	for range 1 + r.IntN(2) {
		i := r.IntN(len(q))
		l := f.limits[i]
		if q[i] = l[0] + r.IntN(l[1]-l[0]+1); r.IntN(2) == 0 {
			q[i] = min(l[1], max(l[0], p[i]+(l[1]-l[0])*(r.IntN(41)-20)/100))
		}
	}
	return q
}

var (
	pixels = [2]int{100, 50_000}
	shape  = [2]int{20, 500}
	fill   = [2]int{0, 3}
)

var families = map[string]*family{
	"png":        {[][2]int{pixels, shape, {0, 9}, {0, 1}, {0, 4}, fill}, pngFile},
	"apng":       {[][2]int{{10, 20_000}, shape, {0, 9}, {2, 200}, {0, 2}, fill}, apngFile},
	"gif":        {[][2]int{{10, 50_000}, shape, {1, 300}, {0, 3}, fill}, gifFile},
	"webp-empty": {[][2]int{pixels, shape, {0, 1}}, webpEmpty},
	"webp-lossy": {[][2]int{{100, 30_000}, shape, {1, 60}, fill}, program("cwebp", "webp", func(q int) []string { return []string{"-quiet", "-m", "0", "-q", fmt.Sprint(q)} })},
	"jpeg":       {[][2]int{pixels, shape, {1, 4}, {1, 100}, {0, 2}}, progressive},
	"jpeg-flat":  {[][2]int{pixels, shape, {1, 100}, fill}, baseline},
	"bmp":        {[][2]int{pixels, shape}, bmpFile},
	"svg":        {[][2]int{{10, 50_000}, shape, {0, 9}, {1, 40}, fill}, svgFile},
	"avif":       {[][2]int{{100, 50_000}, shape, {1, 60}, fill}, program("avifenc", "avif", func(q int) []string { return []string{"-s", "10", "--min", fmt.Sprint(q), "--max", "63"} })},
}

func size(p []int) (w, h int) {
	n := float64(p[0]) * 1000
	w = 1
	for float64(w)*float64(w)*100 < n*float64(p[1]) {
		w += 1 + w/100
	}
	return min(w, 16383), max(1, min(16383, int(n)/w))
}

// filled is a row of bytes: empty, of one value, of a slope, or of noise that repeats.
func filled(row []byte, how, y int) {
	for i := range row {
		switch how {
		case 0:
			row[i] = 0
		case 1:
			row[i] = byte(i / 64)
		case 2:
			row[i] = byte(uint32(i%251*7+y%13) * 2654435761 >> 24)
		default:
			row[i] = byte(i*y>>8) & 0xf8
		}
	}
}

type kind struct{ colour, depth, channels byte }

var kinds = []kind{{0, 1, 1}, {0, 8, 1}, {0, 16, 1}, {2, 8, 3}, {2, 16, 3}, {3, 8, 1}, {4, 8, 2}, {4, 16, 2}, {6, 8, 4}, {6, 16, 4}}

// stream is the zlib stream of a picture, interlaced perhaps.
func stream(w, h int, k kind, interlaced bool, filter byte, how int) []byte {
	var b bytes.Buffer
	z, _ := zlib.NewWriterLevel(&b, zlib.BestSpeed)
	passes := [][4]int{{0, 0, 1, 1}}
	if interlaced {
		passes = [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
	}
	for _, p := range passes {
		pw, ph := (w-p[0]+p[2]-1)/p[2], (h-p[1]+p[3]-1)/p[3]
		if pw <= 0 || ph <= 0 {
			continue
		}
		row := make([]byte, 1+(pw*int(k.depth)*int(k.channels)+7)/8)
		for y := range ph {
			filled(row[1:], how, y)
			row[0] = filter
			z.Write(row)
			if b.Len() > 1<<20 {
				return nil
			}
		}
	}
	z.Close()
	return b.Bytes()
}

func chunk(b []byte, name string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	from := len(b)
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[from:]))
}

func words(list ...int) (b []byte) {
	for _, v := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}

func pngHead(w, h int, k kind, interlaced byte) []byte {
	b := chunk([]byte("\x89PNG\r\n\x1a\n"), "IHDR", append(words(w, h), k.depth, k.colour, 0, 0, interlaced))
	if k.colour == 3 {
		colours := make([]byte, 768)
		for i := range colours {
			colours[i] = byte(i)
		}
		b = chunk(b, "PLTE", colours)
		b = chunk(b, "tRNS", []byte{100, 0, 255})
	}
	return b
}

func pngFile(p []int) []byte {
	w, h := size(p)
	k := kinds[p[2]]
	data := stream(w, h, k, p[3] == 1, byte(p[4]), p[5])
	if data == nil {
		return nil
	}
	return chunk(chunk(pngHead(w, h, k, byte(p[3])), "IDAT", data), "IEND", nil)
}

func apngFile(p []int) []byte {
	w, h := size(p)
	k := kinds[p[2]]
	b := chunk(pngHead(w, h, k, 0), "acTL", words(p[3], 0))
	seq := 0
	for i := range p[3] {
		data := stream(w, h, k, false, byte(i%5), (p[5]+i)%4)
		if data == nil || len(b)+len(data) > 1<<20 {
			return nil
		}
		b = chunk(b, "fcTL", append(words(seq, w, h, 0, 0), 0, 1, 0, 10, byte(p[4]), byte(i&1)))
		seq++
		if i == 0 {
			b = chunk(b, "IDAT", data)
			continue
		}
		b = chunk(b, "fdAT", append(words(seq), data...))
		seq++
	}
	return chunk(b, "IEND", nil)
}

func gifFile(p []int) []byte {
	w, h := size(p)
	b := append([]byte("GIF89a"), byte(w), byte(w>>8), byte(h), byte(h>>8), 0xf7, 0, 0)
	for i := range 256 {
		b = append(b, byte(i), byte(i*3), byte(i*5))
	}
	row := make([]byte, w)
	for i := range p[2] {
		b = append(b, 0x21, 0xf9, 4, byte(p[3]<<2|i&1), 10, 0, byte(i), 0)
		b = append(b, 0x2c, 0, 0, 0, 0, byte(w), byte(w>>8), byte(h), byte(h>>8), byte(i&1)<<6, 8)
		var data bytes.Buffer
		z := lzw.NewWriter(&data, lzw.LSB, 8)
		for y := range h {
			filled(row, (p[4]+i)%4, y+i)
			z.Write(row)
			if data.Len()+len(b) > 1<<20 {
				return nil
			}
		}
		z.Close()
		for d := data.Bytes(); len(d) > 0; {
			n := min(255, len(d))
			b = append(append(b, byte(n)), d[:n]...)
			d = d[n:]
		}
		b = append(b, 0)
	}
	return append(b, 0x3b)
}

// webpEmpty is a lossless picture of one colour: a header, and codes of no bits.
func webpEmpty(p []int) []byte {
	w, h := size(p)
	bits := uint64(0x2f) | uint64(w-1)<<8 | uint64(h-1)<<22
	data := binary.LittleEndian.AppendUint64(nil, bits)[:5]
	// No transforms, no cache, no further codes; five codes of one symbol.
	rest := []byte{}
	var acc, n uint
	put := func(v, count uint) {
		acc |= v << n
		for n += count; n >= 8; n -= 8 {
			rest = append(rest, byte(acc))
			acc >>= 8
		}
	}
	if p[2] == 1 { // subtract green
		put(1, 1)
		put(2, 2)
	}
	put(0, 1)
	put(0, 1)
	put(0, 1)
	for range 5 {
		put(1, 1) // simple
		put(0, 1) // one symbol
		put(0, 1) // of one bit
		put(1, 1)
	}
	put(0, 8)
	data = append(data, rest...)
	if len(data)%2 == 1 {
		data = append(data, 0)
	}
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(len(data)+12))...)
	b = append(b, "WEBPVP8L"...)
	return append(append(b, binary.LittleEndian.AppendUint32(nil, uint32(len(data)))...), data...)
}

// progressive is a JPEG of many scans that say little: runs of empty blocks.
func progressive(p []int) []byte {
	w, h := size(p)
	components, scans, model := p[2], p[3], p[4]
	if components == 2 {
		components = 3
	}
	marker := func(b []byte, m byte, body ...byte) []byte {
		return append(append(b, 0xff, m, byte((len(body)+2)>>8), byte(len(body)+2)), body...)
	}
	b := []byte{0xff, 0xd8}
	b = marker(b, 0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)
	if components == 4 || model == 1 {
		b = marker(b, 0xee, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0)
	}
	frame := []byte{8, byte(h >> 8), byte(h), byte(w >> 8), byte(w), byte(components)}
	for c := range components {
		sampling := byte(0x11)
		if model == 2 && c == 0 {
			sampling = 0x22
		}
		frame = append(frame, byte(c+1), sampling, 0)
	}
	b = marker(b, 0xc2, frame...)
	// One code of one bit: no difference, or a run of 2^14 blocks and more.
	b = marker(b, 0xc4, append(append([]byte{0x00, 1}, make([]byte, 15)...), 0)...)
	b = marker(b, 0xc4, append(append([]byte{0x10, 1}, make([]byte, 15)...), 0xe0)...)
	blocks := (w + 15) / 16 * ((h + 15) / 16) * 4
	for c := range components {
		b = marker(b, 0xda, 1, byte(c+1), 0, 0, 0, 0)
		b = append(b, make([]byte, blocks/8+8)...)
		if len(b) > 1<<20 {
			return nil
		}
	}
	run := []byte{}
	for n := 0; n < blocks; n += 32767 {
		run = append(run, 0x3f, 0xfe) // 0, then 14 ones, in 15 bits, and one bit that is a new run's
	}
	for s := range scans {
		b = marker(b, 0xda, 1, byte(1+s%components), 0, 1, 63, 0)
		if b = append(b, run...); len(b) > 1<<20 {
			return nil
		}
	}
	return append(b, 0xff, 0xd9)
}

// baseline is a large JPEG of little content.
func baseline(p []int) []byte {
	w, h := size(p)
	m := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		filled(m.Pix[y*m.Stride:][:w], p[3], y)
	}
	var b bytes.Buffer
	if jpeg.Encode(&b, m, &jpeg.Options{Quality: p[2]}) != nil {
		return nil
	}
	return b.Bytes()
}

// bmpFile has run lengths of 255 pixels.
func bmpFile(p []int) []byte {
	w, h := size(p)
	b := append([]byte("BM"), make([]byte, 52)...)
	le := binary.LittleEndian
	le.PutUint32(b[10:], 54+1024)
	le.PutUint32(b[14:], 40)
	le.PutUint32(b[18:], uint32(w))
	le.PutUint32(b[22:], uint32(h))
	le.PutUint16(b[26:], 1)
	le.PutUint16(b[28:], 8)
	le.PutUint32(b[30:], 1)
	for i := range 256 {
		b = append(b, byte(i), byte(i), byte(255-i), 0)
	}
	for y := range h {
		for x := 0; x < w; x += 255 {
			b = append(b, byte(min(255, w-x)), byte(x>>4+y))
		}
		if b = append(b, 0, 0); len(b) > 1<<20 {
			return nil
		}
	}
	return append(b, 0, 1)
}

// svgFile embeds pictures.
func svgFile(p []int) []byte {
	w, h := size(p)
	b := []byte(`<svg xmlns="http://www.w3.org/2000/svg">`)
	for i := range p[3] {
		k := kinds[(p[2]+i)%len(kinds)]
		data := stream(w, h, k, false, 0, p[4])
		if data == nil {
			return nil
		}
		file := chunk(chunk(pngHead(w, h, k, 0), "IDAT", data), "IEND", nil)
		if b = fmt.Appendf(b, `<image href="data:image/png;base64,%s"/>`, base64.StdEncoding.EncodeToString(file)); len(b) > 1<<20 {
			return nil
		}
	}
	return append(b, "</svg>"...)
}

// program makes files with an encoder of the machine.
func program(name, extension string, args func(quality int) []string) func(p []int) []byte {
	return func(p []int) []byte {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil
		}
		dir, err := os.MkdirTemp("", "worst-")
		if err != nil {
			return nil
		}
		defer os.RemoveAll(dir)
		w, h := size(p)
		in, out := filepath.Join(dir, "in.png"), filepath.Join(dir, "out."+extension)
		k := kind{2, 8, 3}
		data := stream(w, h, k, false, 0, p[3])
		if data == nil || os.WriteFile(in, chunk(chunk(pngHead(w, h, k, 0), "IDAT", data), "IEND", nil), 0o600) != nil {
			return nil
		}
		a := append(args(p[2]), in)
		if name == "cwebp" {
			a = append(a, "-o")
		}
		if exec.Command(path, append(a, out)...).Run() != nil {
			return nil
		}
		file, _ := os.ReadFile(out)
		return file
	}
}
