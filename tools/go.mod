module github.com/staydown/staydown/tools

go 1.25.0
