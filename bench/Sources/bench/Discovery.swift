// Which contenders this machine has: programs that were built, libraries that are installed.
import Foundation

struct Discovery {
  private(set) var available: [Contender] = []
  /// One line for each contender that is not here.
  private(set) var skipped: [String] = []

  var hasJemalloc: Bool { available.contains { $0.name == "jemalloc" } }

  init(programs: URL) {
    let built = (try? FileManager.default.contentsOfDirectory(atPath: programs.path)) ?? []
    for contender in Contender.all {
      if let found = Discovery.locate(contender, built: built) {
        available.append(found)
      } else {
        skipped.append("skipped: \(contender.name) (install with: \(contender.install))")
      }
    }
  }

  private static func locate(_ contender: Contender, built: [String]) -> Contender? {
    // A library is looked for even before anything is built, so that what is missing is named rightly.
    guard contender.libraries.isEmpty else {
      var found = contender
      found.preload = libraryPath(contender.libraries)
      return found.preload == nil ? nil : found
    }
    return built.contains { $0.hasSuffix("-\(contender.build.rawValue)") } ? contender : nil
  }

  static func libraryPath(_ names: [String]) -> String? {
    for folder in libraryFolders {
      for name in names {
        let file = URL(filePath: folder).appending(path: name)
        if exists(file) { return file.path }
      }
    }
    return nil
  }

  /// The system's folders, then those of Python packages, where pip puts libraries (cmeel.prefix/lib).
  private static let libraryFolders: [String] = {
    let machine = "\(machineName())-linux-gnu"
    let system = ["/usr/local/lib", "/usr/lib/\(machine)", "/lib/\(machine)", "/usr/lib64", "/usr/lib"]
    return system + pythonSiteFolders().map { "\($0)/cmeel.prefix/lib" }
  }()

  private static func pythonSiteFolders() -> [String] {
    let script = "import site, sys; print('\\n'.join(site.getsitepackages() + [site.getusersitepackages()]))"
    for python in ["python3", "python"] {
      let outcome = ChildProcess("/usr/bin/env", [python, "-c", script], timeLimit: 20).run()
      if case .exited(0) = outcome.ending { return outcome.output.split(separator: "\n").map(String.init) }
    }
    return []
  }

  private static func machineName() -> String {
    #if arch(arm64)
      return "aarch64"
    #else
      return "x86_64"
    #endif
  }
}
