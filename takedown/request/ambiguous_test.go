package request

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"testing"

	"github.com/staydown/staydown/phash"
)

// profileOf is a colour profile of RGB with the luminances of its colours, in 1/65536,
// and one gamma, in 1/256; 0 is linear.
func profileOf(red, green, blue uint32, gamma uint16) []byte {
	be := binary.BigEndian
	p := make([]byte, 132)
	copy(p[16:], "RGB XYZ ")
	be.PutUint32(p[128:], 6)
	at := uint32(132 + 6*12)
	var bodies []byte
	tag := func(name string, body []byte) {
		p = be.AppendUint32(be.AppendUint32(append(p, name...), at), uint32(len(body)))
		at += uint32(len(body))
		bodies = append(bodies, body...)
	}
	for i, y := range []uint32{red, green, blue} {
		xyz := append([]byte("XYZ "), make([]byte, 16)...)
		be.PutUint32(xyz[12:], y)
		tag(string("rgb"[i])+"XYZ", xyz)
		curve := append([]byte("curv"), 0, 0, 0, 0, 0, 0, 0, 0)
		if gamma > 0 {
			curve[11] = 1
			curve = be.AppendUint16(curve, gamma)
		}
		tag(string("rgb"[i])+"TRC", curve)
	}
	return append(p, bodies...)
}

func chunkOf(name string, data []byte) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), name...)
	return append(append(b, data...), 0, 0, 0, 0)
}

func TestAmbiguous(t *testing.T) {
	t.Parallel()
	usual, swapped := profileOf(14580, 46983, 3971, 563), profileOf(46983, 14580, 3971, 563)
	linear, steep := profileOf(14580, 46983, 3971, 0), profileOf(14580, 46983, 3971, 1024)
	jpeg := func(profile []byte) []byte {
		body := append([]byte("ICC_PROFILE\x00\x01\x01"), profile...)
		b := append([]byte{0xff, 0xd8, 0xff, 0xe2}, binary.BigEndian.AppendUint16(nil, uint16(len(body)+2))...)
		return append(append(b, body...), 0xff, 0xda)
	}
	webp := func(profile []byte) []byte {
		b := append([]byte("RIFF....WEBPICCP"), binary.LittleEndian.AppendUint32(nil, uint32(len(profile)))...)
		return append(b, profile...)
	}
	png := func(chunks ...[]byte) []byte {
		return append(append([]byte("\x89PNG\r\n\x1a\n"), bytes.Join(chunks, nil)...), chunkOf("IDAT", nil)...)
	}
	packed := func(profile []byte) []byte {
		var b bytes.Buffer
		b.WriteString("name\x00\x00")
		z := zlib.NewWriter(&b)
		z.Write(profile)
		z.Close()
		return chunkOf("iCCP", b.Bytes())
	}
	gamma := func(v uint32) []byte { return chunkOf("gAMA", binary.BigEndian.AppendUint32(nil, v)) }
	for _, tt := range []struct {
		name   string
		file   []byte
		format phash.Format
		want   bool
	}{
		{"no profile", []byte{0xff, 0xd8, 0xff, 0xda}, phash.FormatJPEG, false},
		{"usual", jpeg(usual), phash.FormatJPEG, false},
		{"swapped", jpeg(swapped), phash.FormatJPEG, true},
		{"linear", jpeg(linear), phash.FormatJPEG, true},
		{"steep", webp(steep), phash.FormatWebP, true},
		{"usual", webp(usual), phash.FormatWebP, false},
		{"usual", png(packed(usual)), phash.FormatPNG, false},
		{"swapped", png(packed(swapped)), phash.FormatPNG, true},
		{"gamma 2.2", png(gamma(45455)), phash.FormatPNG, false},
		{"gamma 1", png(gamma(100000)), phash.FormatPNG, true},
		{"gamma 1, but sRGB", png(gamma(100000), chunkOf("sRGB", []byte{0})), phash.FormatPNG, false},
		{"animation", png(chunkOf("acTL", make([]byte, 8)), chunkOf("fcTL", make([]byte, 26))), phash.FormatPNG, false},
		{"hidden still", png(chunkOf("acTL", make([]byte, 8))), phash.FormatPNG, true},
		{"several icons", []byte{0, 0, 1, 0, 2, 0}, phash.FormatICO, true},
		{"one icon", []byte{0, 0, 1, 0, 1, 0}, phash.FormatICO, false},
		{"drawing", []byte("<svg/>"), phash.FormatSVG, true},
	} {
		if got := ambiguous(tt.file, tt.format); got != tt.want {
			t.Errorf("%v, %s: %t", tt.format, tt.name, got)
		}
		for n := range tt.file { // nothing panics
			ambiguous(tt.file[:n], tt.format)
		}
	}
}

func FuzzAmbiguous(f *testing.F) {
	f.Add(profileOf(14580, 46983, 3971, 563))
	f.Add([]byte("\xff\xd8\xff\xe2\x00\x10ICC_PROFILE\x00\x01\x01"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		oddProfile(b)
		for format := phash.FormatUnknown; format <= phash.FormatSVG; format++ {
			ambiguous(b, format)
		}
	})
}
