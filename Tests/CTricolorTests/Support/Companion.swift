// Companion: a second thread, attached to the heap, that does one thing at a time when it is told.

import CTricolor
import Glibc
import Synchronization

final class Companion: @unchecked Sendable {
  private let asked = Companion.semaphore()
  private let done = Companion.semaphore()
  private var task: ((TestMutator) -> Void)?
  private var thread: TestThread!

  init(_ heap: TestHeap) {
    thread = TestThread { [self] in
      try! heap.attached { mutator in
        sem_post(done)
        while true {
          sem_wait(asked)
          guard let task else { break }
          task(mutator)
          sem_post(done)
        }
      }
    }
    sem_wait(done)
  }

  /// Returns when it is done. The caller counts as stopped meanwhile, if it says who it is.
  func run<R>(besides mutator: TestMutator? = nil, _ body: @escaping (TestMutator) -> R) -> R {
    var answer: R?
    task = { answer = body($0) }
    if let mutator { tri_blocking_begin(mutator.pointer) }
    sem_post(asked)
    sem_wait(done)
    if let mutator { tri_blocking_end(mutator.pointer) }
    return answer!
  }

  /// Detaches it.
  func end() {
    task = nil
    sem_post(asked)
    thread.join()
  }

  private static func semaphore() -> UnsafeMutablePointer<sem_t> {
    // Two of them for the length of a test: not worth freeing.
    let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
    return semaphore
  }
}

extension TestMutator {
  /// Where this thread's next objects of a layout and size come from; `zeroed`: those of tri_alloc() up to 128 bytes.
  /// A size that nobody asked for yet has the window that is always empty.
  func window(_ layout: OpaquePointer, _ bytes: Int, zeroed: Bool) -> UnsafeMutablePointer<tri_window> {
    let index = UnsafePointer<UInt32>(layout)[Int(tri_size_class(bytes))] & ~UInt32(TRI_WINDOW_ZEROED)
    return tri_mutator_window(pointer, index + (index != 0 && zeroed ? UInt32(TRI_WINDOW_ZEROED) : 0))
  }

  /// How tri_alloc() would allocate.
  func window(_ layout: OpaquePointer, _ bytes: Int) -> UnsafeMutablePointer<tri_window> {
    window(layout, bytes, zeroed: bytes <= Int(TRI_ZERO_AHEAD_BYTES_MAX))
  }

  /// Allocates until nothing waits in the window.
  @discardableResult
  func drain(_ layout: OpaquePointer, _ bytes: Int) -> [Object] {
    var objects: [Object] = []
    let window = window(layout, bytes)
    while tri_testing_waiting_slots(window) != 0 { objects.append(object(layout, bytes)) }
    return objects
  }
}
