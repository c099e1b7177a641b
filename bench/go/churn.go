// What does replacing random entries of a large table cost in Go? As programs/churn.c; objects with
// references are linked in pairs, by a type per size, since a Go type has its pointers at fixed places.
package main

import (
	"encoding/binary"
	"os"
)

var sizes = []struct{ bytes, share int }{
	{16, 52}, {24, 28}, {32, 48}, {40, 20}, {48, 28}, {64, 30}, {96, 16}, {128, 12},
	{192, 8}, {256, 6}, {384, 3}, {512, 2}, {1024, 1}, {2048, 1}, {4096, 1},
}

type header struct {
	partner *header
	stamp   uint64
}

type sized[T any] struct {
	header
	rest T
}

func makeSized[T any]() *header { return &new(sized[T]).header }

var makers = map[int]func() *header{
	16: func() *header { return new(header) }, 24: makeSized[[8]byte], 32: makeSized[[16]byte],
	40: makeSized[[24]byte], 48: makeSized[[32]byte], 64: makeSized[[48]byte], 96: makeSized[[80]byte],
	128: makeSized[[112]byte], 192: makeSized[[176]byte], 256: makeSized[[240]byte],
	384: makeSized[[368]byte], 512: makeSized[[496]byte], 1024: makeSized[[1008]byte],
	2048: makeSized[[2032]byte], 4096: makeSized[[4080]byte],
}

var (
	leaves        []*byte8
	linked        []*header
	bytesOfShare  [256]int
	makersOfShare [256]func() *header
)

// byte8 is the part of a leaf that is read and written: its first eight bytes.
type byte8 = [8]byte

func spreadShares() {
	next := 0
	for _, size := range sizes {
		for k := 0; k < size.share; k++ {
			bytesOfShare[next] = size.bytes
			makersOfShare[next] = makers[size.bytes]
			next++
		}
	}
}

func replaceLeaf(slot uint32, share, stamp uint64) (seen uint64) {
	if old := leaves[slot]; old != nil {
		seen = binary.LittleEndian.Uint64(old[:])
	}
	object := (*byte8)(make([]byte, bytesOfShare[share]))
	binary.LittleEndian.PutUint64(object[:], stamp)
	leaves[slot] = object
	return seen
}

func replaceLinked(slot uint32, share, stamp uint64) (seen uint64) {
	old, partner := linked[slot], linked[slot^1]
	if old != nil {
		seen = old.stamp
	}
	object := makersOfShare[share]()
	object.partner, object.stamp = partner, stamp
	linked[slot] = object
	if partner != nil {
		partner.partner = object
	}
	return seen
}

func main() {
	if len(os.Args) != 4 {
		fail("usage: churn leaf|references SLOTS OPERATIONS")
	}
	slots, operations := uint32(number(2))&^1, number(3)
	r := random{42}
	spreadShares()
	replace := replaceLeaf
	if os.Args[1] == "references" {
		linked, replace = make([]*header, slots), replaceLinked
	} else {
		leaves = make([]*byte8, slots)
	}
	for slot := uint32(0); slot < slots; slot++ {
		replace(slot, r.next()%256, uint64(slot))
	}
	m := measureNow()
	seen := uint64(0)
	for i := 0; i < operations; i++ {
		slot := r.below(slots)
		seen = seen*31 + replace(slot, r.next()%256, uint64(i))
	}
	m.end()
	m.operations, m.check = uint64(operations), seen
	m.report("churn", os.Args[1])
}
