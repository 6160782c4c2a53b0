package web

import (
	"strings"

	"github.com/staydown/staydown/takedown/desk"
)

// Message writes a message of the desk as a letter, with links to the pages where
// [Options].URL is set: to confirm the email address, and to the page of the case.
// A host calls it in its [desk.Notifier]. The letter has the secret of the case,
// because only the requester reads it; a statement of reasons, which goes to
// somebody else, has none.
func (h *Handler) Message(m desk.Message) (subject, body string, err error) {
	subject, body, err = h.opts.Texts.Message(m)
	if err != nil || m.To == (desk.Recipient{}) {
		return subject, body, err
	}
	words := h.words[0]
	for _, w := range h.words {
		if strings.HasPrefix(m.To.Language, w.lang) {
			words = w
		}
	}
	var b strings.Builder
	b.WriteString(strings.TrimRight(body, "\n"))
	if h.opts.URL != "" && m.Token != "" {
		b.WriteString("\n\n" + words.of("letter.confirm") + "\n" + h.opts.URL + "/confirm/" + m.Case.String() + "/" + m.Token + "?lang=" + words.lang)
	}
	secret := h.secrets.ofCase(m.Case)
	b.WriteString("\n" + words.of("secret") + ": " + secret)
	if h.opts.URL != "" {
		b.WriteString("\n\n" + words.of("letter.case") + "\n" + h.opts.URL + "/case/" + m.Case.String() + "/" + secret + "?lang=" + words.lang)
	}
	b.WriteString("\n\n" + h.opts.Service.Name)
	if h.opts.Service.Contact != "" {
		b.WriteString("\n" + h.opts.Service.Contact)
	}
	return subject, b.String() + "\n", nil
}
