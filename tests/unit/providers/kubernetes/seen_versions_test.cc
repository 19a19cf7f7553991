#include "providers/kubernetes/seen_versions.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace secretfs::providers::kubernetes {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

void Read(SeenVersions& seen, const std::string& name, const std::string& version) {
  seen.ReadBegan(name);
  EXPECT_FALSE(seen.ReadEnded(name, version));
}

TEST(SeenVersions, AListShowsWhatWasReadAndIsDifferentNow) {
  SeenVersions seen(100);
  Read(seen, "changed", "1@u");
  Read(seen, "deleted", "1@u");
  Read(seen, "made", "");
  Read(seen, "same", "1@u");
  Read(seen, "still-missing", "");
  EXPECT_THAT(
      seen.Listed({{"changed", "2@u"}, {"made", "3@u"}, {"same", "1@u"}, {"new", "4@u"}}, ""),
      ElementsAre("changed", "deleted", "made"));
  // A list of one name says nothing of the others.
  EXPECT_THAT(seen.Listed({}, "same"), ElementsAre("same"));
  EXPECT_THAT(seen.Listed({{"same", "1@u"}}, "same"), IsEmpty());
}

TEST(SeenVersions, AnEventIsNewsUnlessItsVersionWasRead) {
  SeenVersions seen(100);
  EXPECT_TRUE(seen.IsNews("a", "1@u"));
  Read(seen, "a", "1@u");
  EXPECT_FALSE(seen.IsNews("a", "1@u"));
  EXPECT_TRUE(seen.IsNews("a", "2@u"));
  EXPECT_TRUE(seen.IsNews("a", ""));  // deleted
  Read(seen, "a", "");
  EXPECT_FALSE(seen.IsNews("a", ""));
}

TEST(SeenVersions, AReadThatAListOvertookIsJudgedByIt) {
  SeenVersions seen(100);
  seen.ReadBegan("old");
  seen.ReadBegan("same");
  seen.ReadBegan("failed");
  seen.ReadBegan("gone");
  EXPECT_THAT(seen.Listed({{"old", "2@u"}, {"same", "1@u"}, {"failed", "1@u"}}, ""), IsEmpty());
  EXPECT_TRUE(seen.ReadEnded("old", "1@u"));
  EXPECT_FALSE(seen.ReadEnded("same", "1@u"));
  EXPECT_FALSE(seen.ReadEnded("failed", std::nullopt));
  EXPECT_TRUE(seen.ReadEnded("gone", "1@u"));
  // The next read is not judged by the same list.
  Read(seen, "old", "1@u");
}

TEST(SeenVersions, TwoReadsOfOneNameAreBothJudged) {
  SeenVersions seen(100);
  seen.ReadBegan("a");
  seen.ReadBegan("a");
  (void)seen.Listed({{"a", "2@u"}}, "");
  EXPECT_FALSE(seen.ReadEnded("a", "2@u"));
  EXPECT_TRUE(seen.ReadEnded("a", "1@u"));
}

TEST(SeenVersions, ForgetsRatherThanGrowsAndSaysSo) {
  SeenVersions seen(3);
  for (const char* name : {"a", "b", "c"}) Read(seen, name, "1@u");
  EXPECT_FALSE(seen.lost_names());
  Read(seen, "a", "2@u");
  EXPECT_FALSE(seen.lost_names());
  Read(seen, "d", "1@u");
  EXPECT_TRUE(seen.lost_names());
  EXPECT_TRUE(seen.IsNews("a", "2@u"));
}

}  // namespace
}  // namespace secretfs::providers::kubernetes
