// Does the page show everybody, need nothing but itself, and survive any text?
import ArgumentParser
import Foundation
import Testing

@testable import bench

@Suite struct PageTests {
  private static let nasty = "<script>alert(\"1\" & '2')</script>"

  @Test func `every row and contender is on the page, with its numbers`() throws {
    let html = page([
      try fakeResult(
        "pairs x", workload: "pairs", runs: ["jemalloc": [1230, 1110, 1350], "tricolor": [615, 600, 630]]),
      try fakeResult("trees y", workload: "trees", runs: ["jemalloc": [100], "go": [770], "tricolor-free": [200]]),
    ])
    for text in ["pairs x", "trees y", "jemalloc", "tricolor-free", ">go<", "61.5", "0.50", "7.70", "test processor"] {
      #expect(html.contains(text), "\(text)")
    }
    #expect(html.contains("Memory against time"))
    #expect(html.contains("class=\"ours\""))
  }

  @Test func `the numbers of charts stand in tables too`() throws {
    let html = page([try fakeResult(runs: ["jemalloc": [1230, 1110, 1350]])])
    #expect(html.contains("<td>123<small>111 – 135</small></td>"))
    #expect(html.contains("<desc id=\"row-0-cpu-d\">jemalloc: 123, 1.00 × jemalloc</desc>"))
  }

  @Test func `text from outside cannot become HTML`() throws {
    let row = try fakeResult(
      PageTests.nasty, workload: PageTests.nasty, runs: [PageTests.nasty: [100], "tricolor": [90]])
    let verdict = Verdict(kind: .aim, text: PageTests.nasty, limit: 1, unit: PageTests.nasty, value: 2)
    let html = page([row], verdicts: [verdict], problems: [PageTests.nasty])
    #expect(!html.contains("<script"))
    #expect(html.contains("&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;"))
  }

  @Test func `the page is well-formed and refers to nothing outside`() throws {
    let rows = [
      try fakeResult("a", workload: "trees", runs: ["jemalloc": [100, 120], "tricolor": [50, 70]]),
      try fakeResult("mark random 10 M", workload: "mark", runs: ["tricolor": [50]]),
      try fakeResult(Catalog.linesTitle, workload: "mark", runs: ["glibc": [50]]),
    ]
    let verdicts = Target.all.compactMap { $0.verdict(Results(rows), namingUnmeasured: true) }
    let html = page(rows, verdicts: verdicts)
    for outside in ["http:", "https:", "src=", "url(", "@import", "<link", "<script"] {
      #expect(!html.contains(outside), "\(outside)")
    }
    let ids = html.matches(of: /\bid="([^"]+)"/).map { String($0.1) }
    #expect(Set(ids).count == ids.count)
    for reference in html.matches(of: /(?:href="#|labelledby=")([^"]+)"/) {
      for id in reference.1.split(separator: " ") { #expect(ids.contains(String(id))) }
    }
    #expect(PageTests.unclosed(html) == [])
  }

  @Test func `what the machine allows has its own section`() throws {
    let lines = try fakeResult(Catalog.linesTitle, workload: "mark", runs: ["glibc": [40]])
    let pairs = try fakeResult("pairs x", workload: "pairs", runs: ["tricolor": [20]])
    let html = page([lines, pairs])
    #expect(html.contains("Limits of the machine"))
    #expect(html.contains("<td>2.00</td><td>0.50</td><td>–</td>"))
    #expect(!page([pairs]).contains("Limits of the machine"))
  }

  @Test func `reached and missed are words, not only colours`() {
    func verdict(_ value: Double?) -> Verdict { Verdict(kind: .must, text: "t", limit: 1, unit: "", value: value) }
    let html = page([], verdicts: [verdict(0.5), verdict(2), verdict(nil)])
    for text in ["✓ reached", "✗ missed", "not measured", "1 of 2 reached"] { #expect(html.contains(text)) }
  }

  @Test func `results without rows, and rows without contenders, make a page`() throws {
    #expect(page([]).contains("Nothing measured"))
    #expect(page([try fakeResult(runs: [:])]).contains("Nothing measured"))
  }

  @Test func `the report replaces an older one, and nothing when the results are no results`() throws {
    let files = try FakePrograms()
    let results = files.folder.appending(path: "r.json").path
    let output = files.folder.appending(path: "r.html").path
    try Data("older".utf8).write(to: URL(filePath: output))
    try Data("no JSON".utf8).write(to: URL(filePath: results))
    #expect(throws: ExitCode(2)) { try MakeReport.parse([results, "--output", output]).run() }
    #expect(try String(contentsOfFile: output, encoding: .utf8) == "older")

    try fakeReport([try fakeResult(runs: ["jemalloc": [100]])]).json().write(to: URL(filePath: results))
    try MakeReport.parse([results, "--output", output]).run()
    #expect(try String(contentsOfFile: output, encoding: .utf8).hasSuffix("</html>\n"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: files.folder.path).sorted() == ["r.html", "r.json"])
  }

  @Test func `a report that cannot be written is refused before the results are read`() throws {
    #expect(throws: ExitCode(1)) { try MakeReport.parse(["/nonexistent", "--output", "/nonexistent/r.html"]).run() }
    #expect(throws: ExitCode(1)) { try OutputFile(path: "/dev/null") }
  }

  @Test func `results are not replaced by their own report`() throws {
    let files = try FakePrograms()
    let results = files.folder.appending(path: "r.json").path
    try fakeReport([]).json().write(to: URL(filePath: results))
    let other = files.folder.path + "/./r.json"
    #expect(throws: ValidationError.self) { try MakeReport.parse([results, "--output", other]).run() }
    #expect(try String(contentsOfFile: results, encoding: .utf8).contains("\"schema\""))
  }

  private func page(_ results: [RowResult], verdicts: [Verdict] = [], problems: [String] = []) -> String {
    Page(report: fakeReport(results, verdicts: verdicts, problems: problems), results: results).html
  }

  /// Elements that are not closed where they should be.
  private static func unclosed(_ html: String) -> [String] {
    var open: [String] = []
    var wrong: [String] = []
    for match in html.matches(of: /<(\/?)([a-z0-9]+)[^>]*?(\/?)>/) {
      let (isEnd, name, isEmpty) = (!match.1.isEmpty, String(match.2), !match.3.isEmpty)
      if isEmpty || name == "meta" { continue }
      if !isEnd {
        open.append(name)
      } else if open.popLast() != name {
        wrong.append(name)
      }
    }
    return open + wrong
  }
}
