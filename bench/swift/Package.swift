// swift-tools-version: 6.2
// The cache of programs/cache.c through the Swift front of the heap: what an embedder in Swift gets.
import PackageDescription

let package = Package(
  name: "bench-swift",
  dependencies: [.package(name: "tricolor", path: "../..")],
  targets: [
    .executableTarget(
      name: "cache", dependencies: [.product(name: "Tricolor", package: "tricolor")], path: "Sources/Cache")
  ],
  swiftLanguageModes: [.v6]
)
