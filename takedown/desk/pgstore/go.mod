module github.com/staydown/staydown/takedown/desk/pgstore

go 1.25.0

require (
	github.com/jackc/pgx/v5 v5.13.0
	github.com/staydown/staydown v0.0.0
	github.com/staydown/staydown/takedown/desk v0.0.0
)

require (
	github.com/RoaringBitmap/roaring/v2 v2.14.4 // indirect
	github.com/bits-and-blooms/bitset v1.24.2 // indirect
	github.com/bits-and-blooms/bloom/v3 v3.7.0 // indirect
	github.com/corona10/goimagehash v1.1.0 // indirect
	github.com/dchest/siphash v1.2.2 // indirect
	github.com/google/go-cmp v0.6.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/mschoch/smat v0.2.0 // indirect
	github.com/nfnt/resize v0.0.0-20180221191011-83c6a9932646 // indirect
	github.com/nlnwa/whatwg-url v0.6.2 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/image v0.43.0 // indirect
	golang.org/x/net v0.55.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace (
	github.com/staydown/staydown => ../../../
	github.com/staydown/staydown/takedown/desk => ..
)
