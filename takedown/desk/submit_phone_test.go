package desk_test

import (
	"bytes"
	"testing"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// The same person is told by their phone number, however it is written, and
// somebody else in the same office is not.
func TestSubmit_SamePhone(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	entry := samples(t, takedown.CaseID{})[request.KindHashEntry].(request.HashEntry)
	for _, tc := range []struct {
		first, second request.Requester
		same          bool
	}{
		{request.Requester{Phone: "+66 81 234 5678"}, request.Requester{Phone: "+๖๖ 𝟪𝟣-𝟸𝟹𝟺-𝟻𝟼𝟽𝟾"}, true},
		{request.Requester{Phone: "081-234-5678", Country: "TH"}, request.Requester{Phone: "0812345678", Country: "th"}, true},
		{request.Requester{Phone: "081-234-5678", Country: "TH"}, request.Requester{Phone: "081-234-5678", Country: "JP"}, false},
		{request.Requester{Phone: "+1 202 555 0100 ext 12"}, request.Requester{Phone: "+12025550100x12"}, true},
		{request.Requester{Phone: "+1 202 555 0100 ext 12"}, request.Requester{Phone: "+1 202 555 0100 ext 13"}, false},
	} {
		entry.Requester = tc.first
		a := o.submit(t, entry)
		entry.Requester = tc.second
		b := o.submit(t, entry)
		if one, two := o.Record(a.ID).Party, o.Record(b.ID).Party; bytes.Equal(one, two) != tc.same || len(one) == 0 {
			t.Errorf("%s and %s: the same %t, want %t", tc.first.Phone, tc.second.Phone, !tc.same, tc.same)
		}
	}
}
