package desk

import "github.com/staydown/staydown/blocklist"

// List returns the desk's own list, for example to publish it with package
// blocklist/feed. The desk appends its events and closes it: callers only read.
func (d *Desk) List() *blocklist.List { return d.list }
