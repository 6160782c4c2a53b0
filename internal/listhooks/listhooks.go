// Package listhooks passes what tests of lists need from package blocklist to the
// packages that open lists, without a name in their public interface.
package listhooks

import (
	"time"

	"github.com/staydown/staydown/internal/fsx"
)

// Hooks are the hidden part of blocklist.Options.
type Hooks struct {
	FS     fsx.FS        // of snapshots, keys, and names of the journal; the operating system's if nil
	Forget time.Duration // how often to look for pictures that ended; a day if 0
	NoSync bool          // of the journal
}

// Of returns the hooks of a *blocklist.Options. Package blocklist sets it.
var Of func(opts any) Hooks
