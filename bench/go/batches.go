// What do many objects cost in Go that die together? As programs/batches.c; Go zeroes every object.
package main

import "os"

const batchBytes = 4 * 1024 * 1024

// Only the first eight bytes of an object are read and written; the table holds plain pointers.
var table []*[8]byte

func main() {
	if len(os.Args) != 4 {
		fail("usage: batches BYTES leaf|zeroed ROUNDS")
	}
	bytes, rounds := number(1), number(3)
	table = make([]*[8]byte, batchBytes/bytes)
	wrong := 0
	m := measureNow()
	for round := 0; round < rounds; round++ {
		for i := range table {
			object := (*[8]byte)(make([]byte, bytes))
			object[0] = byte(round + i)
			table[i] = object
		}
		for i := range table {
			if table[i][0] != byte(round+i) {
				wrong++
			}
		}
		clear(table)
	}
	m.end()
	if wrong != 0 {
		fail("batches: an object did not hold what was written")
	}
	m.operations, m.check = uint64(rounds*len(table)), uint64(rounds)
	m.report("batches", os.Args[2])
}
