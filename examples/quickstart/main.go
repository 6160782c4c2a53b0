// Quickstart files two removal requests for photographs of a small image site,
// crawls the site as a crawler would, and shows what is blocked, why, and what
// comes back when a request is withdrawn.
//
// The site runs on the loopback interface, with 28 real photographs and with
// re-posts of two of them that are made at start: re-encoded, resized, grey,
// mirrored, rotated, cropped and in a screenshot.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

func main() {
	html := flag.String("html", "quickstart.html", "file to write the page with thumbnails and verdicts to; empty for none")
	flag.Parse()
	dir, err := os.MkdirTemp("", "staydown-quickstart-")
	if err == nil {
		_, err = run(context.Background(), os.Stdout, dir, *html)
		os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// result is what each part of the run found, for the report and the test.
type result struct {
	Notice, OptOut desk.Case
	Items          []item // in the order of the crawl
	Reopened       []takedown.Decision
	Loaded         []takedown.Decision
	Withdrawn      []takedown.Decision
}

// run does everything, with the desk and the snapshot in dir, and writes a page
// to html unless that is empty.
func run(ctx context.Context, out io.Writer, dir, html string) (*result, error) {
	site, err := startSite()
	if err != nil {
		return nil, err
	}
	defer site.Close()

	dk, err := desk.Open(filepath.Join(dir, "takedowns"), nil)
	if err != nil {
		return nil, err
	}
	defer func() { dk.Close() }()

	res := new(result)
	if err := file(ctx, dk, res); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "Filed and accepted:\n  %v  DSA notice for %s: this address, nothing else\n  %v  image opt-out for a photograph of a dog: the picture and every copy\n\n",
		res.Notice.ID, noticeURL, res.OptOut.ID)

	res.Items, err = crawl(ctx, site.Client(), dk.Enforcer(), startURL, newProgress(out))
	if err != nil {
		return nil, err
	}
	printTable(out, res)

	// Everything is on disk: a desk opened again decides the same.
	if err := dk.Close(); err != nil {
		return nil, err
	}
	if dk, err = desk.Open(filepath.Join(dir, "takedowns"), nil); err != nil {
		return nil, err
	}
	res.Reopened = decide(dk.Enforcer(), res.Items)
	fmt.Fprintf(out, "\nClosed and opened again from disk: %s.\n", compare(res.Items, res.Reopened))

	// So does a crawler or ranker elsewhere that loads the published snapshot.
	snapshot := filepath.Join(dir, "blocklist.snap")
	if err := dk.Publish(ctx, snapshot); err != nil {
		return nil, err
	}
	reader, err := takedown.Load(snapshot, nil)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	res.Loaded = decide(reader, res.Items)
	fmt.Fprintf(out, "A read-only enforcer that loaded the snapshot: %s.\n", compare(res.Items, res.Loaded))

	if err := dk.Withdraw(ctx, res.OptOut.ID, desk.Actor{Reason: "requester_changed_mind"}); err != nil {
		return nil, err
	}
	res.Withdrawn = decide(dk.Enforcer(), res.Items)
	fmt.Fprintf(out, "\nThe opt-out is withdrawn. What returns:\n")
	for i, it := range res.Items {
		if it.Decision.Verdict == takedown.Block && res.Withdrawn[i].Verdict == takedown.Allow {
			fmt.Fprintf(out, "  %s\n", it.URL)
		}
	}
	if html == "" {
		return res, nil
	}
	if err := writePage(html, res); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "\nWrote %s: the same with thumbnails, for a browser.\n", html)
	return res, nil
}

// file submits the two requests and accepts them as a reviewer would.
func file(ctx context.Context, dk *desk.Desk, res *result) (err error) {
	requester := request.Requester{Name: "Quickstart requester", Email: "requester@example.org", Country: "DE"}
	res.Notice, err = dk.Submit(ctx, request.DSANotice{
		Requester:   requester,
		ImageURLs:   []string{noticeURL},
		Ground:      request.GroundCopyright,
		Explanation: "The picture is shown without the consent of its owner.",
		GoodFaith: request.Statement{
			Text:     "I believe in good faith that this notice is accurate and complete.",
			Accepted: time.Now(),
		},
	})
	if err != nil {
		return err
	}
	picture, err := photos.ReadFile("photos/" + optOutPhoto)
	if err != nil {
		return err
	}
	res.OptOut, err = dk.Submit(ctx, request.ImageOptOut{
		Requester: requester,
		Images:    []request.File{request.FromBytes(picture)},
		Claim:     request.ClaimOwner,
	})
	if err != nil {
		return err
	}
	for _, c := range []*desk.Case{&res.Notice, &res.OptOut} {
		if err := dk.Accept(ctx, c.ID, desk.Grant{Actor: desk.Actor{By: "reviewer-1"}}); err != nil {
			return err
		}
	}
	return nil
}

// decide asks again about what a crawl found: with what was stored of it, not
// with pixels.
func decide(enf *takedown.Enforcer, items []item) []takedown.Decision {
	ds := make([]takedown.Decision, len(items))
	for i, it := range items {
		ds[i] = enf.Check(it.Candidate)
	}
	return ds
}

func compare(items []item, ds []takedown.Decision) string {
	differ := 0
	for i := range items {
		if items[i].Decision.Verdict != ds[i].Verdict || items[i].Decision.Rule != ds[i].Rule {
			differ++
		}
	}
	if differ == 0 {
		return fmt.Sprintf("the same verdicts for all %d addresses", len(items))
	}
	return fmt.Sprintf("OTHER verdicts for %d of %d addresses", differ, len(items))
}

func printTable(out io.Writer, res *result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ADDRESS\tVERDICT\tWHY\tCASE\tDISTANCE")
	blocked := 0
	for _, it := range res.Items {
		d := it.Decision
		if d.Verdict == takedown.Allow {
			fmt.Fprintf(w, "%s\tallow\t\t\t\n", it.URL)
			continue
		}
		blocked++
		distance := ""
		switch d.Why {
		case takedown.TierHash:
			distance = fmt.Sprintf("%d bits (%v)", d.Distance, d.Transform)
		case takedown.TierFeatures:
			distance = fmt.Sprintf("%d points, %.0f %% of the picture", d.Inliers, 100*d.Coverage)
		}
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%s\n", it.URL, d.Verdict, d.Why, d.Case, distance)
	}
	w.Flush()
	fmt.Fprintf(out, "\n%d addresses, %d blocked, %d allowed.\n", len(res.Items), blocked, len(res.Items)-blocked)
}
