// Threads: Swift's tasks share threads, and attachments belong to threads.

import Glibc
import Synchronization

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
    precondition(status == 0, "no thread: \(status)")
  }

  func join() { pthread_join(thread, nil) }
}

/// Set once, by one thread for another.
final class Flag: Sendable {
  private let value = Atomic(false)
  var isSet: Bool { value.load(ordering: .acquiring) }
  func set() { value.store(true, ordering: .releasing) }
  /// False after ten seconds.
  func wait() -> Bool { eventually { isSet } }
}

final class Counter: Sendable {
  private let value = Atomic(0)
  var count: Int { value.load(ordering: .acquiring) }
  @discardableResult
  func add(_ amount: Int = 1) -> Int { value.add(amount, ordering: .acquiringAndReleasing).newValue }
}

func pause(milliseconds: Int) { usleep(UInt32(milliseconds * 1000)) }

/// Waits for something another thread does; false if it has not happened after ten seconds.
func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<10_000 {
    if condition() { return true }
    usleep(1000)
  }
  return condition()
}

/// What the kernel calls this thread.
func kernelThreadNumber() -> Int {
  var path = [CChar](repeating: 0, count: 100)
  let length = readlink("/proc/thread-self", &path, path.count - 1)
  let text = String(decoding: path.prefix(max(0, length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
  return text.split(separator: "/").last.flatMap { Int($0) } ?? 0
}
