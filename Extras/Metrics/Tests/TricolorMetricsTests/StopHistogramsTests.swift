// StopHistograms against what the heap itself lists.

import Testing
import Tricolor
import TricolorMetrics

@Suite struct StopHistogramsTests {
  @Test("every stop is counted under its cause")
  func causes() throws {
    let heap = try Heap()
    let histograms = StopHistograms(of: heap)
    for _ in 0..<10 { heap.gc(.forceBlock) }
    for _ in 0..<5 { heap.gc(.background) }
    #expect(histograms.stops(.forced).totalCount == 10)
    #expect(histograms.stops(.termination).totalCount == 5)
    #expect(histograms.stops(.hooks).totalCount == 0)
    #expect(histograms.stops.totalCount == 15)
    #expect(histograms.arrivals.totalCount == 0)
  }

  @Test("the longest stop is the heap's longest pause, to three digits")
  func values() throws {
    let heap = try Heap()
    let histograms = StopHistograms(of: heap)
    for _ in 0..<20 { heap.gc(.forceBlock) }
    let longest = Double(heap.stops().map { $0.time.components.attoseconds / 1_000_000_000 }.max()!)
    #expect(abs(Double(histograms.stops.max) - longest) <= longest / 500)
    #expect(histograms.stops.valueAtPercentile(50) <= histograms.stops.max)
  }

  @Test("histograms that are dropped record no more, and the heap goes on")
  func dropped() throws {
    let heap = try Heap()
    do { _ = StopHistograms(of: heap) }
    heap.gc(.forceBlock)
    #expect(heap.statistics.cycles == 1)
  }
}
