//go:build !purego

#include "textflag.h"

// func prefetch(p *byte)
TEXT ·prefetch(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET

// func prefetchRange(p *byte, n int)
//
// Most ranges have one line or two, by chance: the first and the last are fetched
// without a branch.
TEXT ·prefetchRange(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	ADD  R0, R1
	SUB  $1, R1
	PRFM (R0), PLDL1KEEP
	PRFM (R1), PLDL1KEEP
	AND  $~63, R0
	AND  $~63, R1

line:
	ADD  $64, R0
	CMP  R1, R0
	BHS  done
	PRFM (R0), PLDL1KEEP
	B    line

done:
	RET
