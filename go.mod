module github.com/staydown/staydown

// The oldest Go with which this works: bbolt asks for it. The modules for work
// on this repository may ask for a newer one; go.work has the newest of all.
go 1.25.0

// Versions are the lowest that work and are safe, because these are minimums for
// every program that uses staydown. `.ci/run alone` tests with exactly these,
// `.ci/run newest` with the newest. A reason stands beside each floor.
require (
	github.com/RoaringBitmap/roaring/v2 v2.14.4 // And of 2.10.0 and before makes sets that Validate refuses (roaring issue 483)
	github.com/bits-and-blooms/bloom/v3 v3.7.0 // older ones are not tested
	github.com/corona10/goimagehash v1.1.0 // stored perception hashes are those of this version
	github.com/dchest/siphash v1.2.2 // older ones are not tested
	github.com/google/go-cmp v0.6.0 // tests only
	github.com/nfnt/resize v0.0.0-20180221191011-83c6a9932646 // the version that goimagehash asks for
	github.com/nlnwa/whatwg-url v0.6.2 // the canonical form of addresses is that of this version
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.1 // tests only
	go.etcd.io/bbolt v1.5.0 // Options.NoStatistics: a counter that all readers write
	go.uber.org/goleak v1.2.1 // tests only
	golang.org/x/image v0.43.0 // webp panics before (CVE-2026-46601)
	golang.org/x/sys v0.45.0 // bbolt asks for it
	pgregory.net/rapid v1.1.0 // tests only
)

require (
	github.com/bits-and-blooms/bitset v1.24.2 // indirect
	github.com/mschoch/smat v0.2.0 // indirect
	golang.org/x/net v0.55.0 // indirect; idna: CVE-2026-39821, ASCII labels in Punycode
	golang.org/x/text v0.38.0 // indirect; x/image asks for it
)
