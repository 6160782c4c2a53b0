package texts

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/staydown/staydown/takedown/desk"
	"github.com/staydown/staydown/takedown/request"
)

// FaceConsentVersion is the version of the consent texts of the library. It changes
// with every change of their meaning. A stored [request.Statement] has the text itself.
const FaceConsentVersion = "1"

// FaceConsent describes what a person agrees to who asks to be kept out by face.
type FaceConsent struct {
	// Service is the name of the service, and Contact where a withdrawal can be sent.
	// Both are required.
	Service, Contact string
	// Keep is how long the template is kept if nobody withdraws: see
	// desk.Options.FaceTerm. 0 means desk.DefaultFaceTerm, and a negative duration
	// until the withdrawal.
	Keep time.Duration
	// Nodes is how long other computers of the service may use a copy after a
	// withdrawal: desk.Options.FaceLifetime. 0 means seven days.
	Nodes time.Duration
	// Recipients are those who get a copy of the template beside the computers of the
	// service, as a list in the language of the text. Empty means nobody.
	Recipients string
}

// consentView is what the template of a consent text sees.
type consentView struct {
	FaceConsent
	Years, Months, Days int // of Keep: years and months, or none
}

// FaceConsent returns the statement that a form shows before a face opt-out, in the
// language that fits lang best. It names the purpose, the time of storage, the
// recipients, and how to withdraw. Its Accepted is zero: set it when the person
// accepts. Have a lawyer of your country read the text: it is written for the GDPR and
// for laws that ask for a written release, and is not legal advice.
func (t *Texts) FaceConsent(lang string, c FaceConsent) (request.Statement, error) {
	if strings.TrimSpace(c.Service) == "" || strings.TrimSpace(c.Contact) == "" {
		return request.Statement{}, errors.New("takedown: texts: a consent names the service and where a withdrawal can be sent")
	}
	const day = 24 * time.Hour
	if c.Keep == 0 {
		c.Keep = desk.DefaultFaceTerm
	}
	if c.Nodes == 0 {
		c.Nodes = 7 * day
	}
	v := consentView{FaceConsent: c, Days: int((c.Nodes + day - 1) / day)}
	if c.Keep > 0 {
		months := max(1, int((c.Keep+15*day)*12/(365*day)))
		v.Years, v.Months = months/12, months%12
	}
	cat := t.pick(lang)
	if cat.Templates == nil || cat.Templates.Lookup("face_consent") == nil {
		cat = t.catalogues[0]
	}
	var b strings.Builder
	if err := cat.Templates.ExecuteTemplate(&b, "face_consent", v); err != nil {
		return request.Statement{}, fmt.Errorf("takedown: texts of %v: %w", cat.Language, err)
	}
	return request.Statement{
		Text: strings.TrimSpace(b.String()), ID: "staydown-face-consent", Version: FaceConsentVersion, Language: cat.Language.String(),
	}, nil
}
