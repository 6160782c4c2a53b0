package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/staydown/staydown/internal/tools/accuracy/internal/labelled"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
)

// runNegatives registers every picture of a class by itself, and asks with every
// other one of the class whose hash alone would block it.
func runNegatives(ctx context.Context, dir string) (string, error) {
	classes, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| both carry | pairs | Block by the hashes | of these, Block by all tiers |\n| --- | --- | --- | --- |\n")
	for _, class := range classes {
		pairs, byHash, byAll, err := runClass(ctx, filepath.Join(dir, class.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", class.Name(), pairs, byHash, byAll)
	}
	return b.String(), nil
}

func runClass(ctx context.Context, dir string) (pairs, byHash, byAll int, err error) {
	var files []string
	for _, pattern := range []string{"*.jpg", "*.png"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return 0, 0, 0, err
		}
		files = append(files, found...)
	}
	asked := make([]takedown.Candidate, len(files))
	contents := make([][]byte, len(files))
	err = labelled.Parallel(len(files), "pictures", func(i int) (err error) {
		if contents[i], err = os.ReadFile(files[i]); err == nil {
			asked[i], err = takedown.Inspect(bytes.NewReader(contents[i]), takedown.Source{}, nil)
		}
		return err
	})
	if err != nil {
		return 0, 0, 0, err
	}
	tmp, err := os.MkdirTemp("", "tiers-")
	if err != nil {
		return 0, 0, 0, err
	}
	defer os.RemoveAll(tmp)
	dk, err := desk.Open(tmp, &desk.Options{OneReviewer: true})
	if err != nil {
		return 0, 0, 0, err
	}
	defer dk.Close()
	for i := range files {
		id, registered, err := optOut(ctx, dk, contents[i])
		if err != nil {
			return 0, 0, 0, fmt.Errorf("%s: %w", files[i], err)
		}
		for k := range asked {
			if k == i || registered.Refused != "" {
				continue
			}
			pairs++
			if dk.Enforcer().Filter("", asked[k].Hashes...).Verdict != takedown.Block {
				continue
			}
			byHash++
			if dk.Enforcer().Check(asked[k]).Verdict == takedown.Block {
				byAll++
			}
		}
		if err := dk.Withdraw(ctx, id, desk.Actor{By: "measure"}); err != nil {
			return 0, 0, 0, err
		}
	}
	return pairs, byHash, byAll, nil
}
