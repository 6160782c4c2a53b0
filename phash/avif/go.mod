module github.com/staydown/staydown/phash/avif

go 1.25.0

require (
	github.com/staydown/staydown v0.0.0
	github.com/tetratelabs/wazero v1.9.0
)

require (
	github.com/corona10/goimagehash v1.1.0 // indirect
	github.com/nfnt/resize v0.0.0-20180221191011-83c6a9932646 // indirect
	golang.org/x/image v0.43.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
)

replace github.com/staydown/staydown => ../../
