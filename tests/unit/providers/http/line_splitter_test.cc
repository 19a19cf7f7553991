#include "providers/http/line_splitter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace secretfs::providers {
namespace {

// All lines that `pieces` make, one after the other; the last element is the status' code name when
// a line was refused.
std::vector<std::string> Lines(LineSplitter& splitter, const std::vector<std::string>& pieces) {
  std::vector<std::string> lines;
  for (const std::string& piece : pieces) {
    splitter.Add(SecretBytes::CopyOf(piece));
    for (;;) {
      const absl::StatusOr<std::optional<SecretBytes>> line = splitter.Next();
      if (!line.ok()) {
        lines.push_back(absl::StatusCodeToString(line.status().code()));
        return lines;
      }
      if (!line->has_value()) break;
      lines.emplace_back((*line)->ExposeAsText());
    }
  }
  return lines;
}

TEST(LineSplitter, GivesWholeLinesHoweverTheyWereCut) {
  const std::string text = "one\n\nthree is longer\nfour";
  for (size_t size = 1; size <= text.size(); ++size) {
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size(); at += size) pieces.push_back(text.substr(at, size));
    LineSplitter splitter(100);
    EXPECT_EQ(Lines(splitter, pieces), (std::vector<std::string>{"one", "", "three is longer"}))
        << "in pieces of " << size;
    EXPECT_TRUE(splitter.has_part());
  }
}

TEST(LineSplitter, AWholeStreamLeavesNoPart) {
  LineSplitter splitter(100);
  EXPECT_EQ(Lines(splitter, {"a\n", "b\n"}), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(splitter.has_part());
}

TEST(LineSplitter, RefusesALineOverTheLimitWhetherItsEndHasComeOrNot) {
  LineSplitter whole(4);
  EXPECT_EQ(Lines(whole, {"1234\n12345\n"}), (std::vector<std::string>{"1234", "OUT_OF_RANGE"}));
  LineSplitter begun(4);
  EXPECT_EQ(Lines(begun, {"12", "345"}), (std::vector<std::string>{"OUT_OF_RANGE"}));
}

}  // namespace
}  // namespace secretfs::providers
