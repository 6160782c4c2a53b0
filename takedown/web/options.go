package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/texts"
)

// Service says who runs the pages. It is shown on all of them.
type Service struct {
	Name    string // such as "Example Search"; required
	Contact string // an email address or an address of a page
	Privacy string // the address of the privacy notice
	// Operator is the name and postal address of the company.
	Operator string
}

// Help is an organisation that helps people, for example those whose intimate
// pictures were published.
type Help struct {
	Country string // ISO 3166-1 alpha-2; empty for all countries
	Name    string
	URL     string
	Phone   string
	// About says in a few words whom it helps, by language; English is the
	// fallback.
	About map[string]string
	// Children reports that it is about pictures of children.
	Children bool
}

// Options are the options of [New].
type Options struct {
	Service Service
	// Key derives the secrets of cases and signs cookies. It has 32 bytes, stays
	// the same over restarts, and is the same for all servers of a desk.
	Key []byte
	// URL is the address at which people reach the pages, such as
	// "https://example.org/takedown", for links in letters. Path is the part of it
	// that the host strips before it calls the handler: "/takedown".
	URL  string
	Path string
	// Login recognises reviewers. Without it there is no console.
	Login Login
	// Texts writes problems and letters; nil has English and Thai.
	Texts *texts.Texts
	// Words are folders of further languages, or of other words for some entries:
	// "de.json" with the names of words/en.json. Missing entries are taken from
	// English.
	Words fs.FS
	// Languages are the languages of the pages, in the order of the switch; nil is
	// English and Thai. Others need Words.
	Languages []language.Tag
	// Style is added to the style sheet. The colours are custom properties: see
	// static/style.css.
	Style string
	// Doors are the names of the forms that are offered; nil offers all that the
	// desk can grant. See [Doors].
	Doors []string
	// Helpers are shown beside forms about intimate pictures and children. Nil has
	// three that work in many countries.
	Helpers []Help
	// Index is a sample of the operator's index, some thousand entries, in which the
	// console looks for what an acceptance would hit. All of it is read for each case
	// that is shown. Thumbnail returns a picture of it for the reviewer, as
	// JPEG or PNG. Both are optional.
	Index     takedown.Items
	Thumbnail func(ctx context.Context, key string) ([]byte, error)
	// MatchPicture returns the file of a match that a crawler reported, from the
	// host's own store, so that a reviewer sees it beside the registered picture.
	MatchPicture func(ctx context.Context, m takedown.Match) ([]byte, error)
	// ClientIP returns the address of a visitor, for limits. Nil takes that of the
	// connection, which is right where no proxy stands in front.
	ClientIP func(*http.Request) netip.Addr
	// PerHour is how many requests one network may send in an hour; 0 means 20.
	PerHour int
	// UploadBytes is how long one form may be; 0 means 64 MiB. Uploads is how many
	// are read at once; 0 means 4.
	UploadBytes int64
	Uploads     int
	// SpoolDir is the folder for sealed uploads; empty is the default folder for
	// temporary files.
	SpoolDir string
	// Drafts is how many unfinished forms are kept; 0 means 1,000. The oldest are
	// dropped first.
	Drafts int
	// Insecure sets cookies for plain HTTP, for tests on one machine.
	Insecure bool
	// Logger logs failures, without names, texts and addresses; nil logs nothing.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

var (
	errDesk    = errors.New("web: New needs a desk")
	errService = errors.New("web: Options.Service.Name is empty; people have to know who asks them")
	errKey     = errors.New("web: Options.Key needs 32 bytes")
	errPath    = errors.New("web: Options.Path has to begin with / and not to end with it, or to be empty")
	errURL     = errors.New("web: Options.URL has to be an http or https address, without a query")
)

// complete checks the options and fills in the defaults.
func (o Options) complete() (Options, error) {
	if o.Service.Name == "" {
		return o, errService
	}
	if len(o.Key) != sha256.Size {
		return o, errKey
	}
	if o.Path != "" && (o.Path[0] != '/' || strings.HasSuffix(o.Path, "/")) {
		return o, errPath
	}
	if o.URL != "" {
		u, err := url.Parse(o.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
			return o, errURL
		}
		o.URL = strings.TrimSuffix(o.URL, "/")
	}
	if o.Texts == nil {
		t, err := texts.New(nil)
		if err != nil {
			return o, err
		}
		o.Texts = t
	}
	if o.Languages == nil {
		o.Languages = []language.Tag{language.English, language.Thai}
	}
	if o.Helpers == nil {
		o.Helpers = helpers
	}
	if o.ClientIP == nil {
		o.ClientIP = remoteAddr
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	orInt(&o.PerHour, 20)
	orInt(&o.Uploads, 4)
	orInt(&o.Drafts, 1000)
	if o.UploadBytes == 0 {
		o.UploadBytes = 64 << 20
	}
	return o, nil
}

func orInt(n *int, other int) {
	if *n == 0 {
		*n = other
	}
}

// remoteAddr is the address of the connection.
func remoteAddr(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// helpers work in many countries. Operators name those of theirs in
// [Options].Helpers.
var helpers = []Help{
	{Name: "StopNCII.org", URL: "https://stopncii.org", About: map[string]string{
		"en": "adults: takes your intimate pictures off large platforms; the picture never leaves your device",
		"th": "ผู้ใหญ่: ช่วยนำภาพส่วนตัวของคุณออกจากแพลตฟอร์มใหญ่ โดยภาพไม่ออกจากเครื่องของคุณ"}},
	{Name: "Take It Down (NCMEC)", URL: "https://takeitdown.ncmec.org", Children: true, About: map[string]string{
		"en": "pictures taken before you were 18; free, without your name",
		"th": "ภาพที่ถ่ายก่อนอายุ 18 ปี ฟรี ไม่ต้องบอกชื่อ"}},
	{Name: "INHOPE", URL: "https://www.inhope.org", Children: true, About: map[string]string{
		"en": "hotlines of many countries for pictures of child sexual abuse",
		"th": "สายด่วนของหลายประเทศสำหรับแจ้งภาพการล่วงละเมิดทางเพศเด็ก"}},
}

// Login recognises the reviewers of the console. Its methods are called at once
// from several goroutines.
type Login interface {
	// Reviewer returns who sends a request. ok is false for everybody else.
	Reviewer(*http.Request) (who Reviewer, ok bool)
	// Challenge answers a request of somebody who is not logged in: a page to log
	// in, or a redirect to one.
	Challenge(http.ResponseWriter, *http.Request)
}

// Reviewer is somebody who works at the console.
type Reviewer struct {
	// ID is the code under which moves are logged: see [desk.Actor].
	ID string
	// Name is shown on the pages of the console.
	Name  string
	Roles Roles
}

// Roles are what a reviewer may do. All reviewers see the queue and the cases that
// their roles reach.
type Roles uint8

const (
	RoleDecide   Roles = 1 << iota // decides cases
	RoleChildren                   // sees and decides cases of child safety
	RolePrivacy                    // erases personal data, sets legal holds, exports
	RoleLead                       // ends cases in force, settles alarms, keeps the allow list
)

// RoleAll has all roles.
const RoleAll = RoleDecide | RoleChildren | RolePrivacy | RoleLead

// Has reports whether all roles of x are among r.
func (r Roles) Has(x Roles) bool { return r&x == x }

// actor is the reviewer as the desk logs it.
func (r Reviewer) actor(reason string) desk.Actor { return desk.Actor{By: r.ID, Reason: reason} }
