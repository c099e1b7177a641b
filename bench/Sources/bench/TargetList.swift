// The goals themselves: what must be reached, and what is aimed for.

extension Target {
  static var all: [Target] {
    musts + shapes + pairAims + batchAims + treeAims + churnAims + markAims + freeAims + replayAims + scaling + cache
  }

  private static func must(
    _ text: String, _ limit: Double, unit: String = "", _ value: @escaping (Results) -> Double?
  )
    -> Target
  {
    Target(kind: .must, text: text, limit: limit, unit: unit, value: value)
  }

  private static func aim(
    _ text: String, _ limit: Double, unit: String = "", _ value: @escaping (Results) -> Double?
  )
    -> Target
  {
    Target(kind: .aim, text: text, limit: limit, unit: unit, value: value)
  }

  // MARK: What must be reached

  private static var musts: [Target] {
    var targets: [Target] = []
    for variant in ["leaf", "zeroed"] {
      let name = "pairs \(variant) 16-128 B, nothing live / jemalloc malloc+free"
      targets.append(must("\(name), mean", 0.45) { pairRatios($0, variant).flatMap(geometricMean) })
      targets.append(must("\(name), worst size", 0.7) { pairRatios($0, variant)?.max() })
    }
    return targets + [
      must("binary trees 18 / jemalloc", 0.75) { $0.ratio(trees, to: "jemalloc") },
      must("binary trees 18, peak", 64, unit: " MiB") { $0.peakMiB(trees) },
      must("mark random 10 M / bdwgc", 0.2) { $0.ratio("mark random 10 M", to: "bdwgc") },
      must("mark random 10 M, objects marked wrongly", 0) { wronglyMarked($0, "mark random 10 M") },
    ]
  }

  private static let trees = "binary trees depth 18"

  /// Ours against plain malloc and free of the same size, for every small size; nil unless all were measured.
  static func pairRatios(
    _ results: Results, _ variant: String, _ contender: String = "tricolor", to baseline: String = "jemalloc",
    liveMiB: Int = 0, sizes: [Int] = Catalog.smallBytes
  ) -> [Double]? {
    let ratios = sizes.compactMap { bytes in
      results.ratio(
        Catalog.pairTitle(variant, bytes: bytes, liveMiB: liveMiB), contender, to: baseline,
        in: Catalog.pairTitle("leaf", bytes: bytes, liveMiB: liveMiB))
    }
    return ratios.count == sizes.count ? ratios : nil
  }

  /// How far the count is off beyond the few objects that stale words may keep; 0 if every run is right.
  private static func wronglyMarked(_ results: Results, _ title: String) -> Double? {
    guard let runs = results.row(title)?.runs("tricolor"), !runs.isEmpty else { return nil }
    let differences = runs.compactMap { run -> Double? in
      guard let marked = run["marked"], let reachable = run["reachable"] else { return nil }
      return run["marked_right"] == 1 ? 0 : abs(marked - reachable)
    }
    return differences.count == runs.count ? differences.max() : nil
  }

  // MARK: What is aimed for

  private static var pairAims: [Target] {
    // variant, MiB live, mean, worst size
    let table = [
      ("leaf", 0, 0.30, 0.40), ("zeroed", 0, 0.40, 0.60), ("leaf", 1, 0.32, 0.45), ("zeroed", 1, 0.42, 0.65),
    ]
    var targets: [Target] = []
    for (variant, live, mean, worst) in table {
      let name = "pairs \(variant) 16-128 B, \(live == 0 ? "nothing" : "1 MiB") live"
      for (baseline, slack) in [("jemalloc", 1.0), ("mimalloc3", 1.15)] {
        let ratios = { (results: Results) in pairRatios(results, variant, to: baseline, liveMiB: live) }
        targets.append(aim("\(name) / \(baseline), mean", mean * slack) { ratios($0).flatMap(geometricMean) })
        targets.append(aim("\(name) / \(baseline), worst size", worst * slack) { ratios($0)?.max() })
      }
    }
    for (live, limit) in [(0, 0.9), (1, 1.0)] {
      for bytes in [1024, 4096] {
        let title = Catalog.pairTitle("leaf", bytes: bytes, liveMiB: live)
        targets.append(aim("\(title) / jemalloc", limit) { $0.ratio(title, to: "jemalloc") })
      }
    }
    return targets
  }

  private static var batchAims: [Target] {
    func ratios(_ results: Results, _ variant: String, to baseline: String) -> [Double]? {
      let found = (Catalog.smallBytes + [256]).compactMap { bytes in
        results.ratio(
          "batches \(variant) \(bytes) B", to: baseline, in: "batches leaf \(bytes) B")
      }
      return found.isEmpty ? nil : found
    }
    return [
      aim("batches leaf, sizes measured / jemalloc, mean", 0.35) {
        ratios($0, "leaf", to: "jemalloc").flatMap(geometricMean)
      },
      aim("batches leaf, sizes measured / jemalloc, worst size", 0.45) {
        ratios($0, "leaf", to: "jemalloc")?.max()
      },
      aim("batches leaf, sizes measured / mimalloc3, mean", 0.85) {
        ratios($0, "leaf", to: "mimalloc3").flatMap(geometricMean)
      },
      aim("batches zeroed, sizes measured / jemalloc malloc, mean", 0.55) {
        ratios($0, "zeroed", to: "jemalloc").flatMap(geometricMean)
      },
    ]
  }

  private static var treeAims: [Target] {
    var targets = [
      aim("binary trees 18 / jemalloc", 0.5) { $0.ratio(trees, to: "jemalloc") },
      aim("binary trees 18 / mimalloc3", 0.85) { $0.ratio(trees, to: "mimalloc3") },
      aim("binary trees 18 / go", 0.2) { $0.ratio(trees, to: "go") },
    ]
    for depth in [16, 18] {
      let title = "gcbench depth \(depth)"
      for (baseline, limit) in [("jemalloc", 0.45), ("mimalloc3", 0.65), ("go", 0.28), ("java-serial", 1)] {
        targets.append(aim("\(title) / \(baseline)", limit) { $0.ratio(title, to: baseline) })
      }
    }
    return targets + [aim("gcbench depth 18, peak", 140, unit: " MiB") { $0.peakMiB("gcbench depth 18") }]
  }

  private static var churnAims: [Target] {
    [
      aim("churn leaf / jemalloc", 0.8) { $0.ratio("churn leaf", to: "jemalloc") },
      aim("churn leaf, peak / jemalloc", 2) { $0.peakRatio("churn leaf", to: "jemalloc") },
      aim("churn leaf / go", 0.2) { $0.ratio("churn leaf", to: "go") },
      aim("churn references / jemalloc calloc", 1.5) { $0.ratio("churn references", to: "jemalloc") },
      aim("churn references, peak / jemalloc", 2) { $0.peakRatio("churn references", to: "jemalloc") },
    ]
  }

  private static var markAims: [Target] {
    [
      aim("mark random 10 M / bdwgc", 0.12) { $0.ratio("mark random 10 M", to: "bdwgc") },
      aim("mark random 10 M / (1 + edges) independent line reads", 1) {
        lineReads($0, "random", linesPerObject: 4)
      },
      aim("mark list 10 M / dependent loads", 1.25) { dependentLoads($0) },
      aim("mark tree 10 M / bdwgc", 0.75) { $0.ratio("mark tree 10 M", to: "bdwgc") },
    ]
  }

  /// Our CPU time as a multiple of reading so many lines per marked object independently.
  private static func lineReads(_ results: Results, _ shape: String, linesPerObject: Double) -> Double? {
    guard let lines = results.row(Catalog.linesTitle)?.cpu("glibc"),
      let row = results.row("mark \(shape) 10 M"), let ms = row.cpu("tricolor")?.median,
      let marked = row.runs("tricolor").first?["marked"]
    else { return nil }
    return ms * 1e6 / (marked * linesPerObject * lines.median)
  }

  private static func dependentLoads(_ results: Results) -> Double? {
    guard let lines = results.row(Catalog.linesTitle)?.runs("glibc"),
      let load = Summary(lines.compactMap { $0["dependent_ns"] })?.median,
      let row = results.row("mark list 10 M"), let ms = row.cpu("tricolor")?.median,
      let marked = row.runs("tricolor").first?["marked"]
    else { return nil }
    return ms * 1e6 / (marked * load)
  }

  private static var freeAims: [Target] {
    let free = "tricolor-free"
    return [
      aim("explicit free, pairs leaf 16-128 B / jemalloc, mean", 1.0) {
        pairRatios($0, "leaf", free).flatMap(geometricMean)
      },
      aim("explicit free, churn leaf / jemalloc", 0.9) { $0.ratio("churn leaf", free, to: "jemalloc") },
      aim("explicit free, batches leaf, sizes measured / jemalloc, mean", 0.65) { results in
        geometricMean(
          (Catalog.smallBytes + [256]).compactMap {
            results.ratio("batches leaf \($0) B", free, to: "jemalloc")
          })
      },
    ]
  }

  private static var replayAims: [Target] {
    [
      aim("replays, collected / jemalloc, worst trace", 1.0) { results in
        replayTitles(results).compactMap { results.ratio($0, to: "jemalloc") }.max()
      },
      aim("replays, collected, peak beyond 2 x jemalloc's, worst trace", 8, unit: " MiB") { results in
        replayTitles(results).compactMap { title -> Double? in
          guard let own = results.peakMiB(title), let base = results.peakMiB(title, "jemalloc") else {
            return nil
          }
          return own - 2 * base
        }.max()
      },
    ]
  }

  private static func replayTitles(_ results: Results) -> [String] {
    results.titles.filter { $0.hasPrefix("replay ") && !$0.hasSuffix("leaves only") }
  }
}
