package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Levels of a match. What matches at one level matches at the next ones of its
// tier too, but for hashBorne: of hashBlock, those that takedown.Enforcer.Check
// would block by, because the features do not speak against them.
const (
	featuresBlock = iota
	featuresReview
	hash31
	hashBlock
	hashReview
	hashBorne
	levels
)

var levelNames = [levels]string{"features Block", "features Review", "hashes 31", "hashes Block", "hashes Review", "hashes Block, borne out"}

// identical is the radius that other users of PDQ take for copies.
const identical = 31

// Reasons by which the matches between different packages are counted.
const (
	notJudged = iota
	byBoth
	same
	part
	different
	numReasons
)

var reasons = [numReasons]string{"not judged", "both", "same", "part", "false"}

// tally counts the matches of one level.
type tally struct {
	within  map[string]int    // between pictures of one package, by its kind, but for those that both tiers confirm
	between [numReasons]int   // between different packages
	asked   map[string]int    // by kind: pictures with a false match in another package
	kinds   map[[2]string]int // false matches by the kinds of both, in order
}

// match is a line of the list.
type match struct {
	level        int
	asked, found *picture
	bits         int
	shown        bool // a match of the hashes that the features confirm
}

// count reads the list of matches that askAll wrote and prints what it comes to.
func (c *corpus) count(list io.Reader, verdicts map[[2]string]int, kinds map[string]string) (tallies [levels]tally, err error) {
	n, matches, err := c.readMatches(list)
	if err != nil {
		return tallies, err
	}
	// A pair whose features match at Block in either direction, and whose hashes
	// are within 31 bits, is confirmed by both.
	confirmed := map[[2]string]bool{}
	for _, m := range matches {
		if (m.level == featuresBlock || m.shown) && m.bits <= identical && m.asked.hashed() && m.found.hashed() {
			confirmed[pair(m.asked, m.found)] = true
		}
	}
	type mark struct {
		level int
		p     *picture
	}
	marked := map[mark]bool{}
	for l := range tallies {
		tallies[l] = tally{within: map[string]int{}, asked: map[string]int{}, kinds: map[[2]string]int{}}
	}
	for _, m := range matches {
		last := featuresReview
		switch {
		case m.level == hashBorne:
			last = hashBorne
		case m.level > last:
			last = hashReview
		}
		k := pair(m.asked, m.found)
		reason, judged := verdicts[k]
		if !judged && confirmed[k] {
			reason = byBoth
		}
		for l := m.level; l <= last; l++ {
			t := &tallies[l]
			if m.asked.pkg() == m.found.pkg() {
				if reason != byBoth {
					t.within[kinds[m.asked.pkg()]]++
				}
				continue
			}
			t.between[reason]++
			if reason != notJudged && reason != different {
				continue
			}
			a, b := kinds[m.asked.pkg()], kinds[m.found.pkg()]
			t.kinds[[2]string{min(a, b), max(a, b)}]++
			if !marked[mark{l, m.asked}] {
				marked[mark{l, m.asked}] = true
				t.asked[a]++
			}
		}
	}
	c.print(&tallies, n, kinds)
	return tallies, nil
}

// print writes the table.
func (c *corpus) print(tallies *[levels]tally, n int, kinds map[string]string) {
	var registered, asked [2]int
	inPackage := [2]map[string]int{{}, {}}
	regKind, askKind := [2]map[string]int{{}, {}}, [2]map[string]int{{}, {}}
	for i, p := range c.pics {
		for tier, ok := range []bool{p.featured(), p.hashed()} {
			if ok {
				registered[tier]++
				inPackage[tier][p.pkg()]++
				regKind[tier][kinds[p.pkg()]]++
			}
			if tier == 1 || i < n && p.size > 0 {
				asked[tier]++
				askKind[tier][kinds[p.pkg()]]++
			}
		}
	}
	var pairs [2]float64
	for i, p := range c.pics {
		if i < n && p.size > 0 {
			pairs[0] += float64(registered[0] - inPackage[0][p.pkg()])
		}
		pairs[1] += float64(registered[1] - inPackage[1][p.pkg()])
	}
	fmt.Printf("asked %d pictures by hashes, %d by features; registered %d by features, %d by hashes\n", asked[1], asked[0], registered[0], registered[1])
	for tier, name := range []string{"by features", "by hashes"} {
		fmt.Printf("%s, asked and registered:", name)
		for _, k := range slices.Sorted(maps.Keys(askKind[tier])) {
			fmt.Printf(" %s %d %d;", k, askKind[tier][k], regKind[tier][k])
		}
		fmt.Println()
	}
	for l := range tallies {
		t, tier := &tallies[l], 0
		if l > featuresReview {
			tier = 1
		}
		falses, hit := t.between[notJudged]+t.between[different], 0
		for _, k := range t.asked {
			hit += k
		}
		fmt.Printf("\n%s: within a package %v; between packages, %.4g pairs:", levelNames[l], t.within, pairs[tier])
		for r, k := range t.between {
			fmt.Printf(" %s %d", reasons[r], k)
		}
		// A list of 20,000 meets so many pairs with a query.
		const list = 20_000
		at := 1e6 * list / float64(registered[tier])
		fmt.Printf("\n  false or not judged: %d, %.3g per million pairs, at most %.3g (Poisson); per million queries at 20,000 registered %.0f, at most %.0f\n",
			falses, 1e6*float64(falses)/pairs[tier], 1e6*poissonBound(falses)/pairs[tier],
			list*1e6*float64(falses)/pairs[tier], list*1e6*poissonBound(falses)/pairs[tier])
		fmt.Printf("  asked with at least one: %d; per million queries at 20,000 registered %.0f, at most %.0f (Clopper and Pearson)\n",
			hit, at*float64(hit)/float64(asked[tier]), at*binomialBound(hit, asked[tier]))
		for _, k := range slices.Sorted(maps.Keys(askKind[tier])) {
			fmt.Printf("  %-10s asked %6d, with a false match %d, at most %.0f per million\n", k, askKind[tier][k], t.asked[k], at*binomialBound(t.asked[k], askKind[tier][k]))
		}
		fmt.Print("  kinds:")
		for _, k := range slices.SortedFunc(maps.Keys(t.kinds), func(a, b [2]string) int { return t.kinds[b] - t.kinds[a] }) {
			fmt.Printf(" %s and %s %d,", k[0], k[1], t.kinds[k])
		}
		fmt.Println()
	}
}

// readMatches reads a list of matches and how many pictures were asked for it.
func (c *corpus) readMatches(list io.Reader) (n int, matches []match, err error) {
	by := map[string]*picture{}
	for _, p := range c.pics {
		by[p.Path] = p
	}
	s := bufio.NewScanner(list)
	for s.Scan() {
		if _, err := fmt.Sscanf(s.Text(), "# asked %d by features", &n); err == nil || strings.HasPrefix(s.Text(), "#") {
			continue
		}
		f := strings.Split(s.Text(), "\t")
		if len(f) < 4 || !slices.Contains(levelNames[:], f[0]) {
			return 0, nil, fmt.Errorf("line %q of the list of matches cannot be read", s.Text())
		}
		m := match{level: slices.Index(levelNames[:], f[0]), asked: by[f[1]], found: by[f[2]]}
		m.shown = len(f) == 6 && f[4] == "true"
		if m.bits, err = strconv.Atoi(f[3]); err != nil {
			return 0, nil, err
		}
		if m.asked == nil || m.found == nil {
			return 0, nil, fmt.Errorf("the list of matches has pictures that are not there: %s, %s", f[1], f[2])
		}
		matches = append(matches, m)
		if len(f) == 6 && f[5] == "true" {
			m.level = hashBorne
			matches = append(matches, m)
		}
	}
	return min(n, len(c.pics)), matches, s.Err()
}

// pair names a pair of pictures, in either order.
func pair(p, q *picture) [2]string {
	a, b := hex.EncodeToString(p.Digest[:6]), hex.EncodeToString(q.Digest[:6])
	return [2]string{min(a, b), max(a, b)}
}

// readVerdicts reads what a person said of pairs: lines of two digests (12
// hexadecimal digits each) and "same", "part" or "false", separated by tabs.
func readVerdicts(path string) (map[[2]string]int, error) {
	v := map[[2]string]int{}
	text, err := os.ReadFile(path)
	if path == "" {
		return v, nil
	} else if err != nil {
		return nil, err
	}
	for l := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(l), "\t")
		if strings.HasPrefix(l, "#") {
			continue
		}
		if len(f) < 3 || slices.Index(reasons[:], f[2]) < same {
			return nil, fmt.Errorf("%s: line %q is not two digests and same, part or false", path, l)
		}
		v[[2]string{min(f[0], f[1]), max(f[0], f[1])}] = slices.Index(reasons[:], f[2])
	}
	return v, nil
}

// readKinds reads the second column of packages.txt; a - in front says that the
// package is not Debian's.
func readKinds(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{}
	for l := range strings.Lines(string(text)) {
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		name, kind, ok := strings.Cut(strings.TrimPrefix(l, "-"), "\t")
		if !ok {
			return nil, fmt.Errorf("%s: line %q has no kind", path, l)
		}
		name, _, _ = strings.Cut(name, "=")
		kinds[name] = kind
	}
	return kinds, nil
}

// poissonBound returns the mean of which k or fewer events have a probability of
// 5 %: the one-sided bound with 95 % confidence.
func poissonBound(k int) float64 {
	return bisect(0, float64(k)*2+20, func(mean float64) float64 {
		sum := 0.0
		for i := range k + 1 {
			g, _ := math.Lgamma(float64(i + 1))
			sum += math.Exp(float64(i)*math.Log(mean) - mean - g)
		}
		return sum
	})
}

// binomialBound returns the probability at which k or fewer of n events have a
// probability of 5 %: the upper end of Clopper and Pearson's interval, one-sided.
func binomialBound(k, n int) float64 {
	if k >= n {
		return 1
	}
	ln, _ := math.Lgamma(float64(n + 1))
	return bisect(0, 1, func(p float64) float64 {
		sum := 0.0
		for i := range k + 1 {
			a, _ := math.Lgamma(float64(i + 1))
			b, _ := math.Lgamma(float64(n - i + 1))
			sum += math.Exp(ln - a - b + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
		}
		return sum
	})
}

// bisect returns where the falling function f is 0.05.
func bisect(lo, hi float64, f func(float64) float64) float64 {
	for range 100 {
		if mid := (lo + hi) / 2; f(mid) > 0.05 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}
