#include "cli/text_table.h"

#include <gtest/gtest.h>

namespace secretfs::cli {
namespace {

TEST(TextTableTest, AlignsColumnsAndLeavesNoBlanksAtTheEnd) {
  TextTable table({"FILE", "STATE", "ERROR"});
  table.AddRow({"db/password", "fresh", ""});
  table.AddRow({"a", "stale", "the store is down"});
  EXPECT_EQ(table.ToString("  "),
            "  FILE         STATE  ERROR\n"
            "  db/password  fresh  -\n"
            "  a            stale  the store is down\n");
}

TEST(TextTableTest, CountsCharactersNotBytes) {
  TextTable table({"N", "X"});
  table.AddRow({"größe", "1"});
  table.AddRow({"sizes", "2"});
  EXPECT_EQ(table.ToString(),
            "N      X\n"
            "größe  1\n"
            "sizes  2\n");
}

TEST(TextTableTest, ShowsWhatCouldDriveATerminal) {
  EXPECT_EQ(Printable("a\033[2Jb\n\x7f"), "a\\x1b[2Jb\\x0a\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "1m"),
            "\\xc2\x9b"
            "1m");  // CSI of the second set is broken up
  EXPECT_EQ(Printable("größe"), "größe");
}

}  // namespace
}  // namespace secretfs::cli
