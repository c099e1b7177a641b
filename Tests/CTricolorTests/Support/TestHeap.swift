// TestHeap: a small heap of its own for every test, that collects only when told and checks itself in every cycle.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

typealias Object = UnsafeMutableRawPointer
typealias Slot = UnsafeMutablePointer<UnsafeMutableRawPointer?>
typealias MutatorPointer = UnsafeMutablePointer<tri_mutator>

let growthOff = UInt32.max

/// The defaults of the tests, then the change.
func testOptions(_ change: (inout tri_options) -> Void = { _ in }) -> tri_options {
  var options = tri_options()
  tri_options_init(&options)
  options.read_environment = 0
  options.reservation_bytes = 256 << 20
  options.growth_percent = growthOff
  options.mark_workers = 1
  options.verify = 1
  options.checkmark = 1
  change(&options)
  return options
}

final class TestHeap: @unchecked Sendable {
  let collector: Collector
  let heap: OpaquePointer
  private var isOpen = true
  private var kept: [AnyObject] = []

  init(_ change: (inout tri_options) -> Void = { _ in }) throws {
    var options = testOptions(change)
    var status = tri_status.ok
    collector = try #require(Collector.open(&options, status: &status), "\(status)")
    heap = collector.heap
  }

  deinit {
    if isOpen { close() }
  }

  func close() {
    isOpen = false
    let status = collector.close()
    if status != .ok { Issue.record("the heap could not be closed: \(status)") }
  }

  /// What callbacks of this heap look at lives as long as the heap: Swift may release a variable after its last use.
  func keep(_ object: AnyObject) { kept.append(object) }

  var statistics: tri_statistics {
    var statistics = tri_statistics()
    tri_statistics_read(heap, &statistics)
    return statistics
  }

  /// A cycle of which nothing is left to sweep.
  func collect(_ mode: Mode = .forceBlock) {
    collector.gc(mode)
    if !eventually({ !tri_testing_sweep_is_running(heap) }) { Issue.record("the sweep does not end") }
  }

  /// After a whole cycle: exactly what is reachable, if every mutator is precise.
  func liveObjects(after mode: Mode = .forceBlock) -> UInt64 {
    collect(mode)
    return statistics.live_objects
  }

  var leaf: OpaquePointer { tri_layout_leaf(heap) }
  var references: OpaquePointer { tri_layout_references(heap) }
  var conservative: OpaquePointer { tri_layout_conservative(heap) }

  func layout(_ change: (inout tri_layout_description) -> Void) throws -> OpaquePointer {
    var description = tri_layout_description()
    change(&description)
    var layout: OpaquePointer?
    let status = tri_layout_make(heap, &description, &layout)
    try #require(status == .ok)
    return layout!
  }

  func type(_ layout: OpaquePointer, bytes: Int) throws -> tri_type {
    var type = tri_type()
    let status = tri_type_make(heap, layout, bytes, &type)
    try #require(status == .ok)
    return type
  }

  /// Attaches this thread, opens a handle scope, and undoes both. Nothing of the native stack is scanned unless asked.
  func attached<R>(conservative: Bool = false, _ body: (TestMutator) throws -> R) throws -> R {
    var pointer: MutatorPointer?
    let status = tri_attach(heap, conservative ? 0 : UInt32(TRI_ATTACH_PRECISE), &pointer)
    try #require(status == .ok)
    let mutator = TestMutator(pointer: pointer!, heap: heap)
    let scope = tri_scope_begin(mutator.pointer)
    defer {
      tri_scope_end(mutator.pointer, scope)
      let status = tri_detach(mutator.pointer)
      if status != .ok { Issue.record("detaching: \(status)") }
    }
    return try body(mutator)
  }
}

struct TestMutator {
  let pointer: MutatorPointer
  let heap: OpaquePointer

  func object(_ layout: OpaquePointer, _ bytes: Int) -> Object {
    tri_alloc(pointer, layout, bytes)!
  }
  func leaf(_ bytes: Int) -> Object { object(tri_layout_leaf(heap), bytes) }
  /// Every word a reference.
  func node(_ words: Int = 2) -> Object { object(tri_layout_references(heap), words * 8) }

  /// A new slot of the innermost scope.
  @discardableResult
  func root(_ object: Object?) -> Slot { tri_scope_slot(pointer, object)! }

  func store(_ value: Object?, in object: Object, at word: Int = 0) {
    tri_store(pointer, object, object + word * 8, value)
  }

  func allocate(_ layout: OpaquePointer, _ bytes: Int, alignment: Int = 16) -> (status: tri_status, object: Object?) {
    var object: Object?
    let status = tri_allocate(pointer, layout, bytes, alignment, &object)
    return (status, object)
  }

  /// A list of two-word nodes linked through their first word, kept in one slot of the scope.
  func list(_ length: Int) -> Slot {
    let head = root(nil)
    for _ in 0..<length {
      let node = node()
      tri_init(pointer, node, node, head.pointee)
      head.pointee = node
    }
    return head
  }

  var barrierIsOn: Bool { tri_testing_barrier_is_on(pointer) }
  var barrierWords: UInt32 { tri_testing_barrier_words(pointer) }
  var stackIsGrey: Bool { tri_testing_stack_is_grey(pointer) }
}

func reference(_ object: Object, at word: Int = 0) -> Object? {
  object.load(fromByteOffset: word * 8, as: Object?.self)
}

func listLength(_ head: Object?) -> Int {
  var length = 0
  var node = head
  while let at = node {
    length += 1
    node = reference(at)
  }
  return length
}

func address(_ object: Object?) -> UInt { UInt(bitPattern: object) }

/// Whether the memory reads as zero.
func isZero(_ object: Object, _ bytes: Int) -> Bool {
  var offset = 0
  while offset + 8 <= bytes {
    if object.load(fromByteOffset: offset, as: UInt64.self) != 0 { return false }
    offset += 8
  }
  while offset < bytes {
    if object.load(fromByteOffset: offset, as: UInt8.self) != 0 { return false }
    offset += 1
  }
  return true
}

/// splitmix64: the same numbers on every run.
struct Random {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
