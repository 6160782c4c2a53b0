package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/zip"
)

// file is one file of a module. Where content is set, it stands for the file.
type file struct {
	name, path string
	content    []byte
}

func (f file) Path() string { return f.name }

func (f file) Lstat() (os.FileInfo, error) {
	fi, err := os.Lstat(f.path)
	if err == nil && f.content != nil {
		return sized{fi, int64(len(f.content))}, nil
	}
	return fi, err
}

func (f file) Open() (io.ReadCloser, error) {
	if f.content != nil {
		return io.NopCloser(bytes.NewReader(f.content)), nil
	}
	return os.Open(f.path)
}

// sized is the information of a file whose content was replaced.
type sized struct {
	os.FileInfo
	size int64
}

func (s sized) Size() int64        { return s.size }
func (s sized) ModTime() time.Time { return time.Time{} }

// largest returns the n largest files, one a line.
func (m *mod) largest(n int) string {
	size := func(f zip.File) int64 {
		fi, err := f.Lstat()
		if err != nil {
			return 0
		}
		return fi.Size()
	}
	files := slices.Clone(m.files)
	slices.SortFunc(files, func(a, b zip.File) int { return cmp.Compare(size(b), size(a)) })
	var s strings.Builder
	for _, f := range files[:min(n, len(files))] {
		fmt.Fprintf(&s, "%9d %s\n", size(f), f.Path())
	}
	return strings.TrimSuffix(s.String(), "\n")
}

// counter counts the bytes written to w.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
