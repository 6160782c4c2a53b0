package main

import (
	"golang.org/x/text/language"

	"github.com/staydown/staydown/takedown"
	"github.com/staydown/staydown/takedown/request"
)

// A formPage is what the page of one kind of request asks for, in its order. The
// names of fields are those of form.Decode.
type formPage struct {
	Kind   takedown.Kind
	Fields []field
}

type field struct {
	Name     string
	Type     string // text, email, tel, area, file, choice, country, box
	Required bool
	Either   bool   // one of the fields that have it is needed
	Auto     string // what browsers may fill in
	Choices  []string
}

var (
	name    = field{Name: "requester.name", Type: "text", Required: true, Auto: "name"}
	email   = field{Name: "requester.email", Type: "email", Required: true, Auto: "email"}
	phone   = field{Name: "requester.phone", Type: "tel", Auto: "tel"}
	country = field{Name: "requester.country", Type: "country", Auto: "country"}
	images  = field{Name: "images", Type: "file", Required: true}
	claim   = field{Name: "claim", Type: "choice", Required: true, Choices: []string{"depicted", "owner"}}
	reason  = field{Name: "reason", Type: "area"}
	example = field{Name: "examples", Type: "area"}
)

// forms are those that the first page offers, in its order, and the withdrawal.
var forms = []formPage{
	{request.KindDSANotice, []field{
		{Name: "image_urls", Type: "area", Either: true},
		{Name: "page_urls", Type: "area", Either: true},
		{Name: "ground", Type: "choice", Choices: []string{"privacy", "copyright", "intimate_image", "impersonation", "defamation", "other"}},
		{Name: "explanation", Type: "area", Required: true},
		name, email,
		{Name: "good_faith", Type: "box", Required: true},
	}},
	{request.KindImageOptOut, []field{images, claim, reason, example, name, email, phone, country}},
	{request.KindOpenOptOut, []field{images, claim, {Name: "biometric", Type: "box"}, reason, name, email, phone, country}},
	{request.KindWithdrawal, []field{{Name: "case", Type: "text", Required: true}, email, reason}},
}

// statements are the texts of the boxes: what a case keeps is what was shown.
func statements(lang string) map[string]request.Statement {
	w := words[lang]
	list := map[string]request.Statement{}
	for _, name := range []string{"good_faith", "biometric"} {
		list[name] = request.Statement{Text: w["box."+name], ID: name, Version: "1", Language: lang}
	}
	return list
}

var languages = language.NewMatcher([]language.Tag{language.English, language.Thai})

var words = map[string]map[string]string{
	"en": {
		"title":                 "Ask for a removal",
		"choose":                "What do you want gone?",
		"dsa_notice":            "One link",
		"dsa_notice.about":      "The address of a picture or page that breaks the law. Copies at other addresses stay.",
		"image_opt_out":         "A picture, everywhere",
		"image_opt_out.about":   "A picture that shows you, or that is yours, with all its copies at any address.",
		"open_opt_out":          "A picture of me, or my face",
		"open_opt_out.about":    "Send a picture of yourself. A person decides with you whether the picture or the face is meant.",
		"withdrawal":            "Take a request back",
		"withdrawal.about":      "You need the number of your case.",
		"send":                  "Send",
		"optional":              "optional",
		"required":              "needed",
		"either":                "an address of a picture or of a page is needed",
		"one_address":           "Give at least one address: of a picture, or of a page that shows it.",
		"line":                  "Line",
		"file":                  "Picture",
		"missing":               "There is no such page",
		"missing_about":         "The address may be mistyped. Start here:",
		"wrong":                 "Please look at the following:",
		"again":                 "Please choose the pictures again.",
		"received":              "We have received your request",
		"received.about":        "Keep the number of your case. We write to you when we have decided.",
		"confirm":               "Confirm your email address",
		"confirm.token":         "Code from our message",
		"confirmed":             "Thank you. Your email address is confirmed.",
		"not_confirmed":         "This code is not valid, or not any more.",
		"number":                "Number of your case",
		"not_a_form":            "We could not read the form.",
		"too_large":             "The pictures are too large for one form: 64 MB in all.",
		"requester.name":        "Your name",
		"requester.name.hint":   "As you write it; one part is enough.",
		"requester.email":       "Your email address",
		"requester.email.hint":  "We send you the decision.",
		"requester.phone":       "Your phone number",
		"requester.phone.hint":  "With the country code, such as +66 81 234 5678.",
		"requester.country":     "Country where you live",
		"images":                "Pictures",
		"images.hint":           "JPEG, PNG, GIF or WebP, up to 10 MB each.",
		"claim":                 "Why you may ask",
		"claim.depicted":        "I am shown in the picture, or act for who is",
		"claim.owner":           "The picture is mine, or I act for its owner",
		"reason":                "Anything that we should know",
		"examples":              "Where you saw it",
		"examples.hint":         "One address per line. It helps the reviewer.",
		"image_urls":            "Addresses of the pictures",
		"image_urls.hint":       "One per line: right-click on the picture and copy its address.",
		"page_urls":             "Addresses of pages that show them",
		"page_urls.hint":        "One per line.",
		"ground":                "What it breaks",
		"ground.privacy":        "Privacy and data protection",
		"ground.copyright":      "Copyright",
		"ground.intimate_image": "Intimate picture without consent",
		"ground.impersonation":  "Impersonation",
		"ground.defamation":     "Defamation",
		"ground.other":          "Something else",
		"explanation":           "Why is it illegal?",
		"good_faith":            "Your statement",
		"box.good_faith":        "I believe in good faith that what I state here is accurate and complete.",
		"biometric":             "Consent, if your face is meant",
		"box.biometric":         "You may make a template of my face and keep it, for the sole purpose of keeping my face out. I can withdraw this at any time; the template is then destroyed.",
		"case":                  "Number of your case",
		"case.hint":             "26 letters and digits, from our first message.",
	},
	"th": {
		"title":                 "ขอให้นำเนื้อหาออก",
		"choose":                "ท่านต้องการให้นำสิ่งใดออก",
		"dsa_notice":            "ลิงก์เดียว",
		"dsa_notice.about":      "ที่อยู่เว็บของรูปภาพหรือหน้าเว็บที่ผิดกฎหมาย ไม่รวมสำเนาที่อยู่ในที่อยู่เว็บอื่น",
		"image_opt_out":         "รูปภาพนี้ทุกแห่ง",
		"image_opt_out.about":   "รูปภาพที่มีท่านอยู่ในภาพ หรือที่ท่านเป็นเจ้าของ พร้อมสำเนาทั้งหมดในทุกที่อยู่เว็บ",
		"open_opt_out":          "รูปภาพของฉัน หรือใบหน้าของฉัน",
		"open_opt_out.about":    "ส่งรูปภาพของท่าน เจ้าหน้าที่จะพิจารณาว่าท่านประสงค์ให้นำรูปภาพหรือใบหน้าออก",
		"withdrawal":            "ถอนคำขอ",
		"withdrawal.about":      "ท่านต้องใช้หมายเลขคำขอ",
		"send":                  "ส่งคำขอ",
		"optional":              "ไม่บังคับ",
		"required":              "จำเป็น",
		"either":                "ต้องระบุที่อยู่ของรูปภาพหรือหน้าเว็บอย่างน้อยหนึ่งแห่ง",
		"one_address":           "กรุณาระบุที่อยู่อย่างน้อยหนึ่งแห่ง ทั้งของรูปภาพหรือของหน้าเว็บที่แสดงรูปภาพ",
		"line":                  "บรรทัดที่",
		"file":                  "รูปภาพที่",
		"missing":               "ไม่พบหน้านี้",
		"missing_about":         "ที่อยู่เว็บอาจไม่ถูกต้อง เริ่มต้นที่นี่:",
		"wrong":                 "กรุณาตรวจสอบข้อมูลต่อไปนี้",
		"again":                 "กรุณาเลือกรูปภาพอีกครั้ง",
		"received":              "เราได้รับคำขอของท่านแล้ว",
		"received.about":        "โปรดเก็บหมายเลขคำขอไว้ เราจะแจ้งให้ท่านทราบเมื่อพิจารณาแล้วเสร็จ",
		"confirm":               "ยืนยันที่อยู่อีเมล",
		"confirm.token":         "รหัสยืนยันจากข้อความของเรา",
		"confirmed":             "ขอบคุณ ที่อยู่อีเมลของท่านได้รับการยืนยันแล้ว",
		"not_confirmed":         "รหัสนี้ไม่ถูกต้อง หรือหมดอายุแล้ว",
		"number":                "หมายเลขคำขอของท่าน",
		"not_a_form":            "ระบบอ่านแบบฟอร์มไม่ได้",
		"too_large":             "รูปภาพทั้งหมดมีขนาดใหญ่เกินไปสำหรับแบบฟอร์มเดียว ต้องไม่เกิน 64 MB",
		"requester.name":        "ชื่อของท่าน",
		"requester.name.hint":   "ตามที่ท่านเขียน ชื่อเดียวก็เพียงพอ",
		"requester.email":       "ที่อยู่อีเมลของท่าน",
		"requester.email.hint":  "เราจะส่งผลการพิจารณาไปที่อีเมลนี้",
		"requester.phone":       "หมายเลขโทรศัพท์",
		"requester.phone.hint":  "พร้อมรหัสประเทศ เช่น +66 81 234 5678",
		"requester.country":     "ประเทศที่ท่านพำนักอยู่",
		"images":                "รูปภาพ",
		"images.hint":           "ไฟล์ JPEG, PNG, GIF หรือ WebP ขนาดไม่เกิน 10 MB ต่อไฟล์",
		"claim":                 "ท่านเกี่ยวข้องกับรูปภาพอย่างไร",
		"claim.depicted":        "ฉันอยู่ในรูปภาพ หรือกระทำการแทนบุคคลในรูปภาพ",
		"claim.owner":           "ฉันเป็นเจ้าของรูปภาพ หรือกระทำการแทนเจ้าของ",
		"reason":                "ข้อมูลอื่นที่ต้องการแจ้ง",
		"examples":              "ที่อยู่เว็บที่ท่านพบรูปภาพ",
		"examples.hint":         "หนึ่งที่อยู่ต่อหนึ่งบรรทัด เพื่อช่วยเจ้าหน้าที่ในการพิจารณา",
		"image_urls":            "ที่อยู่เว็บของรูปภาพ",
		"image_urls.hint":       "หนึ่งที่อยู่ต่อหนึ่งบรรทัด คลิกขวาที่รูปภาพแล้วคัดลอกที่อยู่ของรูปภาพ",
		"page_urls":             "ที่อยู่ของหน้าเว็บที่แสดงรูปภาพ",
		"page_urls.hint":        "หนึ่งที่อยู่ต่อหนึ่งบรรทัด",
		"ground":                "เหตุที่ผิดกฎหมาย",
		"ground.privacy":        "ความเป็นส่วนตัวและการคุ้มครองข้อมูลส่วนบุคคล",
		"ground.copyright":      "ลิขสิทธิ์",
		"ground.intimate_image": "ภาพส่วนตัวที่เผยแพร่โดยไม่ได้รับความยินยอม",
		"ground.impersonation":  "การแอบอ้างเป็นบุคคลอื่น",
		"ground.defamation":     "การหมิ่นประมาท",
		"ground.other":          "เหตุอื่น",
		"explanation":           "เหตุใดจึงผิดกฎหมาย",
		"good_faith":            "คำรับรองของท่าน",
		"box.good_faith":        "ข้าพเจ้าเชื่อโดยสุจริตว่าข้อมูลที่แจ้งไว้นี้ถูกต้องและครบถ้วน",
		"biometric":             "ความยินยอม ในกรณีที่ประสงค์ให้นำใบหน้าออก",
		"box.biometric":         "ข้าพเจ้ายินยอมให้สร้างและเก็บข้อมูลภาพจำลองใบหน้าของข้าพเจ้า เพื่อป้องกันไม่ให้ใบหน้าของข้าพเจ้าปรากฏเท่านั้น ข้าพเจ้าถอนความยินยอมได้ทุกเมื่อ และข้อมูลดังกล่าวจะถูกทำลายเมื่อถอนความยินยอม",
		"case":                  "หมายเลขคำขอ",
		"case.hint":             "ตัวอักษรและตัวเลข 26 ตัว จากข้อความแรกของเรา",
	},
}
