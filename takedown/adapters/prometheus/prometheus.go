// Package takedownprometheus exports what enforcers, lists and feeds report as
// metrics of Prometheus.
//
//	m := takedownprometheus.New()
//	registry.MustRegister(m)
//	f, err := feed.Follow(ctx, location, &feed.Options{Observer: m, …})
//	e, err := takedown.NewEnforcer(lists, &takedown.EnforcerOptions{Observer: m})
//	m.AddEnforcer(e)
//	m.AddFeed("main", f)
//	mux.Handle("/readyz", m.Ready(10*time.Minute))
//
// No metric has an address, a name, or the number of a case.
package takedownprometheus

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/blocklist/feed"
	"github.com/staydown/staydown/takedown"
)

// Metrics is a blocklist.Observer and a prometheus.Collector. It is safe for
// concurrent use.
type Metrics struct {
	operations *prometheus.HistogramVec
	failures   *prometheus.CounterVec
	objects    *prometheus.CounterVec
	verdicts   *prometheus.CounterVec

	mu        sync.Mutex
	enforcers []*takedown.Enforcer
	feeds     []namedFeed
}

type namedFeed struct {
	name string
	feed *feed.Feed
}

// New returns Metrics without enforcers and feeds.
func New() *Metrics {
	return &Metrics{
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "staydown_operation_seconds", Help: "Duration of operations; of queries, one in 1,024 is timed.",
			Buckets: prometheus.ExponentialBuckets(100e-9, 4, 16),
		}, []string{"operation"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "staydown_operation_failures_total", Help: "Operations that failed.",
		}, []string{"operation"}),
		objects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "staydown_operation_objects_total", Help: "Events, rules, cases or queries of the operations.",
		}, []string{"operation"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "staydown_verdicts_total", Help: "Decisions that were given to Count, by verdict and by the tier of the match.",
		}, []string{"verdict", "tier"}),
	}
}

// Observe implements blocklist.Observer.
func (m *Metrics) Observe(o blocklist.Observation) {
	op := string(o.Op)
	m.operations.WithLabelValues(op).Observe(o.Took.Seconds())
	m.objects.WithLabelValues(op).Add(float64(max(o.Count, 0)))
	if o.Err != nil {
		m.failures.WithLabelValues(op).Inc()
	}
}

// Count counts a decision by its verdict and by the tier of its match.
func (m *Metrics) Count(d takedown.Decision) {
	tier := "none"
	if d.Why != 0 {
		tier = d.Why.String()
	}
	m.verdicts.WithLabelValues(d.Verdict.String(), tier).Inc()
}

// AddEnforcer exports how the lists of an enforcer stand.
func (m *Metrics) AddEnforcer(e *takedown.Enforcer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.enforcers = append(m.enforcers, e)
}

// AddFeed exports how a feed stands. The name is that of its list in the enforcer.
func (m *Metrics) AddFeed(name string, f *feed.Feed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.feeds = append(m.feeds, namedFeed{name, f})
}

func (m *Metrics) watched() ([]*takedown.Enforcer, []namedFeed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.enforcers), slices.Clone(m.feeds)
}

// gauge describes a value that is read when metrics are collected.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newGauge(kind prometheus.ValueType, name, help string, labels ...string) gauge {
	return gauge{prometheus.NewDesc("staydown_"+name, help, append([]string{"list"}, labels...), nil), kind}
}

var (
	sequence = newGauge(prometheus.GaugeValue, "list_sequence", "Number of the last event of the list.")
	age      = newGauge(prometheus.GaugeValue, "list_age_seconds", "Age of the list, as for MaxAge.")
	keys     = newGauge(prometheus.GaugeValue, "list_keys", "Keys that are indexed.", "kind")
	rules    = newGauge(prometheus.GaugeValue, "list_rules", "Rules that were not revoked.")
	failing  = newGauge(prometheus.GaugeValue, "list_failing", "Operations of the list whose last run failed.")
	queries  = newGauge(prometheus.CounterValue, "list_queries_total", "Queries by tier, if the list has an observer.", "tier")

	published = newGauge(prometheus.GaugeValue, "feed_published_sequence", "Number of the last event of the publisher, as far as it is known.")
	lag       = newGauge(prometheus.GaugeValue, "feed_lag_events", "Events that are published and not in the list.")
	feedAge   = newGauge(prometheus.GaugeValue, "feed_age_seconds", "Time since the list was last known to be complete.")
	broken    = newGauge(prometheus.GaugeValue, "feed_failing", "1 if the last attempt to update failed.")
	refused   = newGauge(prometheus.GaugeValue, "feed_refused", "1 if the source offers an older list or another history.")
	ownCopy   = newGauge(prometheus.GaugeValue, "feed_own_copy_failing", "1 if the own copy is older than the list.")
	loaded    = newGauge(prometheus.CounterValue, "feed_loaded_total", "Snapshots, deltas and notes that were loaded.", "what")
	bytes     = newGauge(prometheus.CounterValue, "feed_bytes_total", "Bytes of files that were loaded.")
	polls     = newGauge(prometheus.CounterValue, "feed_requests_total", "Requests of the pointer.", "result")

	gauges = []gauge{sequence, age, keys, rules, failing, queries, published, lag, feedAge, broken, refused, ownCopy, loaded, bytes, polls}
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.vectors() {
		c.Describe(ch)
	}
	for _, g := range gauges {
		ch <- g.desc
	}
}

func (m *Metrics) vectors() []prometheus.Collector {
	return []prometheus.Collector{m.operations, m.failures, m.objects, m.verdicts}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.vectors() {
		c.Collect(ch)
	}
	put := func(g gauge, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(g.desc, g.kind, value, labels...)
	}
	enforcers, feeds := m.watched()
	for _, e := range enforcers {
		for _, l := range e.Info() {
			collectList(put, &l)
		}
	}
	for _, f := range feeds {
		collectFeed(put, f.name, f.feed.Info())
	}
}

func collectList(put func(g gauge, value float64, labels ...string), l *takedown.ListInfo) {
	put(sequence, float64(l.Position.Seq), l.Name)
	put(age, l.Age.Seconds(), l.Name)
	put(rules, float64(l.Counts.Rules), l.Name)
	put(failing, float64(len(l.Failing)), l.Name)
	for kind, n := range map[string]int{
		"address": l.Counts.Addresses, "hash": l.Counts.Hashes, "features": l.Counts.Features, "face": l.Counts.Faces,
	} {
		put(keys, float64(n), l.Name, kind)
	}
	for op, n := range l.Queries {
		put(queries, float64(n), l.Name, string(op))
	}
}

func collectFeed(put func(g gauge, value float64, labels ...string), name string, i feed.Info) {
	put(published, float64(i.Published.Seq), name)
	put(lag, float64(i.Lag), name)
	put(feedAge, i.Age.Seconds(), name)
	put(broken, is(i.Err != nil), name)
	put(refused, is(i.Refused != nil), name)
	put(ownCopy, is(i.OwnCopy != nil), name)
	put(loaded, float64(i.Bases), name, "snapshot")
	put(loaded, float64(i.Deltas), name, "delta")
	put(loaded, float64(i.Notes), name, "note")
	put(loaded, float64(i.BadNotes), name, "bad note")
	put(bytes, float64(i.Bytes), name)
	put(polls, float64(i.Polls-i.Unchanged), name, "changed")
	put(polls, float64(i.Unchanged), name, "unchanged")
}

func is(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Ready answers 200 if every feed is fresh and genuine: at most maxAge old, and not
// offered an older list or another history. Otherwise it answers 503, with a line
// for each feed that is not. Before the first AddFeed it answers 503, too.
func (m *Metrics) Ready(maxAge time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, feeds := m.watched()
		text := ""
		if len(feeds) == 0 {
			text = "no list is followed yet\n"
		}
		for _, f := range feeds {
			if err := f.feed.Ready(maxAge); err != nil {
				text += f.name + ": " + err.Error() + "\n"
			}
		}
		if text != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			text = "ready\n"
		}
		w.Write([]byte(text))
	})
}
