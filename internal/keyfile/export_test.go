package keyfile

// Has reports whether there is a key for id.
func (k *File) Has(id ID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, ok := k.slots[id]
	return ok
}
