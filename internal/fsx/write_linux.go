//go:build amd64 || arm64 || 386 || s390x

package fsx

import "syscall"

// WriteAt writes, and asks the kernel to begin to bring the bytes to the disk,
// so that the Sync of a big file does not begin only after its last write.
func (f osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	const worthwhile = 128 << 10
	const begin = 2 // SYNC_FILE_RANGE_WRITE
	if n >= worthwhile {
		// Only a hint: file systems without it say so, and Sync does the work.
		_ = syscall.SyncFileRange(int(f.Fd()), off, int64(n), begin)
	}
	return n, err
}
