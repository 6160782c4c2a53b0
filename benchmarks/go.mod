module github.com/staydown/staydown/benchmarks

go 1.25.0

require (
	github.com/corona10/goimagehash v1.1.0
	github.com/staydown/staydown v0.0.0
)

require (
	github.com/nfnt/resize v0.0.0-20180221191011-83c6a9932646 // indirect
	golang.org/x/image v0.45.0 // indirect
)

replace github.com/staydown/staydown => ../
