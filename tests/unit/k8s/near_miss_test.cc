#include "k8s/manifest/near_miss.h"

#include <gmock/gmock.h>

namespace secretfs::k8s {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NearMiss, CountsEditsAndSwapsOnce) {
  EXPECT_EQ(EditDistance("path", "path"), 0u);
  EXPECT_EQ(EditDistance("pathh", "path"), 1u);
  EXPECT_EQ(EditDistance("ptah", "path"), 1u);
  EXPECT_EQ(EditDistance("", "path"), 4u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

TEST(NearMiss, WordsThatDifferInCaseAreNearButNotEqual) {
  EXPECT_EQ(EditDistance("maxstale", "maxStale"), 1u);
  EXPECT_THAT(NearMisses("MAXSTALE", {"maxStale", "ttl"}), ElementsAre("maxStale"));
}

TEST(NearMiss, NearestFirstAndNothingFar) {
  EXPECT_THAT(NearMisses("modes", {"nodes", "mode", "browse"}), ElementsAre("nodes", "mode"));
  EXPECT_THAT(NearMisses("xyz", {"path", "store"}), IsEmpty());
  EXPECT_THAT(NearMisses("", {"a"}), IsEmpty());
  EXPECT_THAT(NearMisses(std::string(100'000, 'a'), {"a"}), IsEmpty());
}

TEST(NearMiss, Sentences) {
  EXPECT_EQ(DidYouMean("flatt", {"flat", "atomic"}), "; did you mean 'flat'?");
  EXPECT_EQ(DidYouMean("zzzzzz", {"flat", "atomic"}), "");
  EXPECT_EQ(JoinWithOr({"a"}), "a");
  EXPECT_EQ(JoinWithOr({"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace secretfs::k8s
