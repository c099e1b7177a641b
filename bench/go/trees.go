// What do trees of small linked objects cost in Go? As programs/trees.c.
package main

import "os"

const depthMin = 4

type node struct{ left, right *node }

var (
	root      *node
	allocated uint64
)

func makeTree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{makeTree(depth - 1), makeTree(depth - 1)}
}

func (n *node) count() uint64 {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func useTree(depth int) uint64 {
	count := makeTree(depth).count()
	allocated += count
	return count
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: trees DEPTH")
	}
	depthMax := number(1)
	m := measureNow()
	check := useTree(depthMax + 1)
	root = makeTree(depthMax)
	allocated += 2<<depthMax - 1
	for depth := depthMin; depth <= depthMax; depth += 2 {
		for i := 0; i < 1<<(depthMax-depth+depthMin); i++ {
			check += useTree(depth)
		}
	}
	check += root.count()
	m.end()
	if check != allocated {
		fail("trees: nodes were lost")
	}
	m.operations, m.check = allocated, check
	m.report("trees", "binary trees")
}
