// Package sharedtest finds the test material that is kept beside the
// repository: photographs, reference vectors and label sets that are too big,
// or not licensed, to be committed. Only tests and measuring tools use it.
// Count and AllocsPerRun are here because the tests of several packages repeat
// themselves and count allocations.
package sharedtest

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
)

// Dir returns the folder of shared test material: $STAYDOWN_SHARED, or the
// folder named shared beside the repository. ok is false when there is none.
func Dir() (dir string, ok bool) {
	dir = os.Getenv("STAYDOWN_SHARED")
	if dir == "" {
		_, self, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(self), "..", "..", "..", "shared")
	}
	fi, err := os.Stat(filepath.Join(dir, "testdata"))
	return dir, err == nil && fi.IsDir()
}

// Path returns the path of a file or folder below testdata in the shared
// material, and skips the test, with a message, when that is missing.
func Path(tb testing.TB, elem ...string) string {
	tb.Helper()
	dir, ok := Dir()
	if !ok {
		tb.Skipf("skipped: the shared test material is missing (looked in %s; set STAYDOWN_SHARED)", dir)
	}
	p := filepath.Join(append([]string{dir, "testdata"}, elem...)...)
	if _, err := os.Stat(p); err != nil {
		tb.Fatalf("shared test material is incomplete: %v", err)
	}
	return p
}

// NeedTestdata skips a test in the zip of the module, which has no pictures: a
// folder testdata with pictures has a go.mod, so that nobody who uses the module
// downloads it.
func NeedTestdata(tb testing.TB) {
	tb.Helper()
	if _, err := os.Stat("testdata"); errors.Is(err, fs.ErrNotExist) {
		tb.Skip("skipped: the test pictures are in the repository only")
	}
}

// Count returns the number in an environment variable that says how often a test
// is to be repeated, and n where it is not set. A value that is no such number
// fails the test: it must not pass without having done anything.
func Count(tb testing.TB, variable string, n int) int {
	tb.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return n
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		tb.Fatalf("%s=%q is no number of times", variable, s)
	}
	return n
}

// Long reports whether tests are to take all of their material: STAYDOWN_LONG is set.
func Long() bool { return os.Getenv("STAYDOWN_LONG") != "" }

// Sample returns n of the list, in its order, or the whole list where [Long] is true.
// The choice is another one in each run. Its seed is logged, and can be set by
// STAYDOWN_SEED.
func Sample[T any](tb testing.TB, list []T, n int) []T {
	tb.Helper()
	if Long() || n >= len(list) {
		return list
	}
	seed := Seed(tb)
	chosen := rand.New(rand.NewPCG(seed, uint64(len(list)))).Perm(len(list))[:n]
	slices.Sort(chosen)
	sample := make([]T, n)
	for i, k := range chosen {
		sample[i] = list[k]
	}
	return sample
}

// Seed returns a number for what a test chooses at random, and logs it: STAYDOWN_SEED,
// or another one in each run.
func Seed(tb testing.TB) uint64 {
	tb.Helper()
	seed := rand.Uint64() >> 44
	if s := os.Getenv("STAYDOWN_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Logf("STAYDOWN_SEED=%d", seed)
	return seed
}

// AllocsPerRun is testing.AllocsPerRun for code that must not allocate at all.
// That one counts what the whole process allocates, so that a cleanup or a
// collection that happens to run adds to it; what f itself allocates is there
// every time. The result is the least of up to four measurements.
func AllocsPerRun(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for range 3 {
		if least == 0 {
			break
		}
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}
