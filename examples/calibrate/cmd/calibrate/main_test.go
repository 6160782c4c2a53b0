package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staydown/staydown/examples/calibrate"
)

// people returns lines of that many people with two alike vectors each.
func people(n int) string {
	rng := rand.New(rand.NewPCG(1, 1))
	var b strings.Builder
	for k := range n {
		x := make([]float64, 64)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		for range 2 {
			fmt.Fprintf(&b, "secret%d\t", k)
			for _, c := range x {
				fmt.Fprintf(&b, " %.4f", c+0.3*rng.NormFloat64())
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// once returns every second line.
func once(lines string) (out string) {
	for i, l := range strings.SplitAfter(lines, "\n") {
		if i%2 == 0 {
			out += l
		}
	}
	return out
}

func TestRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "people.tsv")
	if err := os.WriteFile(file, []byte(people(40)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		args  []string
		stdin string
		want  error
		text  string // of the output
	}{
		{"standard input", []string{"-block", "0.05", "-review", "0.1", "-list", "1"}, people(40), nil, `{Name: "unnamed", Dimensions: 64, Block: 0.`},
		{"how few people", []string{"-list", "1"}, people(40), errTooFew, "These people support a list of 0 faces, not of 1. About"},
		{"a file", []string{"-block", "0.05", "-review", "0.1", "-list", "1", "-model", "test@1", file}, "", nil, "test@1, 64 dimensions"},
		{"a shorter list", []string{"-block", "0.05", "-review", "0.1", file}, "", errTooFew, "Calibrated: "},
		{"pairs apart", []string{"-block", "0.05", "-review", "0.1", "-list", "1", "-pairs", file}, people(30), nil, "40 pairs, worth"},
		{"no pairs of one person", []string{"-block", "0.05", "-review", "0.1", "-list", "1"}, once(people(40)), nil, "nothing is known of the photographs that are missed"},
		{"nobody", nil, "", calibrate.ErrInput, ""},
		{"no file", []string{file + ".none"}, "", os.ErrNotExist, ""},
	} {
		var out bytes.Buffer
		err := run(test.args, strings.NewReader(test.stdin), &out, &out)
		if !errors.Is(err, test.want) || !strings.Contains(out.String(), test.text) {
			t.Errorf("%s: error %v, want %v; output %q, want it to hold %q", test.name, err, test.want, &out, test.text)
		}
		if strings.Contains(out.String(), "secret") {
			t.Errorf("%s: the output names a person", test.name)
		}
	}
	for _, args := range [][]string{{"-block", "much"}, {"-block", "2"}, {"-list", "0"}, {"-pairs", file + ".none"}, {"-confidence", "1"}, {"-unknown"}, {file, file}} {
		var out bytes.Buffer
		if err := run(args, strings.NewReader(people(3)), &out, &out); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestRunWrites(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "new")
	var out bytes.Buffer
	if err := run([]string{"-block", "0.1", "-review", "0.2", "-list", "1", "-out", folder}, strings.NewReader(people(20)), &out, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"curve.tsv", "curve.json", "curve.svg"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || len(b) < 1000 || bytes.Contains(b, []byte("secret")) {
			t.Errorf("%s: %d bytes, error %v", name, len(b), err)
		}
	}
}
