// Our figures beside what the machine allows: each in nanoseconds, with the least that the same work could take here by the
// rows `lines`, `zeroing` and `pages` of the same run.

struct Limits {
  struct Figure: Equatable {
    let name: String
    /// Of what our time is: an object, a page, a sweep.
    let unit: String
    let ns: Double
    let limitName: String
    let limitNs: Double

    var multiple: Double { ns / limitNs }
  }

  let results: Results

  var figures: [Figure] { zeroing + marking + sweeping + growing }

  // MARK: What the machine does

  private func limit(_ title: String, _ field: String, scale: Double = 1) -> Double? {
    results.median(title, "glibc") { $0[field] }.map { $0 * scale }
  }

  /// Picoseconds in the fields, nanoseconds here.
  func zeroing(_ field: String) -> Double? { limit(Catalog.zeroingTitle, field, scale: 0.001) }
  func pages(_ field: String) -> Double? { limit(Catalog.pagesTitle, field, scale: 0.001) }
  var independentRead: Double? { results.row(Catalog.linesTitle)?.cpu("glibc")?.median }
  var dependentRead: Double? { limit(Catalog.linesTitle, "dependent_ns") }
  var sequentialRead: Double? { limit(Catalog.linesTitle, "sequential_ps", scale: 0.001) }
  var firstTouch: Double? { results.row(Catalog.pagesTitle)?.cpu("glibc")?.median }

  // MARK: Ours beside it

  private func figure(_ name: String, _ unit: String, _ ns: Double?, _ limitName: String, _ limitNs: Double?)
    -> [Figure]
  {
    guard let ns, let limitNs, limitNs > 0 else { return [] }
    return [Figure(name: name, unit: unit, ns: ns, limitName: limitName, limitNs: limitNs)]
  }

  private var zeroing: [Figure] {
    [16, 32, 64, 128].flatMap { bytes in
      let title = Catalog.pairTitle("zeroed", bytes: bytes, liveMiB: 0)
      return figure(
        title, "object", results.row(title)?.cpu("tricolor")?.median, "clearing \(bytes) B that are hot",
        zeroing("object_\(bytes)_ps"))
    }
  }

  /// A marker cannot do with less than a read of each object's line; a random graph shows it each reference's end too.
  private var marking: [Figure] {
    let random = ("4 independent reads of a line", independentRead.map { $0 * 4 })
    let sequential = ("1 sequential read of a line", sequentialRead)
    let limits = [
      "random": random, "list": ("1 dependent read of a line", dependentRead), "tree": sequential, "array": sequential,
      "deep": sequential,
    ]
    return Catalog.shapes.flatMap { shape -> [Figure] in
      // By the size of the reads: the 10 million objects of the long form, or of the `mark` rows.
      let titles = [Catalog.shapeTitle(shape, millions: 10, markers: 1), "mark \(shape) 10 M"]
      guard let limit = limits[shape],
        let (title, ns) = titles.lazy.compactMap({ title in markNs(title).map { (title, $0) } }).first
      else { return [] }
      return figure(title, "object", ns, limit.0, limit.1)
    }
  }

  private func markNs(_ title: String) -> Double? {
    results.median(title) { Column.quotient($0["mark_cpu_ns"] ?? $0.cpuNs, $0["marked"]) }
  }

  /// A bit for 16 bytes, in two maps: one is read, the other cleared.
  private var sweeping: [Figure] {
    sweepRows.flatMap { title in
      let lines = results.median(title) { $0["heap_bytes"] }.map { $0 / 16 / 8 / 64 }
      let limit = Column.product(lines, Column.product(2, zeroing("memset_2m_ps")))
      return figure(title, "sweep", results.median(title) { $0["sweep_ns"] }, "clearing as much as both bitmaps", limit)
    }
  }

  private var growing: [Figure] {
    sweepRows.flatMap { title in
      let ns = results.median(title) { run in Column.quotient(run["fill_ns"], run["heap_bytes"]).map { $0 * 4096 } }
      let name = title.split(separator: ",")[0].dropFirst("sweep ".count)
      return figure("filling \(name) for the first time", "4 KiB", ns, "first touch of 4 KiB", firstTouch)
    }
  }

  private var sweepRows: [String] { results.titles.filter { $0.hasPrefix("sweep ") } }

  // MARK: As text

  /// nil: no figure has its limit in this run.
  var text: String? {
    let figures = figures
    guard !figures.isEmpty else { return nil }
    let width = figures.map(\.name.count).max() ?? 0
    let lines = figures.map { figure in
      "  \(figure.name.padded(width))  \(figure.ns.short.leftPadded(9)) ns per \(figure.unit.padded(6))  "
        + "\(figure.multiple.formatted(digits: 2).leftPadded(6)) x  \(figure.limitNs.short.leftPadded(7)) ns: "
        + figure.limitName
    }
    return (["\nlimits   [tricolor, collected: median CPU time as a multiple of what the machine allows]"] + lines)
      .joined(separator: "\n")
  }
}
