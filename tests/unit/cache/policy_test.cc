#include "cache/policy.h"

#include <gtest/gtest.h>

namespace secretfs::cache {
namespace {

using std::chrono::seconds;

TEST(Policy, StricterTakesTheShorterOfEachField) {
  const Policy a = {.ttl = seconds(10),
                    .max_stale = seconds(100),
                    .stale_if_error = seconds(5),
                    .negative_ttl = seconds(2),
                    .deadline = seconds(30),
                    .grace_on_delete = seconds(7)};
  const Policy b = {.ttl = seconds(20),
                    .max_stale = seconds(50),
                    .stale_if_error = seconds(6),
                    .negative_ttl = seconds(1),
                    .deadline = seconds(40),
                    .grace_on_delete = seconds(3)};
  for (const Policy& policy : {Stricter(a, b), Stricter(b, a)}) {
    EXPECT_EQ(policy.ttl, seconds(10));
    EXPECT_EQ(policy.max_stale, seconds(50));
    EXPECT_EQ(policy.stale_if_error, seconds(5));
    EXPECT_EQ(policy.negative_ttl, seconds(1));
    EXPECT_EQ(policy.deadline, seconds(30));
    EXPECT_EQ(policy.grace_on_delete, seconds(3));
  }
}

TEST(Policy, AGraceThatSomebodyChoseWinsOverNone) {
  const Policy none;
  const Policy chosen = {.grace_on_delete = seconds(9)};
  EXPECT_EQ(Stricter(none, chosen).grace_on_delete, seconds(9));
  EXPECT_EQ(Stricter(chosen, none).grace_on_delete, seconds(9));
  EXPECT_FALSE(Stricter(none, none).grace_on_delete.has_value());
}

}  // namespace
}  // namespace secretfs::cache
