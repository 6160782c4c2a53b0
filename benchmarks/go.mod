module github.com/staydown/staydown/benchmarks

go 1.25.0

require (
	github.com/coder/hnsw v0.6.1
	github.com/corona10/goimagehash v1.1.0
	github.com/philippgille/chromem-go v0.7.0
	github.com/staydown/staydown v0.0.0
)

require (
	github.com/nfnt/resize v0.0.0-20180221191011-83c6a9932646 // indirect
	golang.org/x/image v0.45.0 // indirect
)

require (
	github.com/chewxy/math32 v1.10.1 // indirect
	github.com/google/renameio v1.0.1 // indirect
	github.com/viterin/partial v1.1.0 // indirect
	github.com/viterin/vek v0.4.2 // indirect
	golang.org/x/exp v0.0.0-20240506185415-9bf2ced13842 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/staydown/staydown => ../
