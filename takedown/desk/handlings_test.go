package desk_test

import (
	"testing"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// Every kind says how the desk handles it; replies, and only replies, do something
// to another case. A new reply without a row would be accepted and do nothing.
func TestHandlings(t *testing.T) {
	t.Parallel()
	for _, k := range request.Kinds() {
		found, target := desk.HandlingOf(k)
		if !found || target != request.IsReply(k) {
			t.Errorf("%v: a row %t, about another case %t; a reply %t", k, found, target, request.IsReply(k))
		}
	}
}
