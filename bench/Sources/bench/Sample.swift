// One line of JSON from a workload program, kept whole; the fields everybody has are checked and named.
import Foundation

/// A JSON value as it came, so that the report hands on fields it does not know.
enum JSONValue: Codable, Equatable {
  case number(Double)
  case integer(UInt64)
  case text(String)
  case flag(Bool)

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Bool.self) {
      self = .flag(value)
    } else if let value = try? container.decode(UInt64.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else {
      self = .text(try container.decode(String.self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .number(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    case .flag(let value): try container.encode(value)
    }
  }
}

struct Sample: Equatable {
  let fields: [String: JSONValue]

  private static let required = ["cpu_ns", "wall_ns", "operations", "peak_rss_bytes", "check"]

  /// The last line that is a measurement; nil if there is none or a common field is missing.
  init?(output: String) {
    for line in output.split(separator: "\n").reversed() where line.hasPrefix("{") {
      guard let fields = try? JSONDecoder().decode([String: JSONValue].self, from: Data(line.utf8)),
        let sample = Sample(fields: fields)
      else { continue }
      self = sample
      return
    }
    return nil
  }

  /// nil if a common field is missing or is no number.
  init?(fields: [String: JSONValue]) {
    guard Sample.required.allSatisfy({ fields[$0]?.count != nil }) else { return nil }
    self.fields = fields
  }

  subscript(_ field: String) -> Double? { fields[field]?.count }

  var cpuNs: Double { self["cpu_ns"]! }
  var wallNs: Double { self["wall_ns"]! }
  var operations: Double { self["operations"]! }
  /// What the heap under test took: a replay subtracts the trace it holds in memory.
  var peakBytes: Double { self["peak_over_baseline_bytes"] ?? self["peak_rss_bytes"]! }
  var check: JSONValue { fields["check"]! }
  var allocator: String? {
    if case .text(let file)? = fields["allocator"] { file } else { nil }
  }
}

extension JSONValue {
  var count: Double? {
    switch self {
    case .number(let value): value
    case .integer(let value): Double(value)
    case .text, .flag: nil
    }
  }
}
