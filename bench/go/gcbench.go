// GCBench in Go. As programs/gcbench.c.
package main

import "os"

const (
	depthMin    = 4
	stretch     = 2
	doublesAt16 = 500000
)

type node struct {
	left, right *node
	i, j        int32
}

var (
	rootTree  *node
	rootArray []float64
	sink      *node
	allocated uint64
)

func treeSize(depth int) int { return 2<<depth - 1 }

func newNode(left, right *node) *node {
	allocated++
	return &node{left: left, right: right}
}

func populate(depth int, n *node) {
	if depth == 0 {
		return
	}
	n.left = newNode(nil, nil)
	n.right = newNode(nil, nil)
	populate(depth-1, n.left)
	populate(depth-1, n.right)
}

func makeFromBottom(depth int) *node {
	if depth == 0 {
		return newNode(nil, nil)
	}
	left := makeFromBottom(depth - 1)
	right := makeFromBottom(depth - 1)
	return newNode(left, right)
}

func makeFromTop(depth int) *node {
	n := newNode(nil, nil)
	populate(depth, n)
	return n
}

func (n *node) count() uint64 {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

func shortLivedTrees(depth, depthMax int) {
	iterations := 2 * treeSize(depthMax+stretch) / treeSize(depth)
	for i := 0; i < iterations; i++ {
		sink = makeFromTop(depth)
	}
	for i := 0; i < iterations; i++ {
		sink = makeFromBottom(depth)
	}
	sink = nil
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: gcbench DEPTH")
	}
	depthMax := number(1)
	m := measureNow()
	sink = makeFromBottom(depthMax + stretch)
	sink = nil
	rootTree = makeFromTop(depthMax)
	rootArray = make([]float64, doublesAt16<<depthMax>>16)
	for i := 0; i < len(rootArray)/2; i++ {
		rootArray[i] = 1.0 / float64(i+1)
	}
	for depth := depthMin; depth <= depthMax; depth += 2 {
		shortLivedTrees(depth, depthMax)
	}
	live := rootTree.count()
	m.end()
	if live != uint64(treeSize(depthMax)) || rootArray[999] != 1.0/1000 {
		fail("gcbench: what should live is damaged")
	}
	m.operations, m.check = allocated, live
	m.report("gcbench", "gcbench")
}
