package blocklist

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
)

// A signed snapshot has a section with the public key and an Ed25519 signature
// of the header and, for each other section, its entry in the table and its
// SHA-256.
const signatureSize = ed25519.PublicKeySize + ed25519.SignatureSize

const signatureContext = "staydown snapshot 1\n"

// signedMessage returns what is signed. hashes are those of sections.
func signedMessage(rawHeader []byte, sections []section, hashes [][sha256.Size]byte) []byte {
	m := append([]byte(signatureContext), rawHeader...)
	for i := range sections {
		if sections[i].kind != secSignature {
			m = sections[i].append(m)
			m = append(m, hashes[i][:]...)
		}
	}
	return m
}

func sign(key ed25519.PrivateKey, message []byte) []byte {
	return append(slices.Clone(key.Public().(ed25519.PublicKey)), ed25519.Sign(key, message)...)
}

// verify checks the signature section of a snapshot against the keys that are
// trusted.
func verify(trusted []ed25519.PublicKey, content, message []byte) error {
	if len(content) == 0 {
		return fmt.Errorf("blocklist: snapshot is not signed, and a signature was asked for: %w", ErrKey)
	}
	if len(content) != signatureSize {
		return fmt.Errorf("blocklist: snapshot: signature of %d bytes, %d expected: %w", len(content), signatureSize, ErrFormat)
	}
	key, sig := ed25519.PublicKey(content[:ed25519.PublicKeySize]), content[ed25519.PublicKeySize:]
	if !slices.ContainsFunc(trusted, func(k ed25519.PublicKey) bool { return k.Equal(key) }) {
		return fmt.Errorf("blocklist: snapshot is signed with key %x…, which is not trusted: %w", key[:8], ErrKey)
	}
	if !ed25519.Verify(key, message, sig) {
		return fmt.Errorf("blocklist: snapshot: %w", ErrSignature)
	}
	return nil
}
