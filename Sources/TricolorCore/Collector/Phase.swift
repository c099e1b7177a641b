// Phase: the one table of legal moves (S6).
//
//   off ──beginMarking──▶ mark ──worldStopped──▶ markTermination ──markingComplete──▶ off
//   off ──────────────beginStopped─────────────▶ markTermination
//   mark ──abandoned──▶ off   in a forked child only: nothing counts as marked
//
// The write barrier is derived from the phase and therefore on without a gap from the first move to the last (S5).

import CTricolor

enum PhaseEvent {
  case beginMarking  // marking beside the mutators begins
  case worldStopped  // nothing is grey and nobody runs; the barrier stays on
  case beginStopped  // the whole mark happens in a stop: force modes, and the second pass of trace level 2
  case markingComplete  // proven; still stopped, before sweeping
  case abandoned  // in a forked child: whoever was marking is not there

  var name: StaticString {
    switch self {
    case .beginMarking: "beginMarking"
    case .worldStopped: "worldStopped"
    case .beginStopped: "beginStopped"
    case .markingComplete: "markingComplete"
    case .abandoned: "abandoned"
    }
  }
}

extension Collector {
  /// Where an event leads from a phase, or nil if it is not legal there.
  static func next(_ phase: tri_phase, _ event: PhaseEvent) -> tri_phase? {
    switch (phase, event) {
    case (.off, .beginMarking): .mark
    case (.mark, .worldStopped): .markTermination
    case (.off, .beginStopped): .markTermination
    case (.markTermination, .markingComplete): .off
    case (.mark, .abandoned): .off
    case (.off, _), (.mark, _), (.markTermination, _): nil
    }
  }

  /// The only way the phase changes.
  func move(_ event: PhaseEvent) {
    let phase = tri_cycle_phase(heap)
    guard let next = Self.next(phase, event) else {
      event.name.withUTF8Buffer { name in
        name.withMemoryRebound(to: CChar.self) { tri_cycle_illegal_move(phase, $0.baseAddress!) }
      }
    }
    tri_cycle_set_phase(heap, next)
  }
}
