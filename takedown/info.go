package takedown

import (
	"time"

	"github.com/staydown/staydown/blocklist"
)

// ListInfo is how a list stands: what an operator watches, and alerts on before
// answers become [Unknown]. Besides the age, watch Failing, which has the error of
// the last Reload, and FacesUntil: after it no face is found until a newer snapshot
// is loaded.
type ListInfo struct {
	Name string
	blocklist.Info
	// Age is how old the list is, as EnforcerOptions.MaxAge counts it; 0 for a
	// list that is never old.
	Age time.Duration
	// Closed reports that the list is closed: the answers are Unknown.
	Closed bool
}

// Info returns how the lists stand, in their order.
func (e *Enforcer) Info() []ListInfo {
	all, now := make([]ListInfo, len(e.sources)), e.now()
	for i := range e.sources {
		s := &e.sources[i]
		all[i] = ListInfo{s.name, s.list.Info(), s.age(now), e.closed.Load() || s.list.Closed()}
	}
	return all
}
