// Do our figures stand beside the right limits, and only those whose limit was measured?
import Foundation
import Testing

@testable import bench

@Suite struct LimitsTests {
  private let zeroing = ",\"object_64_ps\":800,\"memset_2m_ps\":1600,\"memset_4k_ps\":400"
  private let pair = Catalog.pairTitle("zeroed", bytes: 64, liveMiB: 0)

  @Test func `a zeroed pair stands beside clearing its size`() throws {
    // 100 ns for 10 operations.
    let rows = [
      try measured(pair, ""), try measured(Catalog.zeroingTitle, zeroing, contender: "glibc"),
    ]
    let figure = try #require(Limits(results: Results(rows)).figures.first)
    #expect(figure.name == pair)
    #expect(figure.ns == 10)
    #expect(abs(figure.multiple - 12.5) < 1e-9)
    let text = try #require(Limits(results: Results(rows)).text)
    #expect(text.contains("12.50 x     0.80 ns: clearing 64 B that are hot"))
  }

  @Test func `a mark of many objects stands beside reads of lines`() throws {
    let lines = try measured(
      Catalog.linesTitle, ",\"dependent_ns\":200,\"sequential_ps\":4000", contender: "glibc")
    let list = try measured("mark list 10 M", ",\"marked\":10,\"mark_cpu_ns\":2200")
    let tree = try measured(
      Catalog.shapeTitle("tree", millions: 10, markers: 1), ",\"marked\":10,\"mark_cpu_ns\":120")
    let small = try measured(
      Catalog.shapeTitle("deep", millions: 2, markers: 1), ",\"marked\":10,\"mark_cpu_ns\":120")
    let figures = Limits(results: Results([lines, list, tree, small])).figures
    #expect(figures.map(\.multiple) == [3, 1.1])
  }

  @Test func `a sweep stands beside clearing its bitmaps, and filling beside the supply of pages`() throws {
    // A line of bitmap for 8 KiB of heap: 1 MiB has 128 in each of two maps.
    let sweep = try measured(
      "sweep 1 MiB of 64 B, half dead", ",\"sweep_ns\":4096,\"fill_ns\":25600,\"heap_bytes\":1048576")
    let rows = [
      sweep, try measured(Catalog.zeroingTitle, zeroing, contender: "glibc"),
      try measured(Catalog.pagesTitle, "", contender: "glibc"),
    ]
    let figures = Limits(results: Results(rows)).figures
    #expect(figures.map(\.name) == ["sweep 1 MiB of 64 B, half dead", "filling 1 MiB of 64 B for the first time"])
    #expect(figures.map(\.multiple).map { $0.formatted(digits: 2) } == ["10.00", "10.00"])
  }

  @Test func `without a limit there is no figure, and no section`() throws {
    let rows = [try measured(pair, "")]
    #expect(Limits(results: Results(rows)).text == nil)
    #expect(LimitsSection(results: rows).html == nil)
  }

  @Test func `the page has what clearing and pages cost, and our figures beside it`() throws {
    let rows = [
      try measured(pair, ""), try measured(Catalog.zeroingTitle, zeroing, contender: "glibc"),
      try measured(Catalog.pagesTitle, ",\"huge_first_ps\":500000", contender: "glibc"),
    ]
    let html = try #require(LimitsSection(results: rows).html)
    for text in ["memset of 2 MiB", "<td>1.60</td>", "first touch, huge pages", "<td>500</td>", "<td>12.50</td>"] {
      #expect(html.contains(text), "\(text)")
    }
    // What was not measured is left out.
    #expect(!html.contains("cold memory"))
    #expect(!html.contains("Random reads"))
  }
}
