// Calibrate reads face vectors and recommends the thresholds of a model.
//
//	calibrate [-block 0.001] [-review 0.02] [-list 100] [-faces 1] [-pairs FILE]
//	          [-confidence 0.95] [-model NAME] [-out FOLDER] [STRANGERS]
//
// STRANGERS, or standard input, has faces of many people, one photograph of each is
// enough. -pairs has several photographs of some people; without it, those among
// the strangers are taken. Package calibrate describes the lines.
//
// It prints the curve, and ends with a line for desk.Options.FaceModels: the lowest
// thresholds at which at most a share of -block of the pictures of strangers is
// blocked, and -review held, by a list of that many faces, with that confidence, if
// a picture has -faces faces. With -out it writes curve.tsv, curve.json and
// curve.svg to the folder.
//
// It ends with code 1 if it fails, and with code 3 if the data are too few for the
// list. The line is then for the longest list that they support, if there is one, and
// it prints how many people the goal takes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/staydown/staydown/examples/calibrate"
)

// errTooFew is wrapped by the error about a list that the data do not support.
var errTooFew = errors.New("too few people for that list")

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
	var goal calibrate.Goal
	flags.Float64Var(&goal.Block, "block", 0.001, "share of pictures of strangers that may be blocked")
	flags.Float64Var(&goal.Review, "review", 0.02, "share of pictures of strangers that may be held for review")
	flags.IntVar(&goal.List, "list", 100, "faces on the list that a face is compared with")
	flags.Float64Var(&goal.Faces, "faces", 1, "faces in a picture, on average")
	pairs := flags.String("pairs", "", "file with several photographs of some people; the default is those among the strangers")
	confidence := flags.Float64("confidence", 0.95, "probability that a bound holds")
	model := flags.String("model", "unnamed", "model, if the data name none")
	out := flags.String("out", "", "folder for curve.tsv, curve.json and curve.svg")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 1 {
		return fmt.Errorf("calibrate: %d files, accepted is one; -pairs names the other", flags.NArg())
	}
	strangers, err := read(flags.Arg(0), *model, stdin)
	if err != nil {
		return err
	}
	same := strangers
	if *pairs != "" {
		if same, err = read(*pairs, *model, nil); err != nil {
			return err
		}
	}
	curve, err := calibrate.NewCurve(strangers, same, *confidence)
	if err != nil {
		return err
	}
	r, err := curve.Recommend(goal)
	if err != nil {
		return err
	}
	if err := describe(stdout, curve, r); err != nil {
		return err
	}
	if *out != "" {
		if err := write(*out, curve, r); err != nil {
			return err
		}
	}
	if r.Supported < goal.List {
		fmt.Fprintf(stdout, "\nThese people support a list of %d faces, not of %d. About %d people, with one photograph each, would.\n", r.Supported, goal.List, r.People)
	}
	if line := curve.Line(r); line != "" {
		fmt.Fprintf(stdout, "\nFor desk.Options.FaceModels:\n\n%s\n", line)
	}
	if r.Supported < goal.List {
		return fmt.Errorf("calibrate: a list of %d: %w", goal.List, errTooFew)
	}
	return nil
}

// read reads a file, or stdin if the name is empty.
func read(name, model string, stdin io.Reader) ([]calibrate.Face, error) {
	if name == "" {
		return calibrate.Read(stdin, model)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	defer f.Close()
	return calibrate.Read(f, model)
}

func describe(w io.Writer, c *calibrate.Curve, r calibrate.Recommendation) error {
	fmt.Fprintf(w, "model           %s, %d dimensions\n", c.Model, c.Dimensions)
	fmt.Fprintf(w, "strangers       %d faces of %d people, %d pairs\n", c.Faces, c.People, c.DifferentPairs)
	if c.SamePairs > 0 {
		fmt.Fprintf(w, "same person     %d pairs, worth %.0f independent ones\n", c.SamePairs, float64(c.SamePairs)/c.SameDesignEffect)
	} else {
		fmt.Fprintf(w, "same person     no pairs: nothing is known of the photographs that are missed\n")
	}
	fmt.Fprintf(w, "lowest rate     %.3g for a pair; %.3g if no two people were alike\n\n", c.Supported, c.LowestRate)
	if err := c.WriteText(w); err != nil {
		return err
	}
	if r.Supported < 1 {
		return nil
	}
	fmt.Fprintf(w, "\nlist of %d, %g faces in a picture:\n", r.Supported, r.Goal.Faces)
	for _, x := range []struct {
		name string
		rate float64
		p    calibrate.Point
	}{{"blocked", r.Goal.Block, r.Block}, {"held", r.Goal.Review, r.Review}} {
		all := float64(r.Supported) * r.Goal.Faces
		fmt.Fprintf(w, "  %-8s at %.3f: %.3g of the pictures of strangers, below %.3g with confidence %g (accepted %g; one pair is worth 1/%.1f)\n",
			x.name, x.p.Threshold, min(1, all*x.p.FalseMatchRate), min(1, all*x.p.FalseMatchBound), c.Confidence, x.rate, x.p.DesignEffect)
		if c.SamePairs > 0 {
			fmt.Fprintf(w, "           %.3g of the photographs of registered people are below, at most %.3g with one registered photograph\n", x.p.MissRate, x.p.MissBound)
		}
	}
	return nil
}

// write writes the files. They hold no vector and name no person.
func write(folder string, curve *calibrate.Curve, r calibrate.Recommendation) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("calibrate: %w", err)
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"curve.tsv", curve.WriteTSV},
		{"curve.json", func(w io.Writer) error { return curve.WriteJSON(w, r) }},
		{"curve.svg", func(w io.Writer) error { return curve.WriteSVG(w, r) }},
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
