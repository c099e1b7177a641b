import CTricolor
import Testing

@testable import TricolorCore

@Suite struct PhaseTests {
  private static let legal: [(tri_phase, PhaseEvent, tri_phase)] = [
    (.off, .beginMarking, .mark),
    (.mark, .worldStopped, .markTermination),
    (.off, .beginStopped, .markTermination),
    (.markTermination, .markingComplete, .off),
    (.mark, .abandoned, .off),
  ]

  @Test("exactly four moves are legal, and one in a forked child")
  func moves() {
    let phases: [tri_phase] = [.off, .mark, .markTermination]
    let events: [PhaseEvent] = [.beginMarking, .worldStopped, .beginStopped, .markingComplete, .abandoned]
    for phase in phases {
      for event in events {
        let expected = Self.legal.first { $0.0 == phase && $0.1 == event }?.2
        #expect(Collector.next(phase, event) == expected, "\(event.name) in phase \(phase)")
      }
    }
  }
}
