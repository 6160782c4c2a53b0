package main

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
	takedownhttp "github.com/staydown/staydown/takedown/adapters/http"
)

// pdqType is the only signal type of hasher-matcher-actioner that is spoken.
const pdqType = "pdq"

// hmaFile returns the file of a call: the one of url=, or the one of a form whose
// field is named after its content type.
func (s *server) hmaFile(r *http.Request) (io.ReadCloser, takedown.Source, error) {
	if r.Method == http.MethodGet {
		u := r.URL.Query().Get("url")
		if u == "" {
			return nil, takedown.Source{}, apiErrorf(http.StatusBadRequest, "url is missing")
		}
		if t := r.URL.Query().Get("content_type"); t != "" && t != "photo" {
			return nil, takedown.Source{}, apiErrorf(http.StatusBadRequest, "content_type: only photo is hashed")
		}
		body, mediaType, urls, err := s.fetch.get(r.Context(), u)
		switch {
		case errors.Is(err, errHost):
			return nil, takedown.Source{}, apiErrorf(http.StatusForbidden, "this host may not be fetched from: see --fetch-host")
		case errors.Is(err, errTooLong):
			return nil, takedown.Source{}, err
		case err != nil:
			return nil, takedown.Source{}, apiErrorf(http.StatusBadRequest, "%v", err)
		}
		return body, takedown.Source{ImageURL: u, Aliases: urls, MediaType: mediaType}, nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, takedown.Source{}, apiErrorf(http.StatusBadRequest, "a form with one file is expected: %v", err)
	}
	part, err := form.NextPart()
	if err != nil {
		return nil, takedown.Source{}, apiErrorf(http.StatusBadRequest, "a form with one file is expected")
	}
	if part.FormName() != "photo" {
		return nil, takedown.Source{}, apiErrorf(http.StatusBadRequest, "the field of the file is to be called photo; other content types are not hashed")
	}
	return part, takedown.Source{MediaType: part.Header.Get("Content-Type")}, nil
}

// hmaPicture decodes the file of a call, and returns its hash.
func (s *server) hmaPicture(r *http.Request) (h phash.Hash, err error) {
	body, _, err := s.hmaFile(r)
	if err != nil {
		return h, err
	}
	defer body.Close()
	select {
	case s.opts.Slots <- struct{}{}:
		defer func() { <-s.opts.Slots }()
	case <-r.Context().Done():
		return h, r.Context().Err()
	}
	opts := decoding()
	opts.AcceptTruncated, opts.MaxBytes = true, s.c.MaxBytes
	pic, err := phash.DecodeContext(r.Context(), body, opts)
	if errors.As(err, new(*phash.DecodeError)) {
		return h, apiErrorf(http.StatusBadRequest, "not a picture that can be decoded")
	}
	if err != nil {
		return h, err
	}
	h, _ = pic.PDQ()
	return h, nil
}

// hexOf is the form of a hash without a prefix.
func hexOf(h phash.Hash) string { return hex.EncodeToString(h.Bytes()) }

// parseHex reads a PDQ hash in the form of hexOf.
func parseHex(text string) (h phash.Hash, err error) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return h, err
	}
	return phash.FromPDQSlice(b)
}

func (s *server) hmaHash(_ http.ResponseWriter, r *http.Request) (any, error) {
	if types := r.URL.Query().Get("types"); types != "" && !slices.Contains(strings.Split(types, ","), pdqType) {
		return map[string]string{}, nil
	}
	h, err := s.hmaPicture(r)
	if err != nil {
		return nil, err
	}
	return map[string]string{pdqType: hexOf(h)}, nil
}

// hmaSignal reads signal= and signal_type=.
func hmaSignal(r *http.Request) (h phash.Hash, err error) {
	q := r.URL.Query()
	if t := q.Get("signal_type"); t != pdqType {
		return h, apiErrorf(http.StatusBadRequest, "signal_type: pdq is expected")
	}
	if h, err = parseHex(q.Get("signal")); err != nil {
		return h, apiErrorf(http.StatusBadRequest, "signal: 64 hex digits are expected")
	}
	return h, nil
}

// hmaMatch is an element of a bank.
type hmaMatch struct {
	ID       uint64 `json:"bank_content_id"`
	Distance string `json:"distance"`
}

// bankOf is the name of a list as a bank.
func bankOf(list string) string {
	if list == "" {
		return "MAIN"
	}
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, list))
}

// hmaMatches asks for a hash. Callers take every match for a block, so those that
// only hold for review are left out unless all is set.
func (s *server) hmaMatches(r *http.Request, h phash.Hash, all bool) (map[string][]hmaMatch, error) {
	if slices.ContainsFunc(s.e.Info(), func(i takedown.ListInfo) bool { return i.Closed }) {
		return nil, apiErrorf(http.StatusServiceUnavailable, "index not yet ready")
	}
	var only []string
	if banks := r.URL.Query().Get("banks"); banks != "" {
		only = strings.Split(banks, ",")
	}
	found := map[string][]hmaMatch{}
	for d := range s.e.Matches(takedown.Candidate{Hashes: []phash.Hash{h}}) {
		bank := bankOf(d.List)
		if d.Verdict != takedown.Block && !all || only != nil && !slices.Contains(only, bank) {
			continue
		}
		m := hmaMatch{d.Rule, strconv.Itoa(d.Distance)}
		if s.hides(&d) {
			m = hmaMatch{0, "0"}
		}
		s.verdicts.WithLabelValues(d.Verdict.String()).Inc()
		if !slices.Contains(found[bank], m) {
			found[bank] = append(found[bank], m)
		}
	}
	return found, nil
}

func (s *server) hmaLookup(_ http.ResponseWriter, r *http.Request) (any, error) {
	if r.Method == http.MethodGet && r.URL.Query().Has("signal") {
		h, err := hmaSignal(r)
		if err != nil {
			return nil, err
		}
		return s.hmaMatches(r, h, false)
	}
	h, err := s.hmaPicture(r)
	if err != nil {
		return nil, err
	}
	m, err := s.hmaMatches(r, h, false)
	return map[string]any{pdqType: m}, err
}

func (s *server) hmaRawLookup(_ http.ResponseWriter, r *http.Request) (any, error) {
	h, err := hmaSignal(r)
	if err != nil {
		return nil, err
	}
	banks, err := s.hmaMatches(r, h, true)
	if err != nil {
		return nil, err
	}
	all, ids := []hmaMatch{}, []uint64{}
	for _, m := range banks {
		all = append(all, m...)
	}
	slices.SortFunc(all, func(a, b hmaMatch) int { return cmp.Compare(a.ID, b.ID) })
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	if yes, _ := strconv.ParseBool(r.URL.Query().Get("include_distance")); yes {
		return map[string]any{"matches": all}, nil
	}
	return map[string]any{"matches": ids}, nil
}

func (s *server) hmaCompare(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in map[string][]string
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&in); err != nil {
		return nil, apiErrorf(http.StatusBadRequest, "an object of signal types with two signals each is expected")
	}
	out := map[string]any{}
	for t, pair := range in {
		if t != pdqType || len(pair) != 2 {
			return nil, apiErrorf(http.StatusBadRequest, "two signals of type pdq are expected")
		}
		var h [2]phash.Hash
		for i, text := range pair {
			var err error
			if h[i], err = parseHex(text); err != nil {
				return nil, apiErrorf(http.StatusBadRequest, "64 hex digits are expected")
			}
		}
		d, _ := h[0].Distance(h[1])
		out[t] = []any{d <= phash.AlgPDQ.Radii(0).Block, map[string]int{"distance": d}}
	}
	return out, nil
}

func (s *server) hmaIndexStatus(_ http.ResponseWriter, r *http.Request) (any, error) {
	size, built := 0, int64(0)
	for _, l := range s.lists {
		state := l.List.State()
		size += state.HashCount(phash.AlgPDQ)
		at := l.List.Info().Opened
		if t := state.SnapshotTime(); !t.IsZero() {
			at = t
		}
		if built == 0 || at.Unix() < built {
			built = at.Unix()
		}
	}
	return map[string]any{pdqType: map[string]any{"present": true, "built_to": built, "size": size}}, nil
}

// hmaBankOf describes a list.
func hmaBankOf(name string) map[string]any {
	return map[string]any{"name": bankOf(name), "matching_enabled_ratio": 1.0}
}

func (s *server) hmaBanks(http.ResponseWriter, *http.Request) (any, error) {
	banks := []any{}
	for _, l := range s.lists {
		banks = append(banks, hmaBankOf(l.Name))
	}
	return banks, nil
}

// bank finds the list of a bank.
func (s *server) bank(r *http.Request) (*takedown.ListSource, error) {
	for i := range s.lists {
		if bankOf(s.lists[i].Name) == r.PathValue("bank") {
			return &s.lists[i], nil
		}
	}
	return nil, apiErrorf(http.StatusNotFound, "no such bank")
}

func (s *server) hmaBank(_ http.ResponseWriter, r *http.Request) (any, error) {
	l, err := s.bank(r)
	if err != nil {
		return nil, err
	}
	return hmaBankOf(l.Name), nil
}

// hmaContent shows a rule. A list has no keys to show.
func (s *server) hmaContent(_ http.ResponseWriter, r *http.Request) (any, error) {
	l, err := s.bank(r)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	rule, state, ok := l.List.State().Rule(id)
	d := takedown.Decision{List: l.Name, Case: rule.Case}
	if err != nil || !ok || s.hides(&d) {
		return nil, apiErrorf(http.StatusNotFound, "no such content")
	}
	until := 1 // enabled
	if state != blocklist.RuleInForce {
		until = 0
	}
	return map[string]any{"id": id, "disable_until_ts": until, "note": "case " + takedown.CaseID(rule.Case).String(), "signals": map[string]string{}}, nil
}

func (s *server) hmaExchanges(http.ResponseWriter, *http.Request) (any, error) {
	return []any{}, nil
}

// checkItem is one question of /v1/check.
type checkItem struct {
	ID      string       `json:"id,omitempty"`
	URL     string       `json:"url,omitempty"`
	Page    string       `json:"page,omitempty"`
	Hashes  []phash.Hash `json:"hashes,omitempty"`
	SHA256  string       `json:"sha256,omitempty"`
	Country string       `json:"country,omitempty"`
}

// checkRequest is the JSON body of /v1/check.
type checkRequest struct {
	checkItem
	Items []checkItem `json:"items,omitempty"`
}

// checkAnswer is the answer about one item.
type checkAnswer struct {
	ID       string            `json:"id,omitempty"`
	Decision takedown.Decision `json:"decision"`
}

// Limits of /v1/check.
const (
	maxCheckItems = 1000
	maxCheckJSON  = 4 << 20
)

func (s *server) check(_ http.ResponseWriter, r *http.Request) (any, error) {
	q := r.URL.Query()
	item := checkItem{URL: q.Get("url"), Page: q.Get("page"), SHA256: q.Get("sha256"), Country: q.Get("country")}
	for _, text := range q["hash"] {
		h, err := phash.Parse(text)
		if err != nil {
			return nil, apiErrorf(http.StatusBadRequest, "hash: %v", err)
		}
		item.Hashes = append(item.Hashes, h)
	}
	if r.Method == http.MethodGet {
		return s.decide(&item)
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "application/json" {
		return s.checkBody(r, &item)
	}
	var in checkRequest
	data, err := io.ReadAll(io.LimitReader(r.Body, maxCheckJSON+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxCheckJSON {
		return nil, errTooLong
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, apiErrorf(http.StatusBadRequest, "not the JSON of a question: %v", err)
	}
	if in.Items == nil {
		return s.decide(&in.checkItem)
	}
	if len(in.Items) > maxCheckItems {
		return nil, apiErrorf(http.StatusRequestEntityTooLarge, "at most %d items are answered at a time", maxCheckItems)
	}
	answers := make([]checkAnswer, len(in.Items))
	for i := range in.Items {
		a, err := s.decide(&in.Items[i])
		if err != nil {
			return nil, apiErrorf(http.StatusBadRequest, "item %d: %v", i, err)
		}
		answers[i] = *a
	}
	return map[string]any{"items": answers}, nil
}

// region returns the view of a country, and of everywhere for "".
func (s *server) region(country string) (region, error) {
	if country == "" {
		return s.e, nil
	}
	in := s.e.In(country)
	if err := in.Err(); err != nil {
		return nil, apiErrorf(http.StatusBadRequest, "country: %v", err)
	}
	return in, nil
}

// region is an Enforcer or a Region.
type region interface {
	takedownhttp.FileFilter
	Check(takedown.Candidate) takedown.Decision
}

func (s *server) decide(x *checkItem) (*checkAnswer, error) {
	in, err := s.region(x.Country)
	if err != nil {
		return nil, err
	}
	c := takedown.Candidate{Hashes: x.Hashes}
	if x.URL != "" {
		c.ImageURLs = []string{x.URL}
	}
	if x.Page != "" {
		c.PageURLs = []string{x.Page}
	}
	if x.SHA256 != "" {
		if c.SHA256, err = parseSHA256(x.SHA256); err != nil {
			return nil, apiErrorf(http.StatusBadRequest, "%v", err)
		}
	}
	if len(c.ImageURLs)+len(c.PageURLs)+len(c.Hashes) == 0 && x.SHA256 == "" {
		return nil, apiErrorf(http.StatusBadRequest, "one of url, page, hashes and sha256 is required")
	}
	return &checkAnswer{x.ID, s.shown(in.Check(c))}, nil
}

// checkBody looks at a picture.
func (s *server) checkBody(r *http.Request, x *checkItem) (any, error) {
	in, err := s.region(x.Country)
	if err != nil {
		return nil, err
	}
	src := takedown.Source{ImageURL: x.URL, PageURL: x.Page, MediaType: r.Header.Get("Content-Type")}
	body := http.MaxBytesReader(nil, r.Body, s.c.MaxBytes)
	d, _, err := in.CheckFile(r.Context(), body, src, s.opts)
	if undecodable(err) || d.Verdict == takedown.Block {
		err = nil // the decision says what it means
	}
	if err != nil {
		return nil, err
	}
	return &checkAnswer{Decision: s.shown(d)}, nil
}

// uploadStatus answers an upload.
func (s *server) uploadStatus(d takedown.Decision) int {
	if d.Verdict == takedown.Review || d.Verdict == takedown.Restricted {
		return http.StatusAccepted
	}
	return takedownhttp.DefaultStatus(d)
}

func (s *server) uploadRefused(w http.ResponseWriter, _ *http.Request, status int, d takedown.Decision) {
	writeJSON(w, status, checkAnswer{Decision: s.shown(d)})
}

func (s *server) uploadKept(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, checkAnswer{Decision: s.shown(takedownhttp.DecisionOf(r.Context()))})
}
