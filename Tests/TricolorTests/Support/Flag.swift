import Synchronization

/// Set once, by one thread for another.
final class Flag: Sendable {
  private let value = Atomic(false)
  var isSet: Bool { value.load(ordering: .acquiring) }
  func set() { value.store(true, ordering: .releasing) }
}

/// Counted by any thread.
final class Counter: Sendable {
  private let value = Atomic(0)
  var count: Int { value.load(ordering: .acquiring) }
  func add(_ amount: Int = 1) { value.add(amount, ordering: .acquiringAndReleasing) }
}
