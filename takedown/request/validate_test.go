package request_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	picture := testJPEG(t, 1)
	for _, tc := range []struct {
		name    string
		request request.Request
		want    []string // field: code
	}{
		{"an opt-out", optOut(t, 1), nil},
		{"a pointer to one", func() request.Request { r := optOut(t, 1); return &r }(), nil},
		{"a notice", notice("https://example.org/a.jpg"), nil},
		{"an empty opt-out lists everything that is missing", request.ImageOptOut{}, []string{
			"requester.name: required", "requester.email: required", "images: required", "claim: required",
		}},
		{"an empty notice too", request.DSANotice{}, []string{
			"requester.name: required", "requester.email: required", "image_urls: required", "explanation: required",
			"good_faith.accepted: not_accepted",
		}},
		{"a page alone is enough", func() request.Request {
			r := notice()
			r.PageURLs = []string{"https://example.org/gallery"}
			return r
		}(), nil},
		{"nobody needs to give a name to report child sexual abuse", func() request.Request {
			r := notice("https://example.org/a.jpg")
			r.Requester, r.Ground = request.Requester{}, request.GroundChildSexualAbuse
			return r
		}(), nil},
		{"an unknown ground", func() request.Request {
			r := notice("https://example.org/a.jpg")
			r.Ground = "boredom"
			return r
		}(), []string{"ground: invalid_choice"}},
		{"each bad address by its number", notice("https://example.org/a.jpg", "", "data:image/png;base64,AAAA", "https://example.org/b.jpg"),
			[]string{"image_urls[1]: invalid_address", "image_urls[2]: invalid_address"}},
		{"one entry with too much pasted into it", notice(strings.Repeat(")", 70_000)), []string{"image_urls[0]: too_long"}},
		{"the same address pasted over and over", notice(strings.Repeat("a.example/b ", 1001)), []string{"image_urls: too_many"}},
		{"too many addresses", notice(make([]string, 1001)...), []string{"image_urls: too_many"}},
		{"representatives say for whom and why", func() request.Request {
			r := optOut(t, 1)
			r.Requester.Role = request.RoleLawyer
			return r
		}(), []string{"requester.on_behalf_of: required", "requester.authority: required"}},
		{"texts have limits in characters, not bytes", func() request.Request {
			r := optOut(t, 1)
			r.Reason = strings.Repeat("ภ", 5000)
			r.Requester.Name = strings.Repeat("x", 201)
			return r
		}(), []string{"requester.name: too_long"}},
		{"texts are text", func() request.Request {
			r := optOut(t, 1)
			r.Reason = "bell \a"
			r.Requester.Name = "bad \xff"
			return r
		}(), []string{"requester.name: not_text", "reason: not_text"}},
		{"contact details", func() request.Request {
			r := optOut(t, 1)
			r.Requester.Email, r.Requester.Phone, r.Requester.Country, r.Requester.Language = "Me, me@example.org", "12", "XX", "english!"
			return r
		}(), []string{"requester.email: invalid_email", "requester.phone: invalid_phone", "requester.country: invalid_country", "requester.language: invalid_language"}},
		{"images, each for itself", func() request.Request {
			r := optOut(t, 1)
			r.Images = images(picture, nil, []byte("no picture"), picture, picture[:len(picture)/2], []byte("\x00\x00\x00\x20ftypheic\x00\x00\x00\x00mif1heic"))
			return r
		}(), []string{"images[1]: required", "images[2]: not_an_image", "images[3]: duplicate", "images[4]: damaged_image", "images[5]: unsupported_image"}},
		{"too many images", func() request.Request {
			r := optOut(t, 1)
			r.Images = make([]request.File, 21)
			return r
		}(), []string{"images: too_many"}},
		{"an image of more than 10 MB", func() request.Request {
			r := optOut(t, 1)
			r.Images = images(append(bytes.Clone(picture), make([]byte, 10<<20)...))
			return r
		}(), []string{"images[0]: too_large"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := request.Validate(tc.request, nil)
			var got []string
			var ve *request.ValidationError
			if errors.As(err, &ve) {
				for _, p := range ve.Problems {
					got = append(got, p.Field+": "+string(p.Code))
					if p.Severity != request.Incomplete {
						t.Errorf("%s: severity %v", p.Field, p.Severity)
					}
				}
			} else if err != nil {
				t.Fatalf("Validate: %v, want a *ValidationError", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// What real people write must pass.
func TestValidate_RealPeople(t *testing.T) {
	t.Parallel()
	for _, r := range []request.Requester{
		{Name: "Suharto", Email: "suharto@example.co.id", Phone: "+62 21 345-6789", Country: "ID"},
		{Name: "สมชาย", Email: "somchai@example.co.th", Phone: "+66 (0)81 234 5678", Country: "TH", Language: "th"},
		{Name: "María-José O'Neill y Núñez", Email: "m.j.o'neill+takedown@example.es", Phone: "0034 912 345 678", Country: "ES", Language: "es-ES"},
		{Name: "渡辺 さくら", Email: "sakura@例え.テスト", Phone: "+81-90-1234-5678", Country: "JP", Language: "ja"},
		{Name: "محمد", Email: "m@example.org", Phone: "+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", Country: "SA", Language: "ar"},
		{Name: "ปุ๊ก", Email: " pook@ตัวอย่าง.ไทย ", Phone: "＋๖๖ ๘๑–๒๓๔–๕๖๗๘", Country: "TH", Language: "th-TH"},
		{Name: "น.ส. พิมพ์ชนก ณ อยุธยา", Email: "<pim@example.org>", Phone: "\u202a+66 2 123 4567\u202c"},
		{Name: "X Æ A-12", Email: "mailto:x@example.org.", Phone: "tel:0066812345678"},
		{Name: "ဒေါ်အောင်ဆန်း", Email: "a@example.org\n", Phone: "+95 9 123 456 789"},
		{Name: "中村", Email: "foo..bar@docomo.ne.jp", Phone: "090-1234-5678", Country: "JP"},
		{Name: "中村", Email: "foo.@docomo.ne.jp", Phone: "+81 90 1234 5678"},
		{Name: "A. Person", Email: `A. Person <a@b.example>`, Phone: "+1 (202) 555-0100 ext. 12", Country: "US"},
		{Name: "B. Person", Email: `"B., Person" <b@b.example>.`, Phone: "+1 202 555 0100 x12"},
		{Name: "สมหญิง", Email: "s@example.co.th", Phone: "081-234-5678", Country: "TH"},
		{Name: "ปุ๊ก", Email: "p@xn--12cl9ca5a0ai1ad0bea0clb11a0e.xn--o3cw4h", Phone: "(02) 123 4567", Country: "th"},
		{Name: "नन्दिनी\u200dक", Email: "n@example.in", Phone: "+91.98765.43210", Country: "IN", Language: "hi"},
	} {
		o := optOut(t, 1)
		o.Requester = r
		if err := request.Validate(o, nil); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
}

// What is nothing must not pass.
func TestValidate_Nonsense(t *testing.T) {
	t.Parallel()
	for _, email := range []string{
		"a@b", "a@-.-", "a@.example", "a@b..example", "a b@c.example", "@b.example", "a@", "a@b@c.example", "a@127.0.0.1", "a@[127.0.0.1]", "<a@b.example", "a,b@c.example",
		strings.Repeat("a", 65) + "@b.example", "a@b_c.example",
	} {
		o := optOut(t, 1)
		o.Requester.Email = email
		if got := problems(request.Validate(o, nil)); len(got) != 1 || !strings.HasPrefix(got[0], "requester.email: invalid_email") {
			t.Errorf("%q: %v", email, got)
		}
	}
	for _, phone := range []string{"081-234-5678", "+0 1234567", "12", "+1 202 555 0100 ask for Bob", "0x12345678"} {
		o := optOut(t, 1)
		o.Requester.Phone = phone // without a country
		if got := problems(request.Validate(o, nil)); len(got) != 1 || !strings.HasPrefix(got[0], "requester.phone: invalid_phone") {
			t.Errorf("%q: %v", phone, got)
		}
	}
	for _, u := range []string{
		"https://localhost/", "http://127.0.0.1/x.jpg", "http://2130706433/", "http://[::1]/", "http://10.0.0.1/x.jpg", "http://192.168.1.1/", "http://169.254.1.1/",
		"https://intranet/x.jpg", "https://x.localhost/", "https://user:pw@a.example/x.jpg", "https://user@a.example/",
		"https://nas.local/x.jpg", "https://photos.corp.internal/x.jpg", "http://router.lan/x.jpg",
	} {
		if got := problems(request.Validate(notice(u), nil)); len(got) != 1 || !strings.HasPrefix(got[0], "image_urls[0]: internal_address") {
			t.Errorf("%q: %v", u, got)
		}
	}
	for _, u := range []string{"https://8.8.8.8/x.jpg", "https://[2606:4700::1111]/x.jpg", "https://a.example/@user/x.jpg"} {
		ok(t, request.Validate(notice(u), nil))
	}
}

// Pictures that are small as files and large in memory take their time once, not
// twenty times.
func TestValidate_ManyPixels(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes 250 megapixels")
	}
	t.Parallel()
	var files []request.File
	for i := range 7 {
		m := image.NewPaletted(image.Rect(0, 0, 7_000, 7_000), greys[i:i+1])
		var b bytes.Buffer
		ok(t, png.Encode(&b, m))
		files = append(files, request.FromBytes(b.Bytes()))
	}
	r := optOut(t, 1)
	r.Images = files
	if got, want := problems(request.Validate(r, nil)), []string{"images[5]: too_many_pixels", "images[6]: too_many_pixels"}; len(got) != 2 || !strings.HasPrefix(got[0], want[0]) || !strings.HasPrefix(got[1], want[1]) {
		t.Errorf("problems %v, want %v", got, want)
	}
}

// A damaged picture takes its time as well, so it counts too, by what its file
// says: small ones leave room for the rest.
func TestValidate_DamagedPixels(t *testing.T) {
	t.Parallel()
	cutOff := func(side, shade int) []byte {
		m := image.NewPaletted(image.Rect(0, 0, side, side), greys[shade:shade+2])
		for i := range min(len(m.Pix), 1<<16) { // not to be compressed away
			m.Pix[i] = byte(uint32(i) * 2654435761 >> 13 & 1)
		}
		var b bytes.Buffer
		ok(t, png.Encode(&b, m))
		data := bytes.Index(b.Bytes(), []byte("IDAT")) + 4
		return b.Bytes()[:(data+b.Len()-16)/2]
	}
	r := optOut(t, 1)
	for i := range 8 {
		r.Images = append(r.Images, request.FromBytes(cutOff(8, i)))
	}
	want := make([]string, 8)
	for i := range want {
		want[i] = "damaged_image"
	}
	codes := func() (list []string) {
		for _, p := range problems(request.Validate(r, nil)) {
			_, code, _ := strings.Cut(p, ": ")
			code, _, _ = strings.Cut(code, " ")
			list = append(list, code)
		}
		return list
	}
	if diff := cmp.Diff(want, codes()); diff != "" {
		t.Errorf("small ones (-want +got):\n%s", diff)
	}
	if testing.Short() {
		t.Skip("decodes 250 megapixels")
	}
	r.Images = nil
	for i := range 8 {
		r.Images = append(r.Images, request.FromBytes(cutOff(7_000, i)))
	}
	want[5], want[6], want[7] = "too_many_pixels", "too_many_pixels", "too_many_pixels"
	if diff := cmp.Diff(want, codes()); diff != "" {
		t.Errorf("large ones (-want +got):\n%s", diff)
	}
}

// Blanks are no telephone number and no postal address: who gives nothing else
// cannot be reached.
func TestValidate_BlankContact(t *testing.T) {
	t.Parallel()
	g := samples(t, takedown.CaseID{})[request.KindGDPRRequest].(request.GDPRRequest)
	n := notice("https://example.org/a.jpg")
	for _, blank := range []string{"", " ", "\u200b\u00a0"} {
		g.Requester.Email, g.Requester.Phone, g.Requester.PostalAddress = "", blank, blank
		if err := request.Validate(g, nil); !hasProblem(err, "requester.email") {
			t.Errorf("%q: %v", blank, err)
		}
		n.Requester.Email, n.Requester.Phone, n.Requester.PostalAddress = "", blank, blank
		if got := problems(request.Validate(n, nil)); !slices.Contains(got, "requester.email: required "+request.Incomplete.String()) {
			t.Errorf("notice, %q: %v", blank, got)
		}
	}
}

// The text of an error can end up in a log; what the person wrote must not.
func TestValidationError_TellsNothingPersonal(t *testing.T) {
	t.Parallel()
	o := optOut(t, 1)
	o.Requester.Email = "not-an-address-of-jane.doe"
	o.Examples = []string{"ftp://jane.example/"}
	err := request.Validate(o, nil)
	if err == nil {
		t.Fatal("no problem found")
	}
	if strings.Contains(err.Error(), "jane") {
		t.Errorf("the error repeats what was written: %v", err)
	}
	var ve *request.ValidationError
	if !errors.As(err, &ve) {
		t.Fatal(err)
	}
	for _, p := range ve.Problems {
		for k, v := range p.Params {
			if strings.Contains(v, "jane") {
				t.Errorf("%s: parameter %s repeats what was written", p.Field, k)
			}
		}
	}
}
