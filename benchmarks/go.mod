module github.com/staydown/staydown/benchmarks

go 1.25.0

require github.com/staydown/staydown v0.0.0

replace github.com/staydown/staydown => ../
