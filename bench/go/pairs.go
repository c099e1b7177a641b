// What does one short-lived object cost in Go? As programs/pairs.c; Go zeroes every object.
package main

import "os"

type node struct {
	left, right *node
	value       [6]uint64
}

var (
	root *node
	sink []byte
)

func makeTree(nodes int) *node {
	if nodes == 0 {
		return nil
	}
	left := (nodes - 1) / 2
	return &node{makeTree(left), makeTree(nodes - 1 - left), [6]uint64{uint64(nodes)}}
}

func countTree(n *node) int {
	if n == nil {
		return 0
	}
	return 1 + countTree(n.left) + countTree(n.right)
}

//go:noinline
func pairs(bytes, operations int) (wrong int) {
	for i := 0; i < operations; i++ {
		sink = make([]byte, bytes) // escapes: the compiler cannot drop it
		sink[0] = byte(i)
		if sink[0] != byte(i) {
			wrong++
		}
	}
	return wrong
}

func main() {
	if len(os.Args) != 5 {
		fail("usage: pairs BYTES leaf|zeroed LIVE_MIB OPERATIONS")
	}
	bytes, live, operations := number(1), number(3)*1024*1024/64, number(4)
	root = makeTree(live)
	m := measureNow()
	wrong := pairs(bytes, operations)
	m.end()
	if wrong != 0 || countTree(root) != live {
		fail("pairs: an object was damaged")
	}
	m.operations, m.check = uint64(operations), uint64(operations+live)
	m.report("pairs", os.Args[2])
}
