package phash

import "fmt"

// Orientation is one of the eight ways to turn and mirror a picture. The values
// are stored with registered hashes and never change their meaning; they are
// the order of [PDQDihedral], and the reference's.
type Orientation uint8

const (
	Upright        Orientation = 0 // as registered
	Rotated90      Orientation = 1 // turned by 90° counter-clockwise
	Rotated180     Orientation = 2 // turned by 180°
	Rotated270     Orientation = 3 // turned by 90° clockwise
	Flipped        Orientation = 4 // top and bottom change places
	Mirrored       Orientation = 5 // left and right change places
	Transposed     Orientation = 6 // mirrored at the diagonal from the top left
	AntiTransposed Orientation = 7 // mirrored at the diagonal from the top right
	nOrientations              = 8
)

var orientationNames = [nOrientations]string{
	"upright", "rotated90", "rotated180", "rotated270", "flipped", "mirrored", "transposed", "antitransposed",
}

// String returns the name in lower case, such as "mirrored".
func (o Orientation) String() string {
	if int(o) < len(orientationNames) {
		return orientationNames[o]
	}
	return fmt.Sprintf("Orientation(%d)", uint8(o))
}

// rules says what an orientation does to a spectrum: whether coefficients of
// odd vertical frequency change their sign, those of odd horizontal frequency,
// and whether rows become columns afterwards.
func (o Orientation) rules() (oddRows, oddCols, transpose bool) {
	switch o {
	case Rotated90:
		return false, true, true
	case Rotated180:
		return true, true, false
	case Rotated270:
		return true, false, true
	case Flipped:
		return true, false, false
	case Mirrored:
		return false, true, false
	case Transposed:
		return false, false, true
	case AntiTransposed:
		return true, true, true
	}
	return false, false, false
}

// exif returns the EXIF orientation that turns a picture like o.
func (o Orientation) exif() uint8 {
	return [nOrientations]uint8{
		Upright: 1, Mirrored: 2, Rotated180: 3, Flipped: 4, Transposed: 5, Rotated270: 6, AntiTransposed: 7, Rotated90: 8,
	}[o]
}
