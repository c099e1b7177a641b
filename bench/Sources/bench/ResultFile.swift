// A results file read back, every row as it was when it was measured.
import ArgumentParser
import Foundation

struct ResultFile {
  let path: String
  let report: Report
  let results: [RowResult]

  struct Unreadable: Error, Equatable {
    let reason: String
  }

  /// For commands: what is wrong is told in one line, and the status is 2 (1 is for results that got worse).
  static func open(_ path: String) throws -> ResultFile {
    do {
      return try ResultFile(path: path)
    } catch {
      complain("\(path): \(error.reason)")
      throw ExitCode(2)
    }
  }

  init(path: String) throws(Unreadable) {
    try self.init(path: path, data: ResultFile.contents(path))
  }

  init(path: String, data: Data) throws(Unreadable) {
    self.path = path
    try ResultFile.checkSchema(data)
    report = try ResultFile.decode(data)
    var results: [RowResult] = []
    for entry in report.rows { results.append(try RowResult(entry)) }
    self.results = results
  }

  private static func contents(_ path: String) throws(Unreadable) -> Data {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw Unreadable(reason: "there is no such file")
    }
    if isFolder.boolValue { throw Unreadable(reason: "it is a folder") }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Unreadable(reason: "it cannot be read (\(String(cString: strerror(errno))))")
    }
    return data
  }

  /// Looked at first and alone: another schema may look different everywhere else.
  private static func checkSchema(_ data: Data) throws(Unreadable) {
    guard let any = try? JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed) else {
      throw Unreadable(reason: data.isEmpty ? "it is empty" : "it is not JSON")
    }
    guard let schema = (any as? [String: Any])?["schema"] as? Int else {
      throw Unreadable(reason: "it is JSON, but no results of bench (no number 'schema')")
    }
    if schema != Report.currentSchema {
      throw Unreadable(reason: "it has schema \(schema), and this bench reads \(Report.currentSchema)")
    }
  }

  private static func decode(_ data: Data) throws(Unreadable) -> Report {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      return try decoder.decode(Report.self, from: data)
    } catch let error as DecodingError {
      throw Unreadable(reason: "it is damaged: \(error.oneLine)")
    } catch {
      throw Unreadable(reason: "it is damaged: \(error.localizedDescription)")
    }
  }
}

extension RowResult {
  init(_ entry: Report.RowEntry) throws(ResultFile.Unreadable) {
    guard let unit = Row.Unit(rawValue: entry.unit) else {
      throw ResultFile.Unreadable(reason: "it is damaged: row '\(entry.row)' has the unit '\(entry.unit)'")
    }
    self.init(
      row: Row(
        workload: entry.workload, title: entry.row, program: entry.program, arguments: entry.arguments,
        unit: unit, baseline: entry.baseline))
    for contender in entry.contenders {
      let runs = contender.runs.compactMap(Sample.init(fields:))
      guard !runs.isEmpty, runs.count == contender.runs.count else {
        throw ResultFile.Unreadable(
          reason: "it is damaged: row '\(entry.row)', \(contender.contender): a run lacks its measurement")
      }
      samples.append((contender.contender, runs))
    }
  }
}

extension DecodingError {
  /// Where in the file, and what is wrong there.
  var oneLine: String {
    switch self {
    case .keyNotFound(let key, let context): "\(DecodingError.place(context.codingPath + [key])) is missing"
    case .valueNotFound(_, let context): "\(DecodingError.place(context.codingPath)) is null"
    case .typeMismatch(_, let context): "\(DecodingError.place(context.codingPath)) is of another kind"
    case .dataCorrupted(let context): "\(DecodingError.place(context.codingPath)) is not understood"
    @unknown default: "it is not understood"
    }
  }

  private static func place(_ path: [any CodingKey]) -> String {
    let text = path.reduce("") { text, key in
      if let index = key.intValue { return "\(text)[\(index)]" }
      return (text.isEmpty ? "" : text + ".") + key.stringValue.snakeCase
    }
    return text.isEmpty ? "the file" : text
  }
}

extension String {
  fileprivate var snakeCase: String {
    reduce("") { $1.isUppercase ? $0 + "_" + $1.lowercased() : $0 + String($1) }
  }
}
