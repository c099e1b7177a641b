// Are the rows that print more than time shown as what they mean, and compared with the right thing?
import Foundation
import Testing

@testable import bench

@Suite struct ColumnTests {
  @Test(arguments: [Catalog.Mode.quick, .full])
  func `every row has a title of its own and a workload that can be asked for`(_ mode: Catalog.Mode) {
    let rows = Catalog(mode: mode, traces: []).rows
    #expect(Set(rows.map(\.title)).count == rows.count)
    for row in rows { #expect(Catalog.workloads.contains(row.workload), "\(row.title)") }
    for row in rows { #expect(!row.without.contains(row.baseline), "\(row.title)") }
  }

  @Test func `every workload that can be asked for has rows`() {
    let found = Set(Catalog(mode: .quick, traces: []).rows.map(\.workload))
    #expect(found == Set(Catalog.workloads).subtracting(["replay"]))
  }

  @Test func `marking is compared with the plain loop on the same graph`() throws {
    let title = Catalog.shapeTitle("tree", millions: 2, markers: 1)
    let result = try measured(title, ",\"marked\":10,\"reachable\":10,\"mark_cpu_ns\":120,\"plain_ns\":100")
    #expect(value("mark tree, 1 marker / a plain stack loop", [result]) == 1.2)
    let table = Table(result).text.split(separator: "\n")
    #expect(table[1].contains("mark ns/object  plain loop ns/object  mark / plain"))
    #expect(table[2].split(separator: " ").suffix(3) == ["12.00", "10.00", "1.20"])
    #expect(WorkloadSection.table(result).html.contains("<td>12.00</td><td>10.00</td><td>1.20</td>"))
  }

  @Test func `two markers are compared by wall time with one`() throws {
    let one = try measured(Catalog.shapeTitle("mix", millions: 10, markers: 1), ",\"mark_wall_ns\":100")
    let two = try measured(Catalog.shapeTitle("mix", millions: 10, markers: 2), ",\"mark_wall_ns\":55")
    let text = "mark mix, 2 markers / 1 marker, wall time"
    #expect(value(text, [one, two]) == 0.55)
    #expect(value(text, [two]) == nil)
  }

  @Test func `a row without the values of a column has no such column`() throws {
    let result = try measured("fake row", ",\"plain_ns\":100")
    #expect(!Table(result).text.contains("plain loop"))
  }

  @Test func `stores are shown one by one, and beside plain ones`() throws {
    let fields = [("raw", 20, 10), ("off", 30, 10), ("on", 40, 4)].map { name, ns, stores in
      ",\"\(name)_store_ns\":\(ns),\"\(name)_stores\":\(stores)"
    }
    let text = Table(try measured("fake row", fields.joined() + ",\"marking_share_permille\":900")).text
    #expect(text.split(whereSeparator: \.isWhitespace).suffix(6) == ["2.00", "3.00", "10.00", "1.50", "5.00", "90"])
  }

  @Test func `threads are compared with one alone by what an operation takes`() throws {
    // 10 operations took 100 ns; one thread needed 60 ns for 5.
    let text = Table(try measured("fake row", ",\"one_cpu_ns\":60,\"one_wall_ns\":40,\"one_operations\":5")).text
    #expect(text.split(whereSeparator: \.isWhitespace).suffix(3) == ["12.00", "0.83", "1.25"])
  }

  @Test func `a sweep is shown per GiB`() throws {
    let text = Table(try measured("fake row", ",\"sweep_ns\":1000000,\"heap_bytes\":268435456")).text
    #expect(text.split(whereSeparator: \.isWhitespace).last == "4.00")
  }

  private func value(_ text: String, _ results: [RowResult]) -> Double? {
    Target.all.first { $0.text == text }?.value(Results(results))
  }
}

/// A row that our heap measured once, printing these fields besides the common ones.
func measured(_ title: String, _ extra: String, contender: String = "tricolor") throws -> RowResult {
  let sample = try #require(Sample(output: line(cpuNs: 100, extra: extra)))
  return RowResult(row: fakeRow(title, baseline: contender), samples: [(contender, [sample])])
}
