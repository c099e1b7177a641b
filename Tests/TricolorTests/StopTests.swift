// Stops as a Swift program sees them.

import Synchronization
import Testing
import Tricolor

@Suite("stops of the world")
struct StopTests {
  @Test("stops are listed with cause and time")
  func list() throws {
    let heap = try Heap()
    heap.gc(.background)
    heap.gc(.forceBlock)
    let stops = heap.stops()
    #expect(stops.map(\.cause) == [.termination, .forced])
    #expect(stops.allSatisfy { $0.time >= $0.arrivalTime && $0.latestThread == nil })
    #expect(heap.stops(after: 1).map(\.number) == [2])
    #expect(stops.map(\.time).max() == heap.statistics.longestPause)
  }

  @Test("an observer sees every stop until it is taken back")
  func observer() throws {
    let seen = Mutex<[Heap.Stop.Cause]>([])
    let heap = try Heap()
    heap.onStop { stop, arrivals in
      #expect(arrivals.isEmpty)
      seen.withLock { $0.append(stop.cause) }
    }
    heap.gc(.forceBlock)
    heap.gc(.background)
    heap.onStop(nil)
    heap.gc(.forceBlock)
    #expect(seen.withLock { $0 } == [.forced, .termination])
  }
}
