// Where the names of points go, so that no name lies on another name or on a point.

struct Box {
  var x, y: Double
  let width, height: Double

  var right: Double { x + width }
  var bottom: Double { y + height }

  func overlaps(_ other: Box) -> Bool {
    x < other.right && other.x < right && y < other.bottom && other.y < bottom
  }

  func contains(_ other: Box) -> Bool {
    x <= other.x && other.right <= right && y <= other.y && other.bottom <= bottom
  }

  func nearestX(_ at: Double) -> Double { Swift.min(Swift.max(at, x), right) }
  func nearestY(_ at: Double) -> Double { Swift.min(Swift.max(at, y), bottom) }

  func distance(x: Double, y: Double) -> Double {
    let (dx, dy) = (nearestX(x) - x, nearestY(y) - y)
    return (dx * dx + dy * dy).squareRoot()
  }
}

enum LabelPlacement {
  /// Letters of the charts' size are about so wide; a little more than most, so that names do not touch.
  private static let letterWidth = 6.3, height = 13.0, pointSize = 11.0

  /// One box per name: beside its point if that is free, else further and further away.
  static func boxes(for names: [String], at points: [(x: Double, y: Double)], within plot: Box) -> [Box] {
    let dots = points.map { at in
      Box(x: at.x - pointSize / 2, y: at.y - pointSize / 2, width: pointSize, height: pointSize)
    }
    var placed: [Box] = []
    for (name, at) in zip(names, points) {
      let candidates = self.candidates(width: Double(name.count) * letterWidth, at)
        .filter { plot.contains($0) }
      let free = candidates.first { box in !(dots + placed).contains { $0.overlaps(box) } }
      placed.append(free ?? candidates.first ?? Box(x: at.x, y: at.y, width: 0, height: height))
    }
    return placed
  }

  private static func candidates(width: Double, _ at: (x: Double, y: Double)) -> [Box] {
    [8.0, 14, 22, 32, 44, 60, 80].flatMap { gap -> [Box] in
      let middle = at.y - height / 2
      let left = at.x - gap - width
      let right = at.x + gap
      let above = at.y - gap - height + 2
      let below = at.y + gap - 2
      return [
        (right, middle), (left, middle), (at.x - width / 2, above), (at.x - width / 2, below),
        (right - 4, above), (right - 4, below), (left + 4, above), (left + 4, below),
      ].map { Box(x: $0.0, y: $0.1, width: width, height: height) }
    }
  }
}
