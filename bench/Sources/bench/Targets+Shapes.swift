// Goals of marking: no shape of graph is much slower than a plain stack loop, and two markers are worth having.

extension Target {
  static var shapes: [Target] {
    Catalog.shapes.map(plainLoop) + Catalog.sharedShapes.map(twoMarkers)
  }

  private static func plainLoop(_ shape: String) -> Target {
    Target(kind: .must, text: "mark \(shape), 1 marker / a plain stack loop", limit: 1.15) { results in
      median(results, shape, markers: 1) { Column.quotient($0["mark_cpu_ns"], $0["plain_ns"]) }
    }
  }

  /// Wall time of marking: at least 1.6 times as fast.
  private static func twoMarkers(_ shape: String) -> Target {
    Target(kind: .must, text: "mark \(shape), 2 markers / 1 marker, wall time", limit: 1 / 1.6) { results in
      let two = median(results, shape, markers: 2) { $0["mark_wall_ns"] }
      return Column.quotient(two, median(results, shape, markers: 1) { $0["mark_wall_ns"] })
    }
  }

  /// Of the row of either form.
  private static func median(
    _ results: Results, _ shape: String, markers: Int, _ value: (Sample) -> Double?
  ) -> Double? {
    for mode in [Catalog.Mode.full, .quick] {
      let title = Catalog.shapeTitle(shape, millions: Catalog.shapeMillions(mode), markers: markers)
      if let found = results.median(title, value: value) { return found }
    }
    return nil
  }
}
