// ReadmeTests: the example of the README, run.

import Testing
import Tricolor

@Suite struct ReadmeTests {
  struct Node {
    var left: Ref<Node>?
    var right: Ref<Node>?
    var key: Int
  }

  @Test("the example of the README reclaims what it drops")
  func example() throws {
    var printed: [String] = []
    func print(_ line: String) { printed.append(line) }

    let heap = try Heap()
    let node = try heap.register(Node.self, references: \.left, \.right)

    func tree(_ m: borrowing Mutator, depth: Int) -> Ref<Node>? {
      if depth == 0 { return nil }
      return m.make(node, Node(left: tree(m, depth: depth - 1), right: tree(m, depth: depth - 1), key: depth))
    }

    let root = heap.withMutator { m in m.makeRoot(tree(m, depth: 16)) }  // 65535 nodes
    heap.gc(.forceBlock)
    let before = heap.statistics.liveObjects
    heap.withMutator { _ in root.reference?.left = nil }  // half of them
    heap.gc(.forceBlock)
    print("reclaimed \(before - heap.statistics.liveObjects) of \(before) objects")

    #expect(printed == ["reclaimed 32767 of 65535 objects"])
  }
}
