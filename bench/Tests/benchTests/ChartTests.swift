// Are axes round, and do names keep clear of each other?
import Testing

@testable import bench

@Suite struct ChartTests {
  @Test(arguments: [0.003, 0.7, 1, 9.99, 42, 3400, 123_456])
  func `an axis has a few round ticks from zero to the largest value`(largest: Double) {
    let axis = Axis(upTo: largest, steps: 4)
    #expect(axis.ticks.first == 0)
    #expect((3...5).contains(axis.ticks.count))
    #expect(axis.ticks.allSatisfy { $0 <= largest * 1.0001 })
    #expect(axis.share(0) == 0 && axis.share(largest) == 1 && axis.share(largest * 2) == 1)
    #expect(Set(axis.ticks.map(axis.label)).count == axis.ticks.count)
  }

  @Test(arguments: [0, -1, Double.infinity, Double.nan])
  func `an axis without anything to show is still an axis`(largest: Double) {
    let axis = Axis(upTo: largest, steps: 4)
    #expect(axis.top == 1)
    #expect(axis.share(0) == 0)
  }

  @Test(arguments: [[20.0, 1100], [0.5, 0.7], [3, 3], [1, 1_000_000]])
  func `on a logarithmic axis a factor is the same distance everywhere`(values: [Double]) {
    let axis = LogAxis(around: values)
    #expect(values.allSatisfy { (0.001...0.999).contains(axis.share($0)) })
    #expect((1...7).contains(axis.ticks.count))
    #expect(Set(axis.ticks.map(LogAxis.label)).count == axis.ticks.count)
    let (a, b) = (axis.low * 1.1, axis.low * 1.2)
    #expect(abs((axis.share(b) - axis.share(a)) - (axis.share(b * 1.2) - axis.share(a * 1.2))) < 1e-9)
  }

  @Test func `a logarithmic axis of nothing, or of what is not above zero, is still an axis`() {
    #expect(abs(LogAxis(around: []).share(1) - 0.5) < 1e-9)
    #expect(LogAxis(places: []).share(5) == 0.5)
    #expect(LogAxis(around: [0, -1, .nan]).share(0) == 0)
  }

  @Test func `names of points close together do not lie on each other`() {
    let names = ["jemalloc", "glibc", "mimalloc2", "mimalloc3", "tcmalloc", "tricolor", "tricolor-free"]
    let points = names.indices.map { (x: 100 + Double($0) * 4, y: 100 + Double($0 % 3) * 4) }
    let plot = Box(x: 0, y: 0, width: 300, height: 200)
    let boxes = LabelPlacement.boxes(for: names, at: points, within: plot)
    for (index, box) in boxes.enumerated() {
      #expect(plot.contains(box))
      for other in boxes[..<index] { #expect(!box.overlaps(other)) }
    }
  }

  @Test func `a place too small for a name still answers a box`() {
    let boxes = LabelPlacement.boxes(
      for: ["a long name"], at: [(x: 5, y: 5)], within: Box(x: 0, y: 0, width: 10, height: 10))
    #expect(boxes.count == 1)
  }
}
