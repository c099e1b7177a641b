// Do medians, means and their written form hold?
import Testing

@testable import bench

@Suite struct StatisticsTests {
  @Test func `the median is the middle, or between the two in the middle`() {
    #expect(Summary([5, 1, 9])?.median == 5)
    #expect(Summary([1, 2, 3, 10])?.median == 2.5)
    #expect(Summary([5, 1, 9])?.min == 1)
    #expect(Summary([5, 1, 9])?.max == 9)
  }

  @Test func `no numbers have no summary and no mean`() {
    #expect(Summary([]) == nil)
    #expect(geometricMean([]) == nil)
  }

  @Test func `the geometric mean of a half and a double is one`() {
    let mean = geometricMean([0.5, 2])
    #expect(mean.map { abs($0 - 1) < 1e-12 } == true)
  }

  @Test func `numbers keep three digits`() {
    #expect(1.234.short == "1.23")
    #expect(12.34.short == "12.3")
    #expect(1234.5.short == "1234" || 1234.5.short == "1235")
  }
}
