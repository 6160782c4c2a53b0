package request

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"math"

	"github.com/staydown/staydown/phash"
)

// ambiguous reports whether viewers may show another picture of a file than the one
// that is hashed: by a colour profile that changes what is bright and what is dark, by
// a still picture that hides behind an animation, or because the file has several
// pictures, or a drawing. Hashes are of the colours as the file has them.
func ambiguous(file []byte, format phash.Format) bool {
	switch format {
	case phash.FormatJPEG:
		return oddProfile(jpegProfile(file))
	case phash.FormatPNG:
		return ambiguousPNG(file)
	case phash.FormatWebP:
		return oddProfile(webpProfile(file))
	case phash.FormatICO:
		return len(file) > 5 && binary.LittleEndian.Uint16(file[4:]) > 1
	case phash.FormatSVG:
		return true
	}
	return false
}

// jpegProfile returns the colour profile in the segments of a JPEG.
func jpegProfile(file []byte) (profile []byte) {
	for b := file[min(2, len(file)):]; len(b) >= 4 && b[0] == 0xff && b[1] != 0xda; {
		n := int(binary.BigEndian.Uint16(b[2:])) + 2
		if n < 4 || n > len(b) {
			break
		}
		const name = "ICC_PROFILE\x00"
		if body := b[4:n]; b[1] == 0xe2 && len(body) > len(name)+2 && string(body[:len(name)]) == name {
			profile = append(profile, body[len(name)+2:]...)
		}
		b = b[n:]
	}
	return profile
}

func webpProfile(file []byte) []byte {
	for b := file[min(12, len(file)):]; len(b) >= 8; {
		n := int(binary.LittleEndian.Uint32(b[4:]))
		if n < 0 || n > len(b)-8 {
			return nil
		}
		if string(b[:4]) == "ICCP" {
			return b[8 : 8+n]
		}
		b = b[min(len(b), 8+n+n&1):]
	}
	return nil
}

// maxProfile bounds a profile that is compressed.
const maxProfile = 4 << 20

func ambiguousPNG(file []byte) bool {
	var gamma uint32
	animated, controlled, profiled := false, false, false
	for b := file[min(8, len(file)):]; len(b) >= 12; {
		n := int(binary.BigEndian.Uint32(b))
		if n < 0 || n > len(b)-12 {
			break
		}
		data := b[8 : 8+n]
		switch string(b[4:8]) {
		case "acTL":
			animated = true
		case "fcTL":
			controlled = true
		case "sRGB":
			profiled = true
		case "gAMA":
			if n == 4 {
				gamma = binary.BigEndian.Uint32(data)
			}
		case "iCCP":
			profiled = true
			if _, packed, ok := bytes.Cut(data, []byte{0}); ok && len(packed) > 1 {
				if z, err := zlib.NewReader(bytes.NewReader(packed[1:])); err == nil {
					profile, _ := io.ReadAll(io.LimitReader(z, maxProfile))
					if oddProfile(profile) {
						return true
					}
				}
			}
		case "IDAT":
			const least, most = 35000, 60000 // 1/2.8 to 1/1.7, in 1/100000
			return animated && !controlled || !profiled && gamma != 0 && (gamma < least || gamma > most)
		}
		b = b[12+n:]
	}
	return false
}

// oddProfile reports whether a colour profile of RGB or grey changes the brightness of
// colours much: channels change places, or the middle is much brighter or darker than
// in usual profiles. Usual ones move the PDQ hash by few bits.
func oddProfile(p []byte) bool {
	if len(p) < 132 {
		return false
	}
	tags := map[string][]byte{}
	count := min(int(binary.BigEndian.Uint32(p[128:])), (len(p)-132)/12, 100)
	for i := range count {
		e := p[132+12*i:]
		from, n := uint64(binary.BigEndian.Uint32(e[4:])), uint64(binary.BigEndian.Uint32(e[8:]))
		if from+n <= uint64(len(p)) {
			tags[string(e[:4])] = p[from : from+n]
		}
	}
	switch string(p[16:20]) {
	case "GRAY":
		return oddCurve(tags["kTRC"])
	case "RGB ":
	default:
		return false
	}
	for _, c := range []struct {
		colour, curve string
		least, most   float64 // of the luminance
	}{{"rXYZ", "rTRC", 0.1, 0.45}, {"gXYZ", "gTRC", 0.5, 0.85}, {"bXYZ", "bTRC", 0, 0.25}} {
		xyz := tags[c.colour]
		if len(xyz) < 16 { // tables alone
			return true
		}
		if y := fixed(xyz[12:]); y < c.least-0.01 || y > c.most || oddCurve(tags[c.curve]) {
			return true
		}
	}
	return false
}

// fixed is a number of the profile: 16 bits before the point and 16 behind.
func fixed(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / 65536 }

// oddCurve reports whether a curve makes the middle of its range much brighter or
// darker than a gamma of 1.4 to 3.
func oddCurve(b []byte) bool {
	if len(b) < 12 {
		return false
	}
	middle := 0.5
	switch n := int(binary.BigEndian.Uint32(b[8:])); {
	case string(b[:4]) == "para":
		if len(b) < 16 {
			return false
		}
		x := 0.5
		if b[9] > 0 && len(b) >= 24 { // with a factor and an offset
			x = fixed(b[16:])*x + fixed(b[20:])
		}
		middle = math.Pow(max(0, x), fixed(b[12:]))
	case n == 1 && len(b) >= 14:
		middle = math.Pow(0.5, float64(binary.BigEndian.Uint16(b[12:]))/256)
	case n > 1 && len(b) >= 12+2*n:
		middle = float64(binary.BigEndian.Uint16(b[12+2*(n/2):])) / 65535
	}
	return middle < math.Pow(0.5, 3) || middle > math.Pow(0.5, 1.4)
}
