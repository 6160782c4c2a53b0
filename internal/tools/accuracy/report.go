package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// tally counts the outcomes of questions.
type tally struct {
	n       int
	crawler [4]int
	ranker  [4]int
	parts   [4]int
}

func (t *tally) add(r *row) {
	t.n++
	t.crawler[r.outcome(&r.crawler)]++
	t.ranker[r.outcome(&r.ranker)]++
	t.parts[r.outcome(&r.parts)]++
}

// wilson returns the 95 % interval of Wilson for k of n, in %.
func wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 100
	}
	const z = 1.959964
	p, N := float64(k)/float64(n), float64(n)
	mid := p + z*z/(2*N)
	half := z * math.Sqrt(p*(1-p)/N+z*z/(4*N*N))
	div := 1 + z*z/N
	return 100 * max(0, (mid-half)/div), 100 * min(1, (mid+half)/div)
}

// share returns k of n in % with its bounds.
func share(k, n int) string {
	if n == 0 {
		return "–"
	}
	low, high := wilson(k, n)
	return fmt.Sprintf("%s (%s–%s)", percent(k, n), short(low), short(high))
}

func percent(k, n int) string {
	if n == 0 {
		return "–"
	}
	return short(100 * float64(k) / float64(n))
}

func short(v float64) string {
	if v >= 0.005 && v < 1 {
		return fmt.Sprintf("%.2f", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}

// groups are the rows of the first table, with the aim of DESIGN or the issue.
var groups = []struct{ side, group, title string }{
	{"copies", "known", "copies of known kinds"},
	{"copies", "realistic", "copies of new kinds, realistic"},
	{"copies", "evading", "copies of new kinds, to get round a filter"},
	{"documents", "", "true copies of documents and templates"},
	{"families", "", "other pictures of one template"},
	{"unrelated", "", "unrelated pictures"},
}

func report(rows []row, c *cost, o *options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v, sample of seed %s. In per cent; in brackets 95 %% bounds (Wilson) of Block.\n\n", o.half, o.seed)
	b.WriteString("| asked | number | crawler: Block | Review | missed | wrong | ranker: Block | Review | wrong | with parts: Block | wrong |\n" + rule(11))
	for _, g := range groups {
		t := count(rows, func(r *row) bool { return r.side == g.side && (g.group == "" || r.group == g.group) })
		if t.n > 0 {
			b.WriteString(line(g.title, t))
		}
	}
	registrations(&b, rows)
	kinds(&b, rows)
	families(&b, rows)
	unrelatedTable(&b, rows)
	scores(&b, rows)
	c.table(&b)
	return b.String()
}

func rule(n int) string { return "|" + strings.Repeat(" --- |", n) + "\n" }

func line(title string, t tally) string {
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", title, t.n,
		share(t.crawler[block], t.n), percent(t.crawler[review], t.n), percent(t.crawler[missed], t.n), percent(t.crawler[wrong], t.n),
		share(t.ranker[block], t.n), percent(t.ranker[review], t.n), percent(t.ranker[wrong], t.n),
		share(t.parts[block], t.n), percent(t.parts[wrong], t.n))
}

func count(rows []row, f func(*row) bool) (t tally) {
	for i := range rows {
		if f(&rows[i]) {
			t.add(&rows[i])
		}
	}
	return t
}

// registrations says how many pictures were refused, and of how many the
// reviewer is told a risk.
func registrations(b *strings.Builder, rows []row) {
	for _, x := range []struct{ side, title string }{
		{"registered", "photographs"}, {"registered besides", "other pictures of the list"}, {"registered alone", "pictures of templates"},
	} {
		n, refused, risky, pointless, codes := 0, 0, 0, 0, map[string]int{}
		for _, r := range rows {
			if r.side != x.side {
				continue
			}
			n++
			if r.note != "" {
				refused++
			}
			if r.risks != "" {
				risky++
				for _, code := range strings.Split(r.risks, ",") {
					codes[code]++
				}
			}
			if r.crawler.points == 0 {
				pointless++
			}
		}
		if n > 0 {
			fmt.Fprintf(b, "\nRegistered %s: %d; hash refused or narrowed %s; a risk is named for %s; without features %d.",
				x.title, n, share(refused, n), share(risky, n), pointless)
			for _, code := range slices.Sorted(maps.Keys(codes)) {
				fmt.Fprintf(b, " %s: %d.", code, codes[code])
			}
			b.WriteString("\n")
		}
	}
}

// names returns the names of a side with their match counts.
func names(rows []row, f func(*row) bool) (names []string, tallies map[string]*tally) {
	tallies = map[string]*tally{}
	for i := range rows {
		if r := &rows[i]; f(r) {
			if tallies[r.name] == nil {
				tallies[r.name] = new(tally)
				names = append(names, r.name)
			}
			tallies[r.name].add(r)
		}
	}
	return names, tallies
}

func kinds(b *strings.Builder, rows []row) {
	for _, g := range []string{"known", "realistic", "evading"} {
		all, tallies := names(rows, func(r *row) bool { return r.side == "copies" && r.group == g })
		if len(all) == 0 {
			continue
		}
		slices.SortFunc(all, func(a, b string) int {
			return cmp.Or(-cmp.Compare(tallies[b].found(), tallies[a].found()), cmp.Compare(a, b))
		})
		fmt.Fprintf(b, "\nCopies, %s kinds, the weakest first:\n\n", g)
		b.WriteString("| kind | number | crawler: Block | Review | missed | wrong | ranker: Block | Review | wrong | with parts: Block | wrong |\n" + rule(11))
		var whole []string
		for _, n := range all {
			if t := tallies[n]; t.crawler[block] < t.n || t.ranker[block] < t.n {
				b.WriteString(line(n, *t))
			} else {
				whole = append(whole, n)
			}
		}
		if len(whole) > 0 {
			fmt.Fprintf(b, "\nAll blocked, by crawler and ranker: %s.\n", strings.Join(whole, ", "))
		}
	}
}

// found is the share of blocked copies.
func (t *tally) found() float64 { return float64(t.crawler[block]) / float64(max(1, t.n)) }

func families(b *strings.Builder, rows []row) {
	all, tallies := names(rows, func(r *row) bool { return r.side == "families" })
	if len(all) == 0 {
		return
	}
	_, copies := names(rows, func(r *row) bool { return r.side == "documents" })
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(tallies[b].found(), tallies[a].found()), cmp.Compare(a, b))
	})
	within := 0
	b.WriteString("\nFamilies: one picture registered alone, the others asked; and its own true copies. The worst first:\n\n")
	b.WriteString("| family | questions | crawler: wrongly blocked | Review | ranker: wrongly blocked | with parts | refused | copies | crawler: found | ranker: found |\n" + rule(10))
	for _, n := range all {
		t, refused, registered := tallies[n], 0, 0
		for _, r := range rows {
			if r.side == "registered alone" && r.name == n {
				registered++
				if r.note != "" {
					refused++
				}
			}
		}
		c := cmp.Or(copies[n], new(tally))
		if 100*t.crawler[block] <= t.n && 100*t.ranker[block] <= t.n {
			within++
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %d of %d | %d | %s | %s |\n", n, t.n, share(t.crawler[block], t.n), percent(t.crawler[review], t.n),
			share(t.ranker[block], t.n), percent(t.parts[block], t.n), refused, registered, c.n, percent(c.crawler[block], c.n), percent(c.ranker[block], c.n))
	}
	fmt.Fprintf(b, "\nAt most 1 %% wrongly blocked, by crawler and ranker: %d of %d families.\n", within, len(all))
}

func unrelatedTable(b *strings.Builder, rows []row) {
	all, tallies := names(rows, func(r *row) bool { return r.side == "unrelated" })
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	b.WriteString("\nUnrelated pictures, by folder:\n\n| folder | asked | crawler: blocked | held for Review | ranker: blocked | held | with parts |\n" + rule(7))
	for _, n := range all {
		t := tallies[n]
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %s |\n", n, t.n, share(t.crawler[block], t.n), share(t.crawler[review], t.n),
			share(t.ranker[block], t.n), percent(t.ranker[review], t.n), share(t.parts[block], t.n))
	}
}
