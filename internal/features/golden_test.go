package features_test

// golden holds the front of the SHA-256 of the full and of the compact
// features of generated pictures. They are the same on every architecture.
var golden = [5][2]string{
	{"bf6a3622ad2060ab", "a11d1e5e615c2365"},
	{"2806eb3e779478e6", "71055b1059c8cd83"},
	{"be8816d271713a43", "6408b2d5dbe55273"},
	{"b44bd14918a5fd73", "0adba3a7dca99a40"},
	{"092a5e8750fde8fc", "90912698809d7f39"},
}

// goldenMatches is the same for the matches of copies of one of them, goldenRich and
// goldenLean for segments.
const (
	goldenMatches = "5d61bc64a9555fb6"
	goldenRich    = "c32182b83a69f373"
	goldenLean    = "32cc21724b2754b9"
)
