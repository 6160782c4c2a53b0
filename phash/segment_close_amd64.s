//go:build !purego

#include "textflag.h"

DATA ·bitsOfNibbles+0(SB)/8, $0x0302020102010100
DATA ·bitsOfNibbles+8(SB)/8, $0x0403030203020201
GLOBL ·bitsOfNibbles(SB), RODATA|NOPTR, $16

// func closeAVX2(rest *byte, n int, other, left uint16, out *[256]uint8) int
//
// 16 entries at a time: the bits of each byte by its two nibbles, the bytes of an
// entry added up, compared, and one bit for each entry.
TEXT ·closeAVX2(SB), NOSPLIT, $0-40
	MOVQ           rest+0(FP), AX
	MOVQ           n+8(FP), BX
	MOVWLZX        other+16(FP), CX
	MOVWLZX        left+18(FP), DX
	MOVQ           out+24(FP), DI
	MOVQ           DI, R8
	MOVL           CX, X0
	VPBROADCASTW   X0, Y0
	MOVL           DX, X1
	VPBROADCASTW   X1, Y1
	MOVL           $0x0f0f0f0f, CX
	MOVL           CX, X2
	VPBROADCASTD   X2, Y2
	VBROADCASTI128 ·bitsOfNibbles(SB), Y3
	MOVL           $0x01010101, CX
	MOVL           CX, X4
	VPBROADCASTD   X4, Y4
	XORL           SI, SI // the first entry of the block

block:
	VPXOR      (AX), Y0, Y5
	VPAND      Y2, Y5, Y6
	VPSRLW     $4, Y5, Y5
	VPAND      Y2, Y5, Y5
	VPSHUFB    Y6, Y3, Y6
	VPSHUFB    Y5, Y3, Y5
	VPADDB     Y5, Y6, Y5
	VPMADDUBSW Y4, Y5, Y5
	VPCMPGTW   Y1, Y5, Y5
	VPMOVMSKB  Y5, DX
	NOTL       DX
	ANDL       $0x55555555, DX
	CMPQ       BX, $16
	JCC        entry

	// The last block: only BX of its entries count.
	MOVL BX, CX
	ADDL CX, CX
	MOVL $1, R9
	SHLL CX, R9
	DECL R9
	ANDL R9, DX

entry:
	TESTL DX, DX
	JEQ   next
	BSFL  DX, CX
	SHRL  $1, CX
	ADDL  SI, CX
	MOVB  CX, (DI)
	INCQ  DI
	LEAL  -1(DX), CX
	ANDL  CX, DX
	JMP   entry

next:
	ADDQ $32, AX
	ADDL $16, SI
	SUBQ $16, BX
	JGT  block
	VZEROUPPER
	SUBQ R8, DI
	MOVQ DI, ret+32(FP)
	RET
