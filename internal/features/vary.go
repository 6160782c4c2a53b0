package features

import (
	"encoding/binary"
	"math/rand/v2"
)

// Vary returns a registered picture like real ones, made of them, for measuring lists of
// more pictures than there are. It has the size, the places of the points and the
// thumbnail of the record f. A quarter of its points looks like points of f, as those of
// frames, letters and textures do that many pictures share. The others look
// somewhat like points of others.
func Vary(f Features, others []Features, seed uint64) Features {
	r := rand.New(rand.NewPCG(seed, 1))
	b := append([]byte(nil), f.b...)
	n := f.Len()
	for i := range n {
		sig, word, flips := f.signature(i), f.word(i), 0.08
		if r.IntN(4) > 0 {
			o := others[r.IntN(len(others))]
			k := r.IntN(o.Len())
			sig, word, flips = o.signature(k), o.word(k), 0.2
		}
		for bit := range 64 + maxWordBits {
			if r.Float64() >= flips {
				continue
			}
			if bit < 64 {
				sig ^= 1 << bit
			} else {
				word ^= 1 << (bit - 64)
			}
		}
		binary.LittleEndian.PutUint64(b[headerSize+i*sigSize:], sig)
		at := headerSize + n*sigSize + i*packedSize
		v := binary.LittleEndian.Uint64(b[at:])&(1<<packedWord-1) | uint64(word)<<packedWord
		binary.LittleEndian.PutUint64(b[at:], v)
	}
	return Features{b}
}
