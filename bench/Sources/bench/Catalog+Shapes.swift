// Rows of full collections: every shape of graph beside a plain stack loop, with one marker and with two.

extension Catalog {
  /// The names of programs/mark_shapes.h.
  static let shapes = [
    "random", "mix", "tree", "list", "lists", "array", "array-shuffled", "leaves", "deep", "deep-reverse",
  ]
  /// Those that two markers must share well.
  static let sharedShapes = ["random", "mix"]

  static func shapeMillions(_ mode: Mode) -> Int { mode == .full ? 10 : 2 }

  static func shapeTitle(_ shape: String, millions: Int, markers: Int) -> String {
    "mark \(shape) \(millions) M, \(markers == 1 ? "1 marker" : "\(markers) markers")"
  }

  static func shapes(_ mode: Mode) -> [Row] {
    shapes.map { shape(mode, $0, markers: 1) } + sharedShapes.map { shape(mode, $0, markers: 2) }
  }

  private static func shape(_ mode: Mode, _ shape: String, markers: Int) -> Row {
    let millions = shapeMillions(mode)
    // A few shapes of bdwgc's, in the long form: ours is compared with the loop beside it.
    let others = mode == .full && sharedShapes.contains(shape) ? ["bdwgc"] : []
    return Row(
      workload: "shapes", title: shapeTitle(shape, millions: millions, markers: markers), program: "mark",
      arguments: [shape, "\(millions)000000", "3", "\(markers)"], unit: .milliseconds, baseline: "tricolor",
      without: Contender.all.map(\.name).filter { $0 != "tricolor" && !others.contains($0) }, showsMarked: true)
  }
}
