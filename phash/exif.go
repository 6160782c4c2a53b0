package phash

import (
	"bytes"
	"encoding/binary"
)

// jpegSegments calls f for each marker segment of a JPEG up to its end, with
// what follows the length. Whatever lies between segments is skipped: the data of
// scans, and junk, as the decoder skips it.
func jpegSegments(data []byte, f func(marker byte, body []byte)) {
	for pos := 2; pos+2 <= len(data); {
		i := bytes.IndexByte(data[pos:], 0xff)
		if i < 0 || pos+i+2 > len(data) {
			return
		}
		pos += i
		marker := data[pos+1]
		switch {
		case marker == 0xff: // a fill byte
			pos++
			continue
		case marker <= 0x01 || 0xd0 <= marker && marker <= 0xd8: // no length
			pos += 2
			continue
		case marker == 0xd9:
			return
		case pos+4 > len(data):
			return
		}
		n := int(binary.BigEndian.Uint16(data[pos+2:]))
		body := data[pos+4:]
		f(marker, body[:max(0, min(len(body), n-2))])
		pos += 2 + max(2, n)
	}
}

// exifOrientation reads the tag Orientation in the first directory of a TIFF
// structure. Anything absent or out of order means 1: as stored.
func exifOrientation(tiff []byte) uint8 {
	const (
		tagOrientation = 0x0112
		typeShort      = 3
	)
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 1
	}
	n := int(order.Uint16(tiff[at:]))
	entries := tiff[at+2:]
	for ; n > 0 && len(entries) >= 12; n-- {
		if order.Uint16(entries) == tagOrientation {
			v := order.Uint16(entries[8:])
			if order.Uint16(entries[2:]) != typeShort || v < 1 || v > 8 {
				return 1
			}
			return uint8(v)
		}
		entries = entries[12:]
	}
	return 1
}
