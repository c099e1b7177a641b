// Every row at a glance: ours against the row's baseline, in time and memory.
import Foundation

struct OverviewSection {
  let results: [RowResult]

  private static let ours = "tricolor"

  /// nil: no row has both ours and what it is compared with.
  var html: String? {
    let rows = results.enumerated().compactMap { cells($0.offset, $0.element) }
    if rows.isEmpty { return nil }
    var table = HtmlTable(
      caption: "tricolor, collected. "
        + Html.text("span", ["class": "wide"], "Bars on a logarithmic scale: left of the middle is faster."),
      header: [
        "Row", "CPU", "× baseline", Html.text("span", ["class": "wide"], "1/16 … 1 … 16"), "Peak × baseline",
        "Baseline",
      ])
    table.textColumns = [3, 5]
    table.rows = rows
    return Html.element("div", ["class": "card overview"], table.html)
  }

  private func cells(_ index: Int, _ result: RowResult) -> [String]? {
    let baseline = result.row.baseline
    guard baseline != OverviewSection.ours, let cpu = result.cpu(OverviewSection.ours),
      let ratio = result.ratio(OverviewSection.ours, to: baseline)
    else { return nil }
    let peaks = [OverviewSection.ours, baseline].compactMap(result.peakBytes)
    let peak = peaks.count == 2 && peaks[1] > 0 ? (peaks[0] / peaks[1]).formatted(digits: 2) : "–"
    return [
      Html.text("a", ["href": "#row-\(index)"], result.row.title),
      "\(cpu.median.short) \(result.row.unit == .milliseconds ? "ms" : "ns")", ratio.formatted(digits: 2),
      OverviewSection.track(ratio), peak, Html.escape(baseline),
    ]
  }

  /// A bar from 1 to the ratio. The number stands beside it, so it says nothing to a screen reader.
  private static func track(_ ratio: Double) -> String {
    guard ratio > 0 else { return "" }
    let place = 50 + 50 * min(max(log2(ratio) / 4, -1), 1)
    let line = Html.empty("line", ["class": "range", "x1": "50%", "y1": "0", "x2": "50%", "y2": "12"])
    let bar = Html.empty(
      "rect",
      [
        "class": ratio <= 1 ? "good" : "bad", "x": "\(min(place, 50).formatted(digits: 2))%", "y": "2",
        "width": "\(abs(place - 50).formatted(digits: 2))%", "height": "8",
      ])
    return Html.element(
      "svg", ["class": "wide", "aria-hidden": "true", "width": "100%", "height": "12"], bar + line)
  }
}
