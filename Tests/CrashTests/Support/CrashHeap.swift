// CrashHeap: a heap for a process that is about to die, and what to expect of its last words.

import CTricolor
import CTricolor.Testing
import Glibc
import Synchronization
import Testing
import TricolorCore

typealias Object = UnsafeMutableRawPointer
typealias MutatorPointer = UnsafeMutablePointer<tri_mutator>

/// What the process printed on standard error.
func text(_ result: ExitTest.Result?) -> String {
  String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
}

/// Expects one line of the heap's that holds all the phrases.
func expect(
  _ result: ExitTest.Result?, says phrases: String..., sourceLocation: SourceLocation = #_sourceLocation
) {
  let said = text(result)
  let last = said.split(separator: "\n").last { $0.hasPrefix("tricolor: ") } ?? ""
  for phrase in phrases where !last.contains(phrase) {
    Issue.record("expected \"\(phrase)\", was told: \(said)", sourceLocation: sourceLocation)
  }
}

/// Never closed: the process ends first.
struct CrashHeap: @unchecked Sendable {
  let collector: Collector
  let heap: OpaquePointer
  let mutator: MutatorPointer

  /// With this thread attached, precisely.
  init(_ change: (inout tri_options) -> Void = { _ in }) {
    // A process that should have died and waits instead is ended.
    alarm(20)
    var options = tri_options()
    tri_options_init(&options)
    options.read_environment = 0
    options.reservation_bytes = 256 << 20
    options.growth_percent = .max
    options.mark_workers = 1
    change(&options)
    var status = tri_status.ok
    collector = Collector.open(&options, status: &status)!
    heap = collector.heap
    var pointer: MutatorPointer?
    precondition(tri_attach(heap, UInt32(TRI_ATTACH_PRECISE), &pointer) == .ok)
    mutator = pointer!
  }

  var leafLayout: OpaquePointer { tri_layout_leaf(heap) }
  func leaf(_ bytes: Int = 64) -> Object { tri_alloc(mutator, tri_layout_leaf(heap), bytes)! }
  func node(_ words: Int = 2) -> Object { tri_alloc(mutator, tri_layout_references(heap), words * 8)! }

  // MARK: Cycles by hand

  func beginMarking() {
    tri_cycle_begin(heap, .background)
    tri_cycle_finish_sweep(heap)
    tri_cycle_set_phase(heap, .mark)
    tri_cycle_enable_barrier(heap)
  }

  /// In phase markTermination, the world stopped, everything marked.
  func terminate(forced: Bool = false) {
    if forced {
      tri_cycle_begin(heap, .force)
      tri_cycle_stop_world(heap)
      tri_cycle_finish_sweep(heap)
      tri_cycle_reset_scan_state(heap)
      tri_cycle_set_phase(heap, .markTermination)
      tri_cycle_mark_stopped(heap)
      return
    }
    beginMarking()
    tri_cycle_scan_roots(heap)
    tri_cycle_mark_concurrently(heap)
    tri_cycle_stop_world(heap)
    precondition(tri_cycle_try_finish_marking(heap, 9))
    tri_cycle_set_phase(heap, .markTermination)
  }
}

/// Runs on a thread of its own, to the end.
func onAnotherThread(_ body: @escaping @Sendable () -> Void) {
  final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
  var thread = pthread_t()
  pthread_create(
    &thread, nil,
    { context in
      Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
      return nil
    }, Unmanaged.passRetained(Body(body)).toOpaque())
  pthread_join(thread, nil)
}

/// What step hooks, plain C functions, need to know.
enum Scene {
  nonisolated(unsafe) static var crash: CrashHeap!
  nonisolated(unsafe) static var object: Object!
  nonisolated(unsafe) static var objects: [Object] = []
  static let isReady = Atomic(false)
}
