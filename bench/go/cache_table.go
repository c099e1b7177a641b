// The cache of programs/cache_table.h: the same objects, sizes and order of random numbers.
package main

import "unsafe"

type part struct {
	next   *part
	stamp  uint64
	unused [2]uint64
}

type entry struct {
	next         *entry
	value        *uint64
	parts        *part
	key, sum     uint64
	words, stamp uint32
}

var cacheValueBytes = [16]uint32{32, 32, 32, 32, 32, 48, 48, 48, 64, 64, 64, 96, 128, 128, 256, 512}

const (
	cacheParts      = 2
	cacheEntryBytes = 48 + 101 + cacheParts*32
	cacheReplaceOf4 = 3
)

type cache struct {
	buckets    []*entry
	keys       uint32
	shift      uint
	heldBytes  uint64
	seen       uint64
	random     random
	stamp      uint32
	unusedLine [8]uint64
}

func (c *cache) bucket(key uint64) uint32 { return uint32(key * 0x9e3779b97f4a7c15 >> c.shift) }

func (c *cache) make(key uint64) *entry {
	stamp := c.stamp
	c.stamp++
	words := cacheValueBytes[c.random.next()>>60] / 8
	value, sum := make([]uint64, words), uint64(0)
	for i := range value {
		value[i] = key*31 + uint64(stamp) + uint64(i)
		sum += value[i]
	}
	var parts *part
	for i := uint64(0); i < cacheParts; i++ {
		parts = &part{next: parts, stamp: key + uint64(stamp) + i}
	}
	return &entry{value: unsafe.SliceData(value), parts: parts, key: key, sum: sum, words: words, stamp: stamp}
}

func (e *entry) verify() {
	i := uint64(cacheParts)
	for p := e.parts; p != nil; p = p.next {
		i--
		if p.stamp != e.key+uint64(e.stamp)+i {
			fail("cache: a part of an entry is damaged")
		}
	}
	sum := uint64(0)
	for _, word := range unsafe.Slice(e.value, e.words) {
		sum += word
	}
	if i != 0 || sum != e.sum {
		fail("cache: an entry is damaged")
	}
}

func (c *cache) build(bytes, seed uint64) {
	c.random = random{seed}
	c.keys = uint32(bytes / (cacheEntryBytes + 8))
	log := uint(1)
	for uint32(2)<<log < c.keys {
		log++
	}
	c.shift = 64 - log
	c.buckets = make([]*entry, 1<<log)
	c.heldBytes = 8 << log
	for key := uint64(0); key < uint64(c.keys); key++ {
		e, bucket := c.make(key), c.bucket(key)
		e.next = c.buckets[bucket]
		c.buckets[bucket] = e
		c.heldBytes += 48 + cacheParts*32 + uint64(e.words)*8
	}
}

func (c *cache) operate() {
	random := c.random.next()
	key := (random >> 32) * uint64(c.keys) >> 32
	slot := &c.buckets[c.bucket(key)]
	for *slot != nil && (*slot).key != key {
		slot = &(*slot).next
	}
	old := *slot
	if old == nil {
		fail("cache: a key is lost")
	}
	old.verify()
	c.seen = c.seen*31 + old.sum
	if random&3 >= cacheReplaceOf4 {
		return
	}
	e := c.make(key)
	e.next = old.next
	*slot = e
}

func (c *cache) check() {
	found := uint32(0)
	for _, e := range c.buckets {
		for ; e != nil; e = e.next {
			e.verify()
			found++
		}
	}
	if found != c.keys {
		fail("cache: keys were lost or doubled")
	}
}
