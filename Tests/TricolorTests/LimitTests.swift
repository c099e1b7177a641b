// LimitTests: limits, external bytes and events as Swift programs see them.

import Synchronization
import Testing
import Tricolor

@Suite struct LimitTests {
  private func options(_ change: (inout HeapOptions) -> Void = { _ in }) -> HeapOptions {
    var options = HeapOptions()
    options.readsEnvironment = false
    change(&options)
    return options
  }

  @Test("limits are set at the start and later, and read back")
  func limits() throws {
    let heap = try Heap(
      options {
        $0.softLimit = .bytes(40 << 20)
        $0.limitBytes = 64 << 20
        $0.longestAssist = .microseconds(50)
        $0.periodicCycle = nil
      })
    #expect(heap.statistics.softLimitBytes == 40 << 20 && heap.statistics.limitBytes == 64 << 20)
    try heap.setLimits(soft: .off, limitBytes: 32 << 20)
    #expect(heap.statistics.softLimitBytes == nil && heap.statistics.limitBytes == 32 << 20)
    #expect(throws: HeapError.badOptions) { try heap.setLimits(soft: .bytes(33 << 20), limitBytes: 32 << 20) }
    #expect(heap.statistics.limitBytes == 32 << 20)
    try heap.setLimits(soft: .off)
    #expect(heap.statistics.limitBytes == nil)
  }

  @Test("options that make no sense are refused")
  func badOptions() {
    let changes: [(inout HeapOptions) -> Void] = [
      {
        $0.softLimit = .bytes(2)
        $0.limitBytes = 1
      },
      { $0.longestAssist = .zero },
      { $0.longestAssist = .seconds(-1) },
      { $0.longestAssist = .seconds(2) },
      { $0.longestAssist = .seconds(Int64.max) },
      { $0.periodicCycle = .seconds(400 * 24 * 3600) },
    ]
    for change in changes {
      #expect(throws: HeapError.badOptions) { _ = try Heap(options(change)) }
    }
  }

  @Test("events arrive, until the handler is taken back")
  func events() throws {
    let heap = try Heap(options())
    let kinds = Kinds()
    heap.onEvent { kinds.add($0) }
    try heap.setLimits(soft: .bytes(1))
    #expect(kinds.all == [.heapLimitExceeded] && heap.statistics.isLimitExceeded)
    try heap.setLimits(soft: .off)
    #expect(kinds.all == [.heapLimitExceeded, .heapLimitRecovered] && !heap.statistics.isLimitExceeded)
    heap.onEvent { _ in }
    heap.onEvent(nil)
    try heap.setLimits(soft: .bytes(1))
    #expect(kinds.all.count == 2)
    try heap.close()
  }

  @Test("external bytes are counted, with and without a mutator")
  func external() throws {
    let heap = try Heap(options())
    heap.withMutator { $0.addExternalBytes(1 << 20) }
    heap.addExternalBytes(1 << 19)
    #expect(heap.statistics.externalBytes == (1 << 20) + (1 << 19))
    heap.addExternalBytes(-(1 << 20) - (1 << 19))
    #expect(heap.statistics.externalBytes == 0)
  }
}

private final class Kinds: Sendable {
  private let kinds = Mutex<[Heap.Event.Kind]>([])
  var all: [Heap.Event.Kind] { kinds.withLock { $0 } }
  func add(_ event: Heap.Event) { kinds.withLock { $0.append(event.kind) } }
}
