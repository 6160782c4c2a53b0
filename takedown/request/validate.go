package request

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"image"
	"io"
	"iter"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/staydown/staydown/blocklist"
	"github.com/staydown/staydown/internal/apart"
	"github.com/staydown/staydown/internal/contact"
	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/internal/unwrap"
	"github.com/staydown/staydown/phash"
	"github.com/staydown/staydown/takedown"
)

// Limits of a request. Texts are counted in code points, so that every script
// has the same room. The struct tags "max" of the request types repeat them for
// the schema; a test holds the two together.
const (
	maxName        = 200
	maxEmail       = 254 // RFC 5321, 4.5.3.1.3
	maxPhone       = 40
	maxPostal      = 500
	maxShort       = 500
	maxText        = 5000
	maxImages      = 20
	maxImagePixels = 50_000_000         // of one image: a camera of 48 megapixels
	maxPixels      = 5 * maxImagePixels // of all images together: 20 of 12 megapixels
	maxHashes      = 100
	maxWorks       = 100
	maxAddresses   = 1000
	maxPasted      = 64 << 10 // bytes of one entry that may hold several
	maxTerritories = 300
)

// Checked is the result of a check of a request: its problems, in the order in
// which its fields are checked, and its items.
type Checked struct {
	Problems  []Problem
	Items     []Item
	Material  []Material           // of each item
	Templates map[int]FaceTemplate // of the items that are faces
	Pictures  []Picture            // one for each usable image
	Named     []Named              // by a reply, of the items of its case
	// Given are the addresses as the requester wrote them, by their canonical forms.
	Given map[string]string
	// Offers are addresses that seem to serve the same pictures as those of the items.
	Offers []Offer
	Flags  []Flag
	Regime Regime
	// Failed is the error of the embedder.
	Failed error
}

// checker checks a request.
type checker struct {
	Checked
	opts   CheckOptions
	ctx    context.Context
	pixels int64 // of all that were decoded
	unwrap []unwrap.Rule

	viewed int // distinct frames of all images
}

// CheckOptions are the options of [Check]. The zero value, and nil, are the
// defaults.
type CheckOptions struct {
	// Profiles are requirements in addition to those of the request's own type.
	Profiles []Profile
	// Mapper turns addresses of the operator's own service into those of the
	// sources.
	Mapper URLMapper
	// Lookup, unless nil, returns what the operator's index has at a canonical
	// address.
	Lookup func(address string) Found
	// Siblings, unless nil, returns the addresses of the operator's index that have a
	// [PictureKey].
	Siblings func(key string) []string
	// Unwrap are rules that come before those of the library.
	Unwrap []UnwrapRule
	// Hosts, unless nil, reports that the addresses of a host are taken although its
	// name is one of a private network.
	Hosts func(host string) bool
	// AddressesOnly skips pictures, hashes and faces.
	AddressesOnly bool
	// Desk reports that a desk makes the check. A desk looks for the faces in
	// pictures with its Embedder, if it has one.
	Desk     bool
	Embedder takedown.FaceEmbedder
	// FaceFloor is the least that a face must have to be registered.
	FaceFloor takedown.FaceFloor
	// Decoders decode pictures of formats that package phash does not: see
	// [phash.DecodeOptions].
	Decoders map[phash.Format]phash.Decoder
	// Slots, unless nil, limits the number of images that are decoded at a time to
	// its capacity, as [takedown.InspectOptions].Slots does.
	Slots chan struct{}
}

// Check looks at all of a request. It decodes its images.
func Check(ctx context.Context, r Request, opts *CheckOptions) *Checked {
	c := &checker{ctx: ctx}
	if opts != nil {
		c.opts = *opts
	}
	c.unwrap = unwrapRules(c.opts.Unwrap)
	c.run(r, c.opts.Profiles)
	c.dropNamed()
	return &c.Checked
}

// run checks r and the demands of profiles on it.
func (c *checker) run(r Request, profiles []Profile) {
	if isNil(r) {
		c.Add("kind", CodeRequired)
		return
	}
	c.Regime = requestTypes[r.Kind()].regime
	r.check(c)
	for _, p := range profiles {
		p.demand(c, r)
	}
}

// isNil reports whether there is no request: nil, or a nil pointer to one.
func isNil(r Request) bool {
	v := reflect.ValueOf(r)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// Taken reports whether the request can be accepted for review: it has no
// problems, or only problems that the operator has to ask about.
func (c *Checked) Taken() bool {
	return !slices.ContainsFunc(c.Problems, func(p Problem) bool { return p.Severity != Curable })
}

// Has reports whether a field has a problem.
func (c *Checked) Has(field string) bool {
	return slices.ContainsFunc(c.Problems, func(p Problem) bool { return p.Field == field })
}

// Flag adds a flag.
func (c *Checked) Flag(f Flag) {
	if !slices.Contains(c.Flags, f) {
		c.Flags = append(c.Flags, f)
	}
}

// Add adds a problem of a field; params are names and values.
func (c *Checked) Add(field string, code Code, params ...string) {
	p := Problem{Field: field, Code: code, Severity: Incomplete}
	for i := 0; i+1 < len(params); i += 2 {
		if p.Params == nil {
			p.Params = map[string]string{}
		}
		p.Params[params[i]] = params[i+1]
	}
	c.Problems = append(c.Problems, p)
}

// required reports a missing field unless ok.
func (c *checker) required(field string, ok bool) {
	if !ok {
		c.Add(field, CodeRequired)
	}
}

// oneOf reports a missing field, of which others could take the place, unless ok.
func (c *checker) oneOf(field string, ok bool, others ...string) {
	if !ok {
		c.Add(field, CodeRequired, "or", strings.Join(others, ","))
	}
}

// limit reports whether a list of n items is within its limit.
func (c *checker) limit(field string, n, max int) bool {
	if n > max {
		c.Add(field, CodeTooMany, "max", strconv.Itoa(max))
	}
	return n <= max
}

// missingIs sets the severity of what is missing: curable, unless one of the
// fields in core has a problem too, without which the request cannot be
// answered at all. What is there but malformed stays incomplete, because the
// person can correct it at once.
func (c *checker) missingIs(curable, otherwise Severity, core []string) {
	severity := curable
	for _, p := range c.Problems {
		for _, f := range core {
			if p.Field == f || strings.HasPrefix(p.Field, f+"[") {
				severity = otherwise
			}
		}
	}
	for i, p := range c.Problems {
		if p.Code == CodeRequired || p.Code == CodeNotAccepted {
			c.Problems[i].Severity = severity
		}
	}
}

// Err returns a [*ValidationError] with the problems, or nil.
func (c *Checked) Err() error {
	if len(c.Problems) == 0 {
		return nil
	}
	return &ValidationError{c.Problems}
}

// text checks a text of at most max code points; empty is a problem only when
// it is required.
func (c *checker) text(field, s string, required bool, max int) {
	switch {
	case strings.TrimSpace(s) == "":
		if required {
			c.Add(field, CodeRequired)
		}
	case !isText(s):
		c.Add(field, CodeNotText)
	case utf8.RuneCountInString(s) > max:
		c.Add(field, CodeTooLong, "max", strconv.Itoa(max))
	}
}

// isText refuses bytes that are not UTF-8 and control characters other than
// line breaks and tabs, and characters that turn the direction of the text beside
// them: see [fields.Unprintable]. Other format characters stay, because several
// scripts need them.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, fields.Unprintable)
}

func (c *checker) email(field, s string, required bool) {
	s = contact.Email(s)
	if s == "" {
		if required {
			c.Add(field, CodeRequired)
		}
		return
	}
	if len(s) > maxEmail || !isText(s) || !isEmail(s) {
		c.Add(field, CodeInvalidEmail)
	}
}

// isEmail reports whether mail can be sent to an address, as far as its form
// tells. Dots may stand in a local part as they should not: carriers have given
// out such addresses. The domain is one of the internet.
func isEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 || strings.ContainsFunc(s[:at], func(r rune) bool { return contact.IsBlank(r) || strings.ContainsRune("()<>[],;:\\\"@", r) }) {
		return false
	}
	labels := strings.Split(s[at+1:], ".")
	for _, l := range labels {
		if l == "" || len(l) > 63*utf8.UTFMax || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") ||
			strings.ContainsFunc(l, func(r rune) bool {
				return r != '-' && r != '\u200c' && r != '\u200d' && !unicode.In(r, unicode.L, unicode.M, unicode.Nd)
			}) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(labels) > 1 && strings.ContainsFunc(last, func(r rune) bool { return !unicode.IsDigit(r) })
}

func (c *checker) phone(field, s, country string, required bool) {
	if strings.TrimFunc(s, contact.IsBlank) == "" {
		c.required(field, !required)
		return
	}
	if _, ok := contact.Phone(s, country); !ok || utf8.RuneCountInString(s) > maxPhone {
		c.Add(field, CodeInvalidPhone)
	}
}

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)

// language checks that s has the form of a language tag (BCP 47).
func (c *checker) language(field, s string) {
	if s != "" && (len(s) > 35 || !languageTag.MatchString(s)) {
		c.Add(field, CodeInvalidLang)
	}
}

func (c *checker) country(field, s string) {
	if s == "" {
		return
	}
	if _, err := blocklist.ParseTerritory(s); err != nil {
		c.Add(field, CodeInvalidCountry)
	}
}

// distinct gives the place and the bytes of each file, which are in memory one
// at a time. One that is empty, or the same as one before it, is a problem
// instead. It ends when a file cannot be read, or the context is done.
func (c *checker) distinct(field string, files []File) iter.Seq2[int, readFile] {
	return func(yield func(int, readFile) bool) {
		seen := map[[32]byte]int{}
		for i, f := range files {
			path := fields.Index(field, i)
			if f.IsZero() {
				c.Add(path, CodeRequired)
				continue
			}
			data, sum, ok := c.read(f)
			if !ok {
				return
			}
			if of, again := seen[sum]; again {
				c.Add(path, CodeDuplicate, "of", strconv.Itoa(of))
				continue
			}
			seen[sum] = i
			if !yield(i, readFile{data, sum}) {
				return
			}
		}
	}
}

// readFile is a file that was read.
type readFile struct {
	data []byte
	sum  [32]byte // SHA-256
}

// read reads a file. If it is too large, its first bytes are enough for the
// decoder to refuse it.
func (c *checker) read(f File) (data []byte, sum [32]byte, ok bool) {
	err := c.ctx.Err()
	if err == nil {
		data, err = readLimitedFile(f, phash.DefaultMaxBytes+1)
	}
	if err != nil {
		c.Failed = cmp.Or(c.Failed, err)
		return nil, sum, false
	}
	return data, sha256.Sum256(data), true
}

func readLimitedFile(f File, max int64) ([]byte, error) {
	if f.Size() <= max {
		return f.Bytes(max)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	b := make([]byte, max)
	_, err = io.ReadFull(r, b)
	return b, errors.Join(err, r.Close())
}

// decode decodes an image of the request, of an animation its first frame.
func (c *checker) decode(path string, file []byte) (first *phash.Picture, ok bool) {
	o := c.limits()
	var pic *phash.Picture
	ok = c.within(path, file, func(pixels *int64) (err error) {
		if pic, err = phash.DecodeContext(c.ctx, bytes.NewReader(file), &o); err == nil {
			*pixels += pixelsOf(pic)
		}
		return err
	})
	if ok {
		first = pic
	}
	return first, ok
}

// views looks at each distinct frame of an image.
func (c *checker) views(path string, file []byte) (*views, bool) {
	o, vs := c.limits(), new(views)
	o.AcceptTruncated, o.MaxFrames = true, max(1, min(maxViews, maxAllViews-c.viewed))
	ok := c.within(path, file, func(pixels *int64) error {
		for pic, err := range phash.DecodeFramesContext(c.ctx, bytes.NewReader(file), &o) {
			var more *phash.LeftOutError
			if errors.As(err, &more) {
				vs.leftOut = more.LeftOut
				break
			}
			if err != nil {
				return err
			}
			*pixels += pixelsOf(pic)
			if d := pic.Damage(); d.Missing > maxMissing || d.Reason == phash.DamageBudget {
				return &phash.DecodeError{Format: pic.Format(), Reason: phash.ErrCorrupt, Detail: d.String()}
			}
			if err := vs.add(pic); err != nil {
				return err
			}
		}
		return c.ctx.Err()
	})
	if !ok {
		return nil, false // it may still be decoded
	}
	vs.ambiguous = ambiguous(file, phash.Sniff(file))
	c.viewed += len(vs.frames)
	vs.choose()
	return vs, true
}

// limits are those of decoding the next image. All images of the request together
// have a limit of pixels: a file of a few kilobytes can take seconds.
func (c *checker) limits() phash.DecodeOptions {
	return phash.DecodeOptions{MaxPixels: max(1, min(maxPixels-c.pixels, maxImagePixels)), Decoders: c.opts.Decoders}
}

func pixelsOf(pic *phash.Picture) int64 {
	w, h := pic.Size()
	return int64(w) * int64(h)
}

// within calls decode for an image whose length is within the limit, and turns its
// error into a problem. decode adds the pixels that it decodes. When the context
// ends, it goes on for a while, and nothing that it writes may be read.
func (c *checker) within(path string, file []byte, decode func(pixels *int64) error) bool {
	if len(file) > phash.DefaultMaxBytes { // also if a small picture is in front
		code, params := imageProblem(&phash.DecodeError{Reason: phash.ErrTooLarge})
		c.Add(path, code, params...)
		return false
	}
	var free func()
	if slots := c.opts.Slots; slots != nil {
		select {
		case slots <- struct{}{}:
			free = func() { <-slots }
		case <-c.ctx.Done():
			c.Failed = cmp.Or(c.Failed, c.ctx.Err())
			return false
		}
	}
	before, pixels := c.pixels, new(int64)
	err := apart.Run(c.ctx, free, func() error { return decode(pixels) })
	if failed := c.ctx.Err(); failed != nil && err != nil {
		c.Failed = cmp.Or(c.Failed, failed)
		return false
	}
	if c.pixels += *pixels; err == nil {
		return true
	}
	code, params := imageProblem(err)
	if code == CodeTooLarge && maxPixels-before < maxImagePixels {
		code, params = CodeTooManyPixels, []string{"max_pixels", strconv.Itoa(maxPixels)}
	}
	if code == CodeDamagedImage && c.pixels == before { // it was decoded up to where it is damaged
		c.pixels += min(maxPixels-before, announced(file))
	}
	c.Add(path, code, params...)
	return false
}

// maxMissing is the part of a damaged picture that may be missing. If more is
// missing, the requester has to send the whole file.
const maxMissing = 0.25

// announced returns how many pixels a file says that it has, and the most that are
// decoded of one if it cannot be told.
func announced(file []byte) int64 {
	m, _, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil || m.Width <= 0 || m.Height <= 0 || int64(m.Width) > maxImagePixels/int64(m.Height) {
		return maxImagePixels
	}
	return int64(m.Width) * int64(m.Height)
}

// images decodes each image within the limits and computes what a registration
// stores of it.
func (c *checker) images(field string, images []File, required bool) {
	if c.opts.AddressesOnly {
		return
	}
	if len(images) == 0 {
		c.required(field, !required)
		return
	}
	if !c.limit(field, len(images), maxImages) {
		return
	}
	for i, f := range c.distinct(field, images) {
		path := fields.Index(field, i)
		vs, ok := c.views(path, f.data)
		if !ok {
			continue
		}
		p, m := vs.picture(f.sum)
		c.Items = append(c.Items, Item{Field: path, Kind: ItemPicture, MaxScope: p.MaxScope})
		c.Material = append(c.Material, m)
		c.Pictures = append(c.Pictures, p)
	}
}

// namedImages is images for a reply: its pictures name what it is about, and are
// no items.
func (c *checker) namedImages(field string, images []File) {
	items, mats := len(c.Items), len(c.Material)
	c.images(field, images, false)
	for i := range c.Items[items:] {
		m := c.Material[mats+i]
		c.Named = append(c.Named, Named{Field: c.Items[items+i].Field, Picture: &m})
	}
	c.Items, c.Material = c.Items[:items], c.Material[:mats]
}

// hashKeys checks hashes that were computed elsewhere. A PDQ hash has exactly
// half of its bits set; what has not is no hash of a picture.
func (c *checker) hashKeys(field string, hashes []phash.Hash, required bool) {
	if c.opts.AddressesOnly {
		return
	}
	c.required(field, len(hashes) > 0 || !required)
	if !c.limit(field, len(hashes), maxHashes) {
		return
	}
	seen := map[phash.Hash]int{}
	for i, h := range hashes {
		path := fields.Index(field, i)
		if of, again := seen[h]; again {
			c.Add(path, CodeDuplicate, "of", strconv.Itoa(of))
			continue
		}
		seen[h] = i
		if h.Algorithm() != phash.AlgPDQ {
			c.Add(path, CodeInvalidHash)
			continue
		}
		reg, err := phash.HashesToStoreOf(h)
		if err != nil {
			c.Add(path, CodeInvalidHash)
			continue
		}
		c.Items = append(c.Items, Item{Field: path, Kind: ItemHash, MaxScope: takedown.ScopeDuplicate})
		c.Material = append(c.Material, Material{Hashes: variants(reg)})
	}
}

// choice checks that v is one of a field's values; the empty value is a
// problem only when the field is required.
func choice[T interface {
	~string
	values() []string
}](c *checker, field string, v T, required bool) {
	if v == "" {
		c.required(field, !required)
		return
	}
	if !slices.Contains(v.values(), string(v)) {
		c.Add(field, CodeInvalidChoice)
	}
}

// Named is an address, or a picture, by which a reply names what it is about.
type Named struct {
	Field, Address string
	Picture        *Material // instead of an address
}

// Stored returns the data of a checked request by which its items are recognised.
// A reply has no items of its own. For a reply, Stored returns the addresses that
// it names, as they are now, because the host may later map its texts to other
// addresses or to no address.
func (c *Checked) Stored() []Material {
	mats := c.Material
	for _, n := range c.Named {
		if n.Picture != nil {
			mats = append(mats, *n.Picture)
			continue
		}
		mats = append(mats, Material{Address: n.Address})
	}
	return mats
}

// Material is what an item is recognised by.
type Material struct {
	Address string              `json:"address,omitempty"` // canonical
	Bytes   *[32]byte           `json:"bytes,omitempty"`
	Hashes  []blocklist.HashKey `json:"hashes,omitempty"`
	// Views are those of a picture that can be registered. HashKey.View is the
	// number of one of them, from 1 on, or 0 for a hash that came without a
	// picture.
	Views []MaterialView `json:"views,omitempty"`
	// Risks are those of the whole file: see MaterialView.
	Risks []Flag `json:"risks,omitempty"`
}

// Same reports whether two items are of the same address, file or hash.
func (m *Material) Same(o *Material) bool {
	if m.Bytes != nil && o.Bytes != nil {
		return *m.Bytes == *o.Bytes
	}
	return m.Bytes == nil && o.Bytes == nil && m.Address == o.Address && slices.Equal(m.Hashes, o.Hashes)
}
