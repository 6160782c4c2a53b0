package main

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"io"
	"os"
	"time"

	"github.com/disintegration/imaging"

	"github.com/staydown/staydown/phash"
)

//go:embed report.html
var reportHTML string

var reportPage = template.Must(template.New("report").Parse(reportHTML))

// maxReport is how many entries a page shows.
const maxReport = 2000

// reportRow is an entry of the page.
type reportRow struct {
	Key, Verdict, Why, Rule, Case, Distance, URL, Error string
	Picture                                             template.URL
}

// page writes the page of a sweep from its CSV file. Without one, the page has
// only what was kept.
func (c *sweepCmd) page(a *app) error {
	if c.CSV == "" {
		return usagef("--html needs --csv, from which the page is made")
	}
	f, err := os.Open(c.CSV)
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(f)
	var rows []reportRow
	left := 0
	for first := true; ; first = false {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.CSV, err)
		}
		if first || len(rec) != len(csvHead) {
			continue
		}
		if len(rows) == maxReport {
			left++
			continue
		}
		for i := range rec {
			rec[i] = unquoteCell(rec[i])
		}
		row := reportRow{Key: rec[0], Verdict: rec[1], Why: rec[2], Rule: rec[4], Case: rec[5], Distance: rec[6], URL: rec[9], Error: rec[11]}
		if rec[10] != "" {
			row.Picture = thumbnail(a, c.path(rec[10]))
		}
		rows = append(rows, row)
	}
	var b bytes.Buffer
	err = reportPage.Execute(&b, map[string]any{"Source": c.Source, "Rows": rows, "Left": left, "Time": time.Now().UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	return replaceFile(c.HTML, b.Bytes())
}

// thumbnailSide is the longer side of a small picture.
const thumbnailSide = 160

// thumbnail returns a small picture of a file as an address, or "" if it cannot be
// decoded.
func thumbnail(a *app, path string) template.URL {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	opts := decoding()
	opts.AcceptTruncated = true
	pic, err := phash.DecodeContext(a.ctx, f, opts)
	if err != nil {
		return ""
	}
	return template.URL(dataURL(pic.Image()))
}

// dataURL returns a small JPEG of a picture as a data: address.
func dataURL(img image.Image) string {
	var b bytes.Buffer
	if jpeg.Encode(&b, imaging.Fit(img, thumbnailSide, thumbnailSide, imaging.Box), &jpeg.Options{Quality: 75}) != nil {
		return ""
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}
