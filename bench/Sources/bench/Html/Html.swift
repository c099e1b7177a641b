// Text that is safe inside HTML and SVG, and elements around it.

enum Html {
  /// For text and for attribute values in double quotes alike.
  static func escape(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }

  /// An element around content that is HTML already; attribute values are escaped here.
  static func element(
    _ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ content: String
  ) -> String {
    "<\(name)\(text(attributes))>\(content)</\(name)>"
  }

  static func empty(_ name: String, _ attributes: KeyValuePairs<String, String>) -> String {
    "<\(name)\(text(attributes))/>"
  }

  /// An element around plain text.
  static func text(_ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ content: String)
    -> String
  {
    element(name, attributes, escape(content))
  }

  private static func text(_ attributes: KeyValuePairs<String, String>) -> String {
    attributes.map { " \($0.key)=\"\(escape($0.value))\"" }.joined()
  }
}

/// Whom a page shows in which colour: ours stand out.
enum Emphasis: String {
  case ours
  case oursFreed = "ours-freed"
  case other
  /// No contender, but what the machine allows.
  case limit

  init(_ contender: String) {
    self =
      switch contender {
      case "tricolor": .ours
      case _ where contender.hasPrefix("tricolor"): .oursFreed
      default: .other
      }
  }
}
