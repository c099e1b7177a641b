// swift-tools-version: 6.2
// Histograms of what a Tricolor heap does to its program. A package of its own, so that embedding the heap builds
// nothing but the heap.
import PackageDescription

let package = Package(
  name: "tricolor-metrics",
  products: [.library(name: "TricolorMetrics", targets: ["TricolorMetrics"])],
  dependencies: [
    .package(name: "tricolor", path: "../.."),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.1.0"),
  ],
  targets: [
    .target(
      name: "TricolorMetrics",
      dependencies: [
        .product(name: "Tricolor", package: "tricolor"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ]),
    .testTarget(name: "TricolorMetricsTests", dependencies: ["TricolorMetrics"]),
  ],
  swiftLanguageModes: [.v6]
)
