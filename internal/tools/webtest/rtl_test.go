package webtest

import (
	"testing"
	"testing/fstest"

	"github.com/chromedp/chromedp"
	"golang.org/x/text/language"

	"github.com/staydown/staydown/takedown/web"
)

// Pages in a language that is written from right to left are turned around, have no
// barrier, and fit; what was typed stays when the language is switched.
func TestRightToLeft(t *testing.T) {
	o := open(t, func(opts *web.Options) {
		opts.Languages = []language.Tag{language.English, language.Arabic}
		opts.Words = fstest.MapFS{"ar.json": {Data: []byte(`{"start": "ما الذي يجب ألا يظهر بعد الآن؟", "door.link": "إزالة رابط"}`)}}
	})
	w := o.tab("ar", 320, false, 1)
	w.open("/?lang=ar")
	w.look("start")
	w.wants(`dir="rtl"`, "ما الذي يجب ألا يظهر بعد الآن؟")
	w.open("/ask/link")
	w.look("form")
	w.run(chromedp.SendKeys(`#image_urls`, "https://photos.example/a.jpg", chromedp.ByQuery))
	w.press(`button[lang=en]`)
	w.wants(`dir="ltr"`, "https://photos.example/a.jpg")
	w.press(`button[lang=ar]`)
	w.wants(`dir="rtl"`, "https://photos.example/a.jpg")
	w.look("switched")
}
