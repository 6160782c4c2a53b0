//go:build !unix || 386 || arm || mips || mipsle

package blocklist

import "github.com/staydown/staydown/internal/fsx"

// mapFile maps nothing where addresses are scarce, and where a mapped file
// cannot be replaced.
func mapFile(fsx.File, int64) *memory { return nil }
