// A table whose first column names its rows; numbers stand right.

struct HtmlTable {
  /// Every cell is HTML already.
  let caption: String
  let header: [String]
  var rows: [[String]] = []
  /// Columns of text instead of numbers, besides the first.
  var textColumns: Set<Int> = []

  var html: String {
    let head = header.enumerated().map { cell("th", ["scope": "col"], $0.offset, $0.element) }.joined()
    let body = rows.map { cells in
      let row = cells.enumerated().map { index, text in
        index == 0 ? cell("th", ["scope": "row"], index, text) : cell("td", [:], index, text)
      }
      return Html.element("tr", [:], row.joined())
    }
    return Html.element(
      "table", [:],
      Html.element("caption", [:], caption) + Html.element("thead", [:], Html.element("tr", [:], head))
        + Html.element("tbody", [:], body.joined(separator: "\n")))
  }

  private func cell(
    _ name: String, _ attributes: KeyValuePairs<String, String>, _ index: Int, _ content: String
  ) -> String {
    let isText = index == 0 || textColumns.contains(index)
    let scope = attributes.map { " \($0.key)=\"\($0.value)\"" }.joined()
    return "<\(name)\(scope)\(isText ? " class=\"text\"" : "")>\(content)</\(name)>"
  }
}
