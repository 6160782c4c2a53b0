module github.com/staydown/staydown/takedown/web

go 1.25.0

require (
	github.com/staydown/staydown v0.0.0
	github.com/staydown/staydown/takedown/desk v0.0.0
	github.com/staydown/staydown/takedown/texts v0.0.0
	github.com/wneessen/go-mail v0.7.2
	golang.org/x/image v0.43.0
	golang.org/x/text v0.38.0
)

require (
	github.com/RoaringBitmap/roaring/v2 v2.14.4 // indirect
	github.com/bits-and-blooms/bitset v1.24.2 // indirect
	github.com/bits-and-blooms/bloom/v3 v3.7.0 // indirect
	github.com/corona10/goimagehash v1.1.0 // indirect
	github.com/dchest/siphash v1.2.2 // indirect
	github.com/mschoch/smat v0.2.0 // indirect
	github.com/nfnt/resize v0.0.0-20180221191011-83c6a9932646 // indirect
	github.com/nlnwa/whatwg-url v0.6.2 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/net v0.55.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
)

replace (
	github.com/staydown/staydown => ../../
	github.com/staydown/staydown/takedown/desk => ../desk
	github.com/staydown/staydown/takedown/texts => ../texts
)
