// Package aesgcm is AES-256-GCM as this module uses it for what is sealed piece
// by piece: with a random nonce, which Seal puts in front and Open takes off.
package aesgcm

import (
	"crypto/aes"
	"crypto/cipher"
)

// New returns the cipher of a key. One key may seal up to a billion pieces.
func New(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // not with 32 bytes of key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // not for AES
	}
	return aead
}
