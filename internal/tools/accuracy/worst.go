package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/draw"

	"github.com/staydown/staydown/phash"
)

// worstOf is how many answers of each side the page shows.
const worstOf = 10

var page = template.Must(template.New("worst").Parse(`<!doctype html>
<meta charset="utf-8"><title>The worst answers</title>
<style>body{font:14px sans-serif;margin:1em}figure{display:inline-block;margin:6px;padding:6px;background:#eee;width:500px;vertical-align:top}
img{max-width:244px;max-height:244px;margin:2px;vertical-align:middle}</style>
{{range .}}<h2>{{.Title}}</h2>
{{range .Pairs}}<figure>{{with .Registered}}<img src="{{.}}" alt="registered">{{end}}<img src="{{.Asked}}" alt="asked"><figcaption>{{.Text}}</figcaption></figure>
{{else}}<p>none</p>{{end}}{{end}}`))

type pair struct {
	Registered, Asked template.URL
	Text              string
}

// writeWorst writes a page with pictures of the worst answers of each side:
// copies that are missed, of the kinds that are best found; and pictures that
// are wrongly blocked or held, of as many families as there are.
func writeWorst(path string, rows []row, m *material) error {
	_, byKind := names(rows, func(r *row) bool { return r.side == "copies" || r.side == "documents" })
	var sections []any
	for _, s := range []struct {
		title, side string
		bad         func(*row) bool
		weight      func(*row) float64
	}{
		{"Copies that are missed", "copies", func(r *row) bool { return r.outcome(&r.crawler) != block }, func(r *row) float64 {
			return byKind[r.name].found() - 10*float64(r.outcome(&r.crawler)%wrong)
		}},
		{"True copies of documents that are missed", "documents", func(r *row) bool { return r.outcome(&r.crawler) != block }, func(r *row) float64 {
			return byKind[r.name].found() - 10*float64(r.outcome(&r.crawler))
		}},
		{"Other pictures of one template that are blocked or held", "families", func(r *row) bool { return r.outcome(&r.crawler) != missed }, confidence},
		{"Unrelated pictures that are blocked or held", "unrelated", func(r *row) bool { return r.outcome(&r.crawler) != missed }, confidence},
	} {
		var pairs []pair
		for _, r := range worst(rows, s.side, s.bad, s.weight) {
			p, err := m.pair(&r)
			if err != nil {
				return err
			}
			pairs = append(pairs, p)
		}
		sections = append(sections, map[string]any{"Title": s.title, "Pairs": pairs})
	}
	var b bytes.Buffer
	if err := page.Execute(&b, sections); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// confidence is how sure the crawler's answer is.
func confidence(r *row) float64 {
	v := r.crawler.coverage + float64(r.crawler.points)/1000
	if r.crawler.why == "hash" {
		v = 1 - float64(r.crawler.distance)/100
	}
	return v + 10*float64(r.outcome(&r.crawler))
}

// worst returns the heaviest bad rows of a side, at most two of a kind, family
// or folder, and of a registered picture, before all have been shown.
func worst(rows []row, side string, bad func(*row) bool, weight func(*row) float64) (out []row) {
	for i := range rows {
		if rows[i].side == side && bad(&rows[i]) {
			out = append(out, rows[i])
		}
	}
	slices.SortStableFunc(out, func(a, b row) int {
		return cmp.Or(-cmp.Compare(weight(&a), weight(&b)), cmp.Compare(a.key(), b.key()))
	})
	shown := map[string]int{}
	round := map[string]int{}
	for i := range out {
		kind, of := "kind "+out[i].name, "of "+cmp.Or(out[i].registered, out[i].crawler.of)
		round[out[i].key()] = max(shown[kind], shown[of]) / 2
		shown[kind]++
		shown[of]++
	}
	slices.SortStableFunc(out, func(a, b row) int { return cmp.Compare(round[a.key()], round[b.key()]) })
	return out[:min(worstOf, len(out))]
}

// pair reads the pictures of a row.
func (m *material) pair(r *row) (p pair, err error) {
	p.Text = fmt.Sprintf("%s %s: %s, registered %s. Crawler %s by %s (distance %d, %d points, coverage %.2f), ranker %s.", r.side, r.name, r.asked,
		cmp.Or(r.registered, r.crawler.of), r.crawler.verdict, cmp.Or(r.crawler.why, "nothing"), r.crawler.distance, r.crawler.points, r.crawler.coverage, r.ranker.verdict)
	registered, asked := m.paths(r)
	if registered != "" {
		if p.Registered, err = thumbnail(registered); err != nil {
			return p, err
		}
	}
	p.Asked, err = thumbnail(asked)
	return p, err
}

// paths returns where the pictures of a row are.
func (m *material) paths(r *row) (registered, asked string) {
	find := func(name string, in ...[]string) string {
		for _, p := range slices.Concat(in...) {
			if m.title(p) == name {
				return p
			}
		}
		return ""
	}
	switch r.side {
	case "copies":
		registered = find(r.registered, m.originals)
		for _, k := range m.kinds {
			if k.set == r.set && k.name == r.name {
				stem := strings.TrimSuffix(r.registered, filepath.Ext(r.registered))
				asked = filepath.Join(m.dir, k.set, k.name, stem+"."+k.ext)
			}
		}
	case "unrelated":
		return find(r.crawler.of, m.originals, m.list), find(r.asked, m.innocent)
	default:
		dir := filepath.Join(m.dir, r.set)
		if r.set == folder {
			dir = m.classes
		}
		registered = filepath.Join(dir, filepath.FromSlash(r.registered))
		asked = filepath.Join(dir, filepath.FromSlash(r.asked))
		if stem, kind, ok := strings.Cut(r.asked, "__"); ok {
			asked = filepath.Join(dir, strings.TrimSuffix(stem, filepath.Ext(stem))+"__"+kind+".jpg")
		}
	}
	return registered, asked
}

// thumbnail returns a small picture as an address with its data.
func thumbnail(path string) (template.URL, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	p, err := phash.Decode(f, nil)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	img := p.Image()
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	k := min(1, 244/float64(max(w, h)))
	small := image.NewRGBA(image.Rect(0, 0, max(1, int(k*float64(w))), max(1, int(k*float64(h)))))
	draw.ApproxBiLinear.Scale(small, small.Rect, img, img.Bounds(), draw.Src, nil)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, small, &jpeg.Options{Quality: 75}); err != nil {
		return "", err
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}
