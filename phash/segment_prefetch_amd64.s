//go:build !purego

#include "textflag.h"

// func prefetch(p *byte)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVQ       p+0(FP), AX
	PREFETCHT0 (AX)
	RET

// func prefetchRange(p *byte, n int)
//
// Most ranges have one line or two, by chance: the first and the last are fetched
// without a branch.
TEXT ·prefetchRange(SB), NOSPLIT, $0-16
	MOVQ       p+0(FP), AX
	MOVQ       n+8(FP), BX
	LEAQ       -1(AX)(BX*1), BX
	PREFETCHT0 (AX)
	PREFETCHT0 (BX)
	ANDQ       $~63, AX
	ANDQ       $~63, BX

line:
	ADDQ       $64, AX
	CMPQ       AX, BX
	JCC        done
	PREFETCHT0 (AX)
	JMP        line

done:
	RET
