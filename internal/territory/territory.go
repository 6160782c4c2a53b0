// Package territory reads codes of countries, and names of sets of them.
package territory

import (
	"errors"
	"slices"
	"strings"

	"github.com/staydown/staydown/blocklist"
)

// Sets are sets of territories that can be named where a territory can. The United
// Kingdom and Switzerland are in neither.
var Sets = map[string]string{
	"EU27":  "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK",
	"EEA30": "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK",
}

// Beyond reports whether a grant for some territories reaches places that were
// not asked for. Without territories it is for the whole world.
func Beyond(granted, asked []string) (bool, error) {
	g, err1 := Parse(granted)
	a, err2 := Parse(asked)
	wider := len(g) == 0 || slices.ContainsFunc(g, func(t blocklist.Territory) bool { return !slices.Contains(a, t) })
	return len(a) > 0 && wider, errors.Join(err1, err2)
}

// Parse reads codes of ISO 3166-1, and names of sets, without
// repetitions.
func Parse(codes []string) (list []blocklist.Territory, err error) {
	for _, code := range codes {
		members := []string{code}
		if set, ok := Sets[strings.ToUpper(code)]; ok {
			members = strings.Fields(set)
		}
		for _, m := range members {
			t, err := blocklist.ParseTerritory(m)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(list, t) {
				list = append(list, t)
			}
		}
	}
	return list, nil
}
