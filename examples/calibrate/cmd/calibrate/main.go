// Calibrate reads labelled face vectors and recommends thresholds.
//
//	calibrate [-rates 0.001,0.01] [-list 1] [-confidence 0.95] [-model NAME] [-out FOLDER] [FILE]
//
// It reads FILE, or standard input; package calibrate describes the lines. It
// prints what it counted and, for every rate, the lowest threshold at which a
// face of nobody on a list of that length is taken for one of them no more often
// than that, with that confidence. With -out it writes curve.tsv, curve.json and
// curve.svg to the folder.
//
// It ends with code 1 if it fails, and with code 3 if the data are too few for
// one of the rates; it then prints which rate they support.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/staydown/staydown/examples/calibrate"
)

// errTooFew is wrapped by the error about a rate that the data do not support.
var errTooFew = errors.New("too few people for that rate")

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, errTooFew):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("calibrate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rates := flags.String("rates", "0.001,0.01", "accepted rates of false matches, separated by commas")
	list := flags.Int("list", 1, "faces on the list that a face is compared with")
	confidence := flags.Float64("confidence", 0.95, "probability that a bound holds")
	model := flags.String("model", "unnamed", "model, if the data name none")
	out := flags.String("out", "", "folder for curve.tsv, curve.json and curve.svg")
	if err := flags.Parse(args); err != nil {
		return err
	}
	in := stdin
	if flags.NArg() > 1 {
		return fmt.Errorf("calibrate: %d files, accepted is one", flags.NArg())
	} else if flags.NArg() == 1 {
		f, err := os.Open(flags.Arg(0))
		if err != nil {
			return fmt.Errorf("calibrate: %w", err)
		}
		defer f.Close()
		in = f
	}

	faces, err := calibrate.Read(in, *model)
	if err != nil {
		return err
	}
	curve, err := calibrate.NewCurve(faces, *confidence)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "model           %s, %d dimensions\n", curve.Model, curve.Dimensions)
	fmt.Fprintf(stdout, "faces           %d of %d people\n", curve.Faces, curve.People)
	fmt.Fprintf(stdout, "same person     %d pairs, worth %.0f independent ones\n", curve.SamePairs, float64(curve.SamePairs)/curve.SameDesignEffect)
	fmt.Fprintf(stdout, "different       %d pairs, worth %.0f independent ones\n", curve.DifferentPairs, float64(curve.DifferentPairs)/curve.DifferentDesignEffect)
	fmt.Fprintf(stdout, "lowest rate     %.3g of false matches, for a pair: so many people support no lower one\n", curve.LowestRate)
	var choices []calibrate.Choice
	var tooFew error
	for _, s := range strings.Split(*rates, ",") {
		rate, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return fmt.Errorf("calibrate: rate %q is not a number", s)
		}
		choice, err := curve.Choose(rate, *list)
		if err != nil {
			return err
		}
		choices = append(choices, choice)
		printChoice(stdout, choice, curve.Confidence)
		if !choice.Found {
			tooFew = fmt.Errorf("calibrate: rate %g in a list of %d: the data support %.3g: %w", rate, *list, choice.Reachable, errTooFew)
		}
	}
	if *out != "" {
		if err := write(*out, curve, choices); err != nil {
			return err
		}
	}
	return tooFew
}

func printChoice(w io.Writer, c calibrate.Choice, confidence float64) {
	p := c.Point
	if !c.Found {
		fmt.Fprintf(w, "\nrate %g, list of %d: not supported by so few people.\n  What they support is %.3g, at threshold %.3f.\n", c.Rate, c.List, c.Reachable, p.Threshold)
		return
	}
	fmt.Fprintf(w, "\nrate %g, list of %d: threshold %.3f\n", c.Rate, c.List, p.Threshold)
	fmt.Fprintf(w, "  false matches  %d pairs, %.3g of all; below %.3g with confidence %g\n", p.FalseMatches, p.FalseMatchRate, p.FalseMatchBound, confidence)
	fmt.Fprintf(w, "  misses         %d pairs, %.3g of all; below %.3g with confidence %g\n", p.Misses, p.MissRate, p.MissBound, confidence)
}

// write writes the files. They hold no vector and name no person.
func write(folder string, curve *calibrate.Curve, choices []calibrate.Choice) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("calibrate: %w", err)
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"curve.tsv", curve.WriteTSV},
		{"curve.json", func(w io.Writer) error { return curve.WriteJSON(w, choices) }},
		{"curve.svg", func(w io.Writer) error { return curve.WriteSVG(w, choices) }},
	} {
		f, err := os.Create(filepath.Join(folder, file.name))
		if err != nil {
			return fmt.Errorf("calibrate: %w", err)
		}
		if err := errors.Join(file.write(f), f.Close()); err != nil {
			return fmt.Errorf("calibrate: %s: %w", file.name, err)
		}
	}
	return nil
}
