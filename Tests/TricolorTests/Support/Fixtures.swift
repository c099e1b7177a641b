// Fixtures: the types and graphs that the tests share, and threads.

import Glibc
import Testing
import Tricolor

struct Node {
  var left: Ref<Node>?
  var right: Ref<Node>?
  var key: Int
}

struct Point: Equatable {
  var x: Double
  var y: Double
}

extension Heap {
  func registerNode() throws(HeapError) -> ManagedType<Node> {
    try register(Node.self, references: \.left, \.right)
  }
}

/// A full binary tree of 2^depth - 1 nodes, each holding its depth.
@inline(never)
func makeTree(_ m: borrowing Mutator, _ type: ManagedType<Node>, depth: Int) -> Ref<Node> {
  let node = m.make(type)
  node.key = depth
  if depth > 1 {
    node.left = makeTree(m, type, depth: depth - 1)
    node.right = makeTree(m, type, depth: depth - 1)
  }
  return node
}

func countNodes(_ node: Ref<Node>?) -> Int {
  guard let node else { return 0 }
  return 1 + countNodes(node.left) + countNodes(node.right)
}

/// A thread of its own: Swift's tasks share threads, and attachments belong to threads.
final class TestThread {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private var thread = pthread_t()

  init(_ run: @escaping @Sendable () -> Void) {
    let status = pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(Body(run)).toOpaque())
    precondition(status == 0)
  }

  func join() { pthread_join(thread, nil) }
}

/// What a process that was expected to fail said on standard error.
func text(_ result: ExitTest.Result?) -> String {
  String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
}
