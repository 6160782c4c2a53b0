package takedown

import (
	"time"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/sharded"
)

// Queries of an enforcer, of which one in 1,024 is observed.
const (
	OpFilter blocklist.Op = "filter" // Filter, FilterURL and FilterPage
	OpCheck  blocklist.Op = "check"
	// OpCheckFile is CheckFile: reading and decoding included.
	OpCheckFile blocklist.Op = "check_file"
)

// observed counts the queries of an enforcer and times some of them. A nil
// *observed does nothing.
type observed struct {
	counters sharded.Counters
	to       blocklist.Observer
}

// sampleEvery is for how many queries one that is timed stands.
const sampleEvery = 1024

const (
	queryFilter = iota
	queryCheck
	queryCheckFile
)

var queryOps = [...]blocklist.Op{OpFilter, OpCheck, OpCheckFile}

// begin counts a query. It returns when the query began if it is to be timed, and
// otherwise the zero Time.
func (o *observed) begin(query int) (start time.Time) {
	if o != nil && o.counters.Add(query)%sampleEvery == 0 {
		start = time.Now()
	}
	return start
}

// end reports a query that is timed.
func (o *observed) end(query int, start time.Time) {
	if !start.IsZero() {
		o.to.Observe(blocklist.Observation{Op: queryOps[query], Took: time.Since(start), Count: sampleEvery})
	}
}
