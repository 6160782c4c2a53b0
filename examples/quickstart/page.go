package main

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"os"

	"github.com/disintegration/imaging"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// card is one picture on the page.
type card struct {
	URL     string
	Thumb   template.URL // empty when the picture was not fetched
	Verdict takedown.Verdict
	Why     string
	Case    string
	Returns bool // allowed once the opt-out is withdrawn
}

// writePage writes one self-contained page with the thumbnails and verdicts.
func writePage(name string, res *result) error {
	data := struct {
		NoticeURL                string
		NoticeCase, OptOutCase   string
		OptOutThumb, NoticeThumb template.URL
		Blocked, Allowed         []card
		Same                     string
	}{
		NoticeURL: noticeURL, NoticeCase: res.Notice.ID.String(), OptOutCase: res.OptOut.ID.String(),
		Same: compare(res.Items, res.Reopened) + " after a restart, and " + compare(res.Items, res.Loaded) + " from the published snapshot",
	}
	for _, p := range []struct {
		name string
		to   *template.URL
	}{{noticePhoto, &data.NoticeThumb}, {optOutPhoto, &data.OptOutThumb}} {
		b, err := photos.ReadFile("photos/" + p.name)
		if err != nil {
			return err
		}
		if *p.to, err = thumbnail(b); err != nil {
			return err
		}
	}
	for i, it := range res.Items {
		d := it.Decision
		c := card{URL: it.URL, Verdict: d.Verdict}
		if it.Data != nil {
			var err error
			if c.Thumb, err = thumbnail(it.Data); err != nil {
				return err
			}
		}
		if d.Verdict != takedown.Block {
			data.Allowed = append(data.Allowed, c)
			continue
		}
		c.Case = d.Case.String()
		c.Returns = res.Withdrawn[i].Verdict == takedown.Allow
		switch d.Why {
		case takedown.TierURL:
			c.Why = "its address is blocked: not fetched"
		case takedown.TierBytes:
			c.Why = "it is the registered file"
		case takedown.TierHash:
			c.Why = fmt.Sprintf("its hash is %d bits from the registered picture (%v)", d.Distance, d.Transform)
		case takedown.TierFeatures:
			c.Why = fmt.Sprintf("the registered picture is inside: %d points of it, %.0f %% of its area", d.Inliers, 100*d.Coverage)
		}
		data.Blocked = append(data.Blocked, c)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, data); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// thumbnail returns a small JPEG of a picture as a data address.
func thumbnail(data []byte) (template.URL, error) {
	pic, err := phash.Decode(bytes.NewReader(data), nil)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := imaging.Encode(&b, imaging.Fit(pic.Image(), 240, 180, imaging.Box), imaging.JPEG, imaging.JPEGQuality(80)); err != nil {
		return "", err
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}
