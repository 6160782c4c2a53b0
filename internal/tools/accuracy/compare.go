package main

import (
	"fmt"
	"slices"
	"strings"
)

// listed is how many changed answers compare names.
const listed = 60

// compare says what is other now than in old, among the questions that both
// have: kinds and families whose counts changed, and single answers.
func compare(old, now []row) string {
	before := map[string]*row{}
	for i := range old {
		before[old[i].key()] = &old[i]
	}
	type change struct{ was, is tally }
	changes, order, common := map[string]*change{}, []string(nil), 0
	var single []string
	for i := range now {
		is := &now[i]
		was := before[is.key()]
		if was == nil || strings.HasPrefix(is.side, "registered") {
			continue
		}
		common++
		k := is.side + " " + is.name
		if changes[k] == nil {
			changes[k] = &change{}
			order = append(order, k)
		}
		changes[k].was.add(was)
		changes[k].is.add(is)
		if was.outcome(&was.crawler) != is.outcome(&is.crawler) || was.outcome(&was.ranker) != is.outcome(&is.ranker) {
			single = append(single, fmt.Sprintf("- %s, %s ← %s: crawler %s → %s, ranker %s → %s", k, is.registered, is.asked,
				was.crawler.verdict, is.crawler.verdict, was.ranker.verdict, is.ranker.verdict))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nCompared with the other run: %d questions of both, %d answers changed.\n\n", common, len(single))
	b.WriteString("| | number | crawler: Block | Review | missed | wrong | ranker: Block |\n" + rule(7))
	slices.Sort(order)
	for _, k := range order {
		c := changes[k]
		if c.was.crawler == c.is.crawler && c.was.ranker == c.is.ranker {
			continue
		}
		fmt.Fprintf(&b, "| %s | %d |", k, c.is.n)
		for _, o := range []outcome{block, review, missed, wrong} {
			fmt.Fprintf(&b, " %d → %d |", c.was.crawler[o], c.is.crawler[o])
		}
		fmt.Fprintf(&b, " %d → %d |\n", c.was.ranker[block], c.is.ranker[block])
	}
	b.WriteString("\n" + strings.Join(single[:min(listed, len(single))], "\n") + "\n")
	if len(single) > listed {
		fmt.Fprintf(&b, "- and %d more\n", len(single)-listed)
	}
	return b.String()
}
