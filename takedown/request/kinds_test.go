package request_test

import (
	"testing"

	"github.com/staydown/staydown/internal/radius"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// The names of kinds, and the kinds that are weighed in ways of their own, belong to
// the same numbers here and on the answering side.
func TestKinds(t *testing.T) {
	t.Parallel()
	for i, name := range []string{
		"image_opt_out", "dsa_notice", "dmca_notice", "counter_notice", "objection", "gdpr_request", "intimate_image",
		"authority_order", "hash_entry", "complaint", "withdrawal", "open_opt_out", "face_opt_out", "preference", "thai_notice",
	} {
		k := request.Kind(i + 1)
		if got, err := takedown.ParseKind(name); got != k || err != nil || k.String() != name {
			t.Errorf("%s is kind %d, %v; kind %d is %v", name, got, err, k, k)
		}
		if r := request.New(k); r == nil || r.Kind() != k || request.Kinds()[i] != k {
			t.Errorf("%v: %#v, %v", k, r, request.Kinds())
		}
	}
	if len(request.Kinds()) != 15 || request.New(0) != nil || request.New(16) != nil || request.Kind(16).String() != "Kind(16)" || request.Kind(0).String() != "Kind(0)" {
		t.Error("there are others")
	}
	for k, n := range map[request.Kind]int{
		request.KindImageOptOut: radius.KindImageOptOut, request.KindOpenOptOut: radius.KindOpenOptOut,
		request.KindIntimateImage: radius.KindIntimateImage, request.KindAuthorityOrder: radius.KindAuthorityOrder,
	} {
		if int(k) != n {
			t.Errorf("%v is %d, not %d", k, k, n)
		}
	}
	if _, err := takedown.ParseKind(""); err == nil {
		t.Error("a kind without a name")
	}
}
