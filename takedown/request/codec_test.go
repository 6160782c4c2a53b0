package request_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/form"
	"github.com/staydown/staydown/takedown/request"
)

var update = flag.Bool("update", false, "write schema/requests.schema.json anew")

var hashText = cmp.Transformer("text", func(h phash.Hash) string { return h.String() })

// A complete request of each kind passes validation, goes through JSON
// unchanged, and fits the schema.
func TestRequests_RoundTrip(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t, request.Schema())
	all := samples(t, takedown.CaseID{1})
	if diff := cmp.Diff(request.Kinds(), sortedKinds(all)); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
	for kind, r := range all {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			if r.Kind() != kind {
				t.Errorf("kind %v", r.Kind())
			}
			if err := request.Validate(r, nil); err != nil {
				t.Error(err)
			}
			b, err := request.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkSchema(t, schema, b); err != nil {
				t.Errorf("%v\n%.300s", err, b)
			}
			got, err := request.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, got, hashText); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func sortedKinds(m map[takedown.Kind]request.Request) (list []takedown.Kind) {
	for _, k := range request.Kinds() {
		if _, ok := m[k]; ok {
			list = append(list, k)
		}
	}
	return list
}

// What the schema says of hashes and case numbers is what the decoder takes.
func TestSchema_IsDecoder(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t, request.Schema())
	id := takedown.CaseID{1, 2, 3}.String()
	digits := strings.Repeat("0f", 32)
	for _, tc := range []struct {
		format, value, field string
		fits                 bool
	}{
		{`{"kind":"hash_entry","requester":{},"claim":"owner","hashes":[%q]}`, "pdq:" + digits, "", true},
		{`{"kind":"hash_entry","requester":{},"claim":"owner","hashes":[%q]}`, "pdq:" + strings.ToUpper(digits), "", true},
		{`{"kind":"hash_entry","requester":{},"claim":"owner","hashes":[%q]}`, digits, "", true},
		{`{"kind":"hash_entry","requester":{},"claim":"owner","hashes":[%q]}`, "p:" + digits[:16], "", true},
		{`{"kind":"hash_entry","requester":{},"claim":"owner","hashes":[%q]}`, "a:" + digits[:16], "", false},
		{`{"kind":"hash_entry","requester":{},"claim":"owner","hashes":[%q]}`, digits[1:], "", false},
		{`{"kind":"withdrawal","requester":{},"case":%q}`, id, "", true},
		{`{"kind":"withdrawal","requester":{},"case":%q}`, strings.ToUpper(id), "", true},
		{`{"kind":"withdrawal","requester":{},"case":%q}`, id[:25] + "b", "case", false},
		{`{"kind":"withdrawal","requester":{},"case":%q}`, id[:25], "case", false},
		{`{"kind":"withdrawal","requester":{},"case":%q}`, "0" + id[1:], "case", false},
	} {
		b := fmt.Appendf(nil, tc.format, tc.value)
		_, err := request.Decode(bytes.NewReader(b))
		if (err == nil) != tc.fits {
			t.Errorf("%s: decoded: %v", b, err)
		}
		var format *request.FormatError
		if errors.As(err, &format) && format.Field != tc.field && tc.field != "" {
			t.Errorf("%s: field %q", b, format.Field)
		}
		if err := checkSchema(t, schema, b); (err == nil) != tc.fits {
			t.Errorf("%s: schema: %v", b, err)
		}
	}
}

// The published schema is the one of the types.
func TestSchema_Published(t *testing.T) {
	t.Parallel()
	const path = "schema/requests.schema.json"
	if *update {
		if err := os.WriteFile(path, request.Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(request.Schema()), string(b)); diff != "" {
		t.Errorf("%s is out of date (go test -run TestSchema_Published -update):\n%s", path, diff)
	}
}

// The schema refuses what the decoder refuses.
func TestSchema_Refuses(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t, request.Schema())
	for _, s := range []string{
		`{}`,
		`{"kind":"dsa_notice"}`,
		`{"kind":"none"}`,
		`{"kind":"withdrawal","requester":{},"case":"aaaaaaaaaaaaaaaaaaaaaaaaaa","surprise":1}`,
		`{"kind":"withdrawal","requester":{"nickname":"x"},"case":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}`,
		`{"kind":"withdrawal","requester":{},"case":"short"}`,
		`{"kind":"hash_entry","requester":{},"hashes":["sha1:00"],"claim":"depicted"}`,
	} {
		if checkSchema(t, schema, []byte(s)) == nil {
			t.Errorf("the schema takes %s", s)
		}
	}
}

// Each text's limit in the struct tag, which the schema shows, is the one that
// the validation applies: one character more is too long.
func TestSchema_LimitsAreThoseOfTheValidation(t *testing.T) {
	t.Parallel()
	tested := 0
	for kind, r := range samples(t, takedown.CaseID{1}) {
		var walk func(v reflect.Value, path string, set func(reflect.Value) request.Request)
		walk = func(v reflect.Value, path string, set func(reflect.Value) request.Request) {
			for i := range v.NumField() {
				f := v.Type().Field(i)
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if v.Field(i).Kind() == reflect.Struct && v.Field(i).NumField() > 0 && v.Field(i).CanInterface() && v.Field(i).Type() != reflect.TypeOf(accepted) {
					walk(v.Field(i), path+name+".", func(inner reflect.Value) request.Request {
						outer := reflect.New(v.Type()).Elem()
						outer.Set(v)
						outer.Field(i).Set(inner)
						return set(outer)
					})
					continue
				}
				max, err := strconv.Atoi(f.Tag.Get("max"))
				if err != nil || v.Field(i).Kind() != reflect.String {
					continue
				}
				changed := reflect.New(v.Type()).Elem()
				changed.Set(v)
				changed.Field(i).SetString(strings.Repeat("ภ", max+1))
				tested++
				if !hasProblem(request.Validate(set(changed), nil), path+name) {
					t.Errorf("%v: %s takes %d characters, its tag says at most %d", kind, path+name, max+1, max)
				}
				if name == "email" || name == "phone" {
					continue // have a form of their own
				}
				changed.Field(i).SetString(strings.Repeat("ภ", max))
				if hasProblem(request.Validate(set(changed), nil), path+name) {
					t.Errorf("%v: %s does not take %d characters", kind, path+name, max)
				}
			}
		}
		walk(reflect.ValueOf(r), "", func(v reflect.Value) request.Request { return v.Interface().(request.Request) })
	}
	if tested < 100 {
		t.Errorf("only %d fields tested", tested)
	}
}

func TestDecodeRequest_Refuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, json, field string }{
		{"nothing", ``, ""},
		{"no object", `[]`, ""},
		{"cut off", `{"kind":"withdrawal"`, ""},
		{"no kind", `{"requester":{}}`, "kind"},
		{"a kind that is none", `{"kind":"wish"}`, "kind"},
		{"a kind that is no string", `{"kind":1}`, "kind"},
		{"a misspelt field", `{"kind":"withdrawal","requestor":{}}`, "requestor"},
		{"a misspelt field inside", `{"kind":"withdrawal","requester":{"mail":"x"}}`, "mail"},
		{"another type", `{"kind":"withdrawal","requester":{"email":7}}`, "requester.email"},
		{"no case number", `{"kind":"withdrawal","case":"jane"}`, "case"},
		{"two values", `{"kind":"withdrawal"} {}`, ""},
		{"a vector that is too short", `{"kind":"face_opt_out","faces":[{"model":"m","vector":[1]}]}`, ""},
		{"a face that is none", `{"kind":"face_opt_out","faces":["jane"]}`, ""},
		{"a name of a field that tells something", `{"kind":"withdrawal","jane doe lives at":1}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := request.Decode(strings.NewReader(tc.json))
			var fe *request.FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("%v, want a *FormatError", err)
			}
			if fe.Field != tc.field {
				t.Errorf("field %q, want %q", fe.Field, tc.field)
			}
			if strings.Contains(err.Error(), "jane") {
				t.Errorf("the error repeats what was written: %v", err)
			}
		})
	}
}

// What has another type is told what belongs there.
func TestDecodeRequest_Types(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ json, want string }{
		{`"image_urls":"https://example.org/a.jpg"`, "takedown: request, field image_urls: a list of strings belongs there, not a JSON string"},
		{`"images":[7]`, "takedown: request, field images: a string in base64 belongs there, not a JSON number"},
		{`"images":"AA=="`, "takedown: request, field images: a list of strings in base64 belongs there, not a JSON string"},
		{`"requester":[]`, "takedown: request, field requester: an object belongs there, not a JSON array"},
		{`"uk":"yes"`, "takedown: request, field uk: true or false belongs there, not a JSON string"},
	} {
		_, err := request.Decode(strings.NewReader(`{"kind":"gdpr_request",` + tc.json + `}`))
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v", tc.json, err)
		}
	}
}

// Of fields of which one would do, all are named.
func TestValidate_OneOfSeveral(t *testing.T) {
	t.Parallel()
	r := samples(t, takedown.CaseID{})[request.KindIntimateImage].(request.IntimateImage)
	r.Requester, r.ImageURLs, r.PageURLs, r.Images, r.Hashes = request.Requester{}, nil, nil, nil, nil
	err := request.Validate(r, nil)
	want := "takedown: 2 problem(s) with the request: requester.email or requester.phone or requester.postal_address: required, " +
		"image_urls or page_urls or images or hashes: required"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// multipartForm returns a form as a browser sends it.
func multipartForm(tb testing.TB, fields [][2]string, files map[string][]byte) *http.Request {
	tb.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			tb.Fatal(err)
		}
	}
	for name, file := range files {
		p, err := w.CreateFormFile(name, "picture.jpg")
		if err != nil {
			tb.Fatal(err)
		}
		p.Write(file)
	}
	w.Close()
	r := httptest.NewRequest("POST", "/", &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return r
}

func TestDecodeForm(t *testing.T) {
	t.Parallel()
	picture := testJPEG(t, 1)
	vector, err := json.Marshal(portrait(t, 1, 0))
	ok(t, err)
	opts := &form.Options{
		Kinds: request.Kinds(),
		Statements: map[string]request.Statement{
			"good_faith": {Text: "Accurate and complete.", Language: "en"},
			"biometric":  {ID: "face-consent", Version: "2", Text: consent, Language: "en"},
		},
		Ignore: []string{"csrf"}, Now: accepted, FaceVectors: true,
	}
	urlencoded := func(v url.Values) *http.Request {
		r := httptest.NewRequest("POST", "/", strings.NewReader(v.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		return r
	}
	shown := request.Statement{Text: "Accurate and complete.", Language: "en", Accepted: accepted}
	for _, tc := range []struct {
		name string
		form *http.Request
		want request.Request
	}{
		{"an opt-out with a picture", multipartForm(t, [][2]string{
			{"kind", "image_opt_out"}, {"requester.name", "สมชาย"}, {"requester.email", "s@example.org"}, {"requester.phone", ""}, {"claim", "owner"}, {"csrf", "123"},
			{"reason", "one\r\ntwo"},
		}, map[string][]byte{"images": picture}), request.ImageOptOut{
			Requester: request.Requester{Name: "สมชาย", Email: "s@example.org"}, Images: images(picture), Claim: request.ClaimOwner, Reason: "one\ntwo",
		}},
		{"a notice with a text area of addresses and a ticked statement", urlencoded(url.Values{
			"kind": {"dsa_notice"}, "image_urls": {"https://example.org/a.jpg\r\nhttps://example.org/b.jpg\r\n\r\n", "https://example.org/c.jpg"},
			"explanation": {"Shown without consent."}, "good_faith": {"on"}, "ground": {"privacy"},
		}), request.DSANotice{
			ImageURLs: []string{"https://example.org/a.jpg", "https://example.org/b.jpg", "https://example.org/c.jpg"}, Explanation: "Shown without consent.",
			GoodFaith: shown, Ground: request.GroundPrivacy,
		}},
		{"a statement that is not ticked is not made", urlencoded(url.Values{"kind": {"dsa_notice"}, "good_faith": {"off"}}), request.DSANotice{}},
		{"works by number", urlencoded(url.Values{
			"kind": {"dmca_notice"}, "works[1].description": {"second"}, "works[0].description": {"first"}, "works[1].kind": {"photograph"},
		}), request.DMCANotice{Works: []request.Work{{Description: "first"}, {Description: "second", Kind: "photograph"}}}},
		{"several boxes of one name", urlencoded(url.Values{"kind": {"gdpr_request"}, "rights": {"erasure", "objection"}, "uk": {"1"}}),
			request.GDPRRequest{Rights: []request.Right{"erasure", "objection"}, UK: true}},
		{"a face opt-out with pictures, a mark and the ticked consent", multipartForm(t, [][2]string{
			{"kind", "face_opt_out"}, {"requester.name", "A. Person"}, {"requester.authority", "I am her father."}, {"subject", "child"}, {"biometric", "on"},
			{"marks[0]", ""}, {"marks[1]", "0.3,0.7"},
		}, map[string][]byte{"images": picture}), request.FaceOptOut{
			Requester: request.Requester{Name: "A. Person", Authority: "I am her father."}, Subject: request.SubjectChild, Images: images(picture),
			Marks: []string{"", "0.3,0.7"}, Biometric: request.Statement{ID: "face-consent", Version: "2", Text: consent, Language: "en", Accepted: accepted},
		}},
		{"a face opt-out with a vector that the browser made", urlencoded(url.Values{"kind": {"face_opt_out"}, "faces": {string(vector)}}),
			request.FaceOptOut{Faces: []takedown.Face{portrait(t, 1, 0)}}},
		{"a case and numbers", urlencoded(url.Values{"kind": {"withdrawal"}, "case": {" " + takedown.CaseID{9}.String()}, "items": {"0", "2"}}),
			request.Withdrawal{Case: takedown.CaseID{9}, Items: []int{0, 2}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := form.Decode(tc.form, opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, hashText, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
	for _, tc := range []struct {
		name string
		form *http.Request
	}{
		{"no kind", urlencoded(url.Values{"explanation": {"x"}})},
		{"an unknown field", urlencoded(url.Values{"kind": {"dsa_notice"}, "colour": {"x"}})},
		{"the text of a statement", urlencoded(url.Values{"kind": {"dsa_notice"}, "good_faith.text": {"I said nothing"}})},
		{"the time of a statement", urlencoded(url.Values{"kind": {"dsa_notice"}, "good_faith.accepted": {"2026-01-01T00:00:00Z"}})},
		{"a statement that was not shown", urlencoded(url.Values{"kind": {"dmca_notice"}, "accurate": {"on"}})},
		{"too far a number", urlencoded(url.Values{"kind": {"dmca_notice"}, "works[100].kind": {"x"}})},
		{"a negative number", urlencoded(url.Values{"kind": {"dmca_notice"}, "works[-1].kind": {"x"}})},
		{"a vector that is none", urlencoded(url.Values{"kind": {"face_opt_out"}, "faces": {`{"model": "m", "vector": [1, 2]}`}})},
		{"a vector as a file", multipartForm(t, [][2]string{{"kind", "face_opt_out"}}, map[string][]byte{"faces": vector})},
		{"the text of the consent", urlencoded(url.Values{"kind": {"face_opt_out"}, "biometric.text": {"anything"}})},
		{"a picture as text", urlencoded(url.Values{"kind": {"image_opt_out"}, "images": {"x"}})},
		{"a text as a file", multipartForm(t, [][2]string{{"kind", "image_opt_out"}}, map[string][]byte{"reason": picture})},
		{"a text of more than a megabyte", multipartForm(t, [][2]string{{"kind", "image_opt_out"}, {"reason", strings.Repeat("x", 1<<20+1)}}, nil)},
		{"too many fields", multipartForm(t, slices.Repeat([][2]string{{"kind", "image_opt_out"}, {"reason", ""}}, 1001), nil)},
		{"bad escapes", func() *http.Request {
			r := httptest.NewRequest("POST", "/", strings.NewReader("kind=%zz"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}()},
		{"no form", httptest.NewRequest("POST", "/", strings.NewReader("{}"))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var fe *request.FormatError
			if r, err := form.Decode(tc.form, opts); !errors.As(err, &fe) {
				t.Errorf("%v, %v; want a *FormatError", r, err)
			}
		})
	}
}

// A file is read up to the limit of a picture and one byte more, which the
// validation then reports.
func TestDecodeForm_LargePicture(t *testing.T) {
	t.Parallel()
	filled := multipartForm(t, [][2]string{{"kind", "image_opt_out"}}, map[string][]byte{"images": make([]byte, 12<<20)})
	r, err := form.Decode(filled, &form.Options{Kind: request.KindImageOptOut, MaxImages: 1})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.(request.ImageOptOut).Images[0].Size(); n != 10<<20+1 {
		t.Errorf("read %d bytes", n)
	}
	if !hasProblem(request.Validate(r, nil), "images[0]") {
		t.Error("the picture passes")
	}
}

// What each kind demands, and what a gap means.
func TestValidate_Severities(t *testing.T) {
	t.Parallel()
	all := samples(t, takedown.CaseID{1})
	dmca := all[request.KindDMCANotice].(request.DMCANotice)
	gdpr := all[request.KindGDPRRequest].(request.GDPRRequest)
	for _, tc := range []struct {
		name    string
		request request.Request
		want    []string
	}{
		{"DMCA, with the elements (ii) to (iv) the rest can be cured", func() request.Request {
			r := dmca
			r.Signature, r.GoodFaith, r.Authorised.Accepted = "", request.Statement{}, request.Statement{}.Accepted
			return r
		}(), []string{"good_faith.accepted: not_accepted curable", "authorised.accepted: not_accepted curable", "signature: required curable"}},
		{"DMCA, without the work it has no effect", func() request.Request {
			r := dmca
			r.Works, r.Signature = nil, ""
			return r
		}(), []string{"works: required ineffective", "signature: required ineffective"}},
		{"DMCA, without contact it has no effect", func() request.Request {
			r := dmca
			r.Requester.Email = ""
			return r
		}(), []string{"requester.email: required ineffective"}},
		{"DMCA, what is malformed is to be corrected at once", func() request.Request {
			r := dmca
			r.ImageURLs = []string{"not an address at all://"}
			return r
		}(), []string{"image_urls[0]: invalid_address incomplete"}},
		{"GDPR, whoever can be answered is heard", request.GDPRRequest{Requester: request.Requester{Phone: "+4930123456"}},
			[]string{"requester.name: required curable", "rights: required curable", "image_urls: required curable"}},
		{"GDPR, an objection says why", func() request.Request {
			r := gdpr
			r.Situation = ""
			return r
		}(), []string{"situation: required curable"}},
		{"GDPR, nobody to answer", request.GDPRRequest{}, []string{
			"requester.name: required incomplete", "requester.email: required incomplete", "rights: required incomplete", "image_urls: required incomplete"}},
		{"an empty intimate image request", request.IntimateImage{}, []string{
			"requester.email: required incomplete", "image_urls: required incomplete",
			"no_consent.accepted: not_accepted incomplete", "minor_depicted: required incomplete", "signature: required incomplete"}},
		{"an order says where it holds", func() request.Request {
			r := all[request.KindAuthorityOrder].(request.AuthorityOrder)
			r.Territories = nil
			return r
		}(), []string{"territories: required incomplete"}},
		{"a counter-notice has a postal address", func() request.Request {
			r := all[request.KindCounterNotice].(request.CounterNotice)
			r.Requester.PostalAddress = ""
			return r
		}(), []string{"requester.postal_address: required incomplete"}},
		{"hashes look like hashes", func() request.Request {
			r := all[request.KindHashEntry].(request.HashEntry)
			r.Hashes = []phash.Hash{r.Hashes[0], r.Hashes[0], phash.FromPDQ([32]byte{1}), phash.FromPerception(1 << 32), {}}
			return r
		}(), []string{"hashes[1]: duplicate incomplete", "hashes[2]: invalid_hash incomplete", "hashes[3]: invalid_hash incomplete", "hashes[4]: invalid_hash incomplete"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, problems(request.Validate(tc.request, nil))); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProfile_Lenso(t *testing.T) {
	t.Parallel()
	full := optOut(t, 1)
	full.Requester = request.Requester{GivenName: "Ada", FamilyName: "Example", Email: "ada@example.org", Phone: "+66 81 234 5678", Country: "TH"}
	full.Reason = "I am shown."
	abuse := notice("https://example.org/a.jpg")
	abuse.Requester, abuse.Ground = request.Requester{}, request.GroundChildSexualAbuse
	for _, tc := range []struct {
		name    string
		request request.Request
		want    []string
	}{
		{"complete", full, nil},
		{"what is missing", optOut(t, 1), []string{
			"requester.given_name: required incomplete", "requester.family_name: required incomplete", "requester.phone: required incomplete",
			"requester.country: required incomplete", "reason: required incomplete"}},
		{"each problem once", request.DSANotice{}, []string{
			"requester.email: required incomplete", "image_urls: required incomplete", "explanation: required incomplete",
			"good_faith.accepted: not_accepted incomplete",
			"requester.given_name: required incomplete", "requester.family_name: required incomplete", "requester.phone: required incomplete", "requester.country: required incomplete"}},
		{"reports of child sexual abuse stay anonymous", abuse, nil},
		{"replies are not made harder", samples(t, takedown.CaseID{1})[request.KindComplaint], nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, problems(request.Validate(tc.request, []request.Profile{request.ProfileLenso}))); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever is asked for the parts of a name is not asked for the whole as well.
func TestProfile_PartsOfAName(t *testing.T) {
	t.Parallel()
	r := optOut(t, 1)
	r.Requester.Name = ""
	family := request.Profile{Require: []string{"requester.family_name"}}
	for name, tc := range map[string]struct {
		profiles []request.Profile
		want     []string
	}{
		"no profile": {nil, []string{"requester.name: required incomplete"}},
		"one part":   {[]request.Profile{family}, []string{"requester.family_name: required incomplete"}},
		"something else": {[]request.Profile{{Require: []string{"requester.phone"}}},
			[]string{"requester.name: required incomplete", "requester.phone: required incomplete"}},
	} {
		if diff := cmp.Diff(tc.want, problems(request.Validate(r, tc.profiles))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	r.Requester.FamilyName = "Person"
	ok(t, request.Validate(r, []request.Profile{family}))
}

// The JSON of a problem is for forms that show it.
func TestProblem_JSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(request.Problem{Field: "reason", Code: request.CodeTooLong, Severity: request.Curable, Params: map[string]string{"max": "5000"}})
	if want := `{"field":"reason","code":"too_long","severity":"curable","params":{"max":"5000"}}`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
}
