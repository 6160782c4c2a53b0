package takedown

import (
	"time"

	"github.com/staydown/staydown/blocklist"
)

// ListInfo is the state of a list, for monitoring. Alert on it before answers
// become [Unknown]. Besides the age, watch Failing, which has the error of the
// last Reload, and FacesUntil. After FacesUntil no face is found until a newer
// snapshot is loaded.
type ListInfo struct {
	Name string
	blocklist.Info
	// Age is the age of the list, as for EnforcerOptions.MaxAge; 0 for a list that
	// is never too old.
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
