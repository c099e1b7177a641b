// What the fast paths of the Swift API compile to in a release build: run.sh disassembles these functions and never
// runs them. No name is the beginning of another.

import Tricolor

public struct Node {
  public var left: Ref<Node>?
  public var right: Ref<Node>?
  public var key: Int
  public var spare: Int
}

@inline(never)
public func countMake(_ mutator: borrowing Mutator, _ type: ManagedType<Node>) -> Ref<Node> {
  mutator.make(type)
}

@inline(never)
public func countFill(_ mutator: borrowing Mutator, _ type: ManagedType<Node>, _ left: Ref<Node>?) -> Ref<Node> {
  mutator.make(type, Node(left: left, right: nil, key: 1, spare: 2))
}

@inline(never)
public func countAssign(_ node: Ref<Node>, _ value: Ref<Node>?) {
  node.left = value
}

@inline(never)
public func countStore(_ mutator: borrowing Mutator, _ node: Ref<Node>, _ value: Ref<Node>?) {
  mutator.store(node, \.left, value)
}
