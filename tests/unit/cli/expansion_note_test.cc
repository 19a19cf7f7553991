#include "cli/expansion_note.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

namespace secretfs::cli {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::Key;

class ExpansionNoteTest : public ::testing::Test {
 protected:
  ExpansionNoteTest() {
    Expansion extract{.store = cache::StoreId(1), .what = {}};
    extract.what.source = k8s::ExtractFields{.ref = {.key = "app/db", .version = {}}};
    Expansion find{.store = cache::StoreId(2), .what = {}};
    find.what.source = k8s::FindSecrets{.path = "team", .name_regexp = "^team/(a|b)"};
    find.what.rewrite_regexp = {{"^team/", ""}};
    expansions_ = {extract, find};
  }
  // What the server before wrote down.
  void Leave(const json& note) {
    const std::string text = note.dump();
    kept_->Put("note/expansions", std::as_bytes(std::span(text.data(), text.size())));
  }
  std::optional<ExpandedFiles> Noted() { return NotedExpandedFiles(expansions_, kept_.get()); }

  std::vector<Expansion> expansions_;
  std::unique_ptr<KeptValues> kept_ = *KeptValues::Create(1 << 20);
};

TEST_F(ExpansionNoteTest, WhatWasNotedIsFound) {
  EXPECT_EQ(Noted(), std::nullopt);
  ExpandedFiles files;
  ExpandedFile user{.key = {.store = cache::StoreId(1), .ref = {.key = "app/db", .version = {}}},
                    .selection = {},
                    .policy = {},
                    .expansion = 0};
  user.selection.property = "user name";
  ExpandedFile found{.key = {.store = cache::StoreId(2), .ref = {.key = "team/a/x", .version = {}}},
                     .selection = {},
                     .policy = {},
                     .expansion = 1};
  files.emplace("user_name", user);
  files.emplace("a_x", found);
  NoteExpandedFiles(files, kept_.get());
  const auto noted = Noted();
  ASSERT_TRUE(noted.has_value());
  EXPECT_THAT(*noted, ElementsAre(Key("a_x"), Key("user_name")));
  EXPECT_EQ(noted->at("a_x").key, found.key);
  EXPECT_EQ(noted->at("user_name").selection.property, "user name");
}

// Otherwise the next server would fetch with its own rights what the manifest does not name, or
// show one secret under the name of another.
TEST_F(ExpansionNoteTest, NothingThatTheManifestCannotComeTo) {
  const std::vector<std::pair<std::string, json>> rows = {
      {"another secret", {"password", 0, "admin/root", "", "password"}},
      {"another version", {"password", 0, "app/db", "3", "password"}},
      {"another name", {"user", 0, "app/db", "", "password"}},
      {"outside of the path", {"secret", 1, "other/a", "", ""}},
      {"beside the path", {"team-a", 1, "team-a", "", ""}},
      {"what does not match", {"c", 1, "team/c", "", ""}},
      {"a way out of the path", {"a_.._.._other", 1, "team/a/../../other", "", ""}},
      {"a property of what was found", {"a", 1, "team/a", "", "x"}},
      {"a version of what was found", {"a", 1, "team/a", "1", ""}},
      {"another's name", {"b", 1, "team/a", "", ""}},
      {"an empty key", {"a", 1, "", "", ""}},
      {"a long key", {"a", 1, "team/a" + std::string(3000, 'x'), "", ""}},
      {"a third expansion", {"a", 2, "team/a", "", ""}},
      {"a hidden name", {"..data", 0, "app/db", "", "..data"}},
      {"no name", {"", 0, "app/db", "", ""}},
      {"another form", {"a", 1, "team/a", ""}},
  };
  for (const auto& [what, row] : rows) {
    Leave(json::array({json::array({"a", 1, "team/a", "", ""}), row}));
    EXPECT_EQ(Noted(), std::nullopt) << what;
  }
  Leave(json::array({json::array({"a", 1, "team/a", "", ""})}));
  EXPECT_TRUE(Noted().has_value());
}

TEST_F(ExpansionNoteTest, WhatIsNoNote) {
  for (const char* text : {"", "{}", "[", "[[[[[", "null", "\"x\"", "[1]", "[[]]"}) {
    kept_->Put("note/expansions", std::as_bytes(std::span(text, strlen(text))));
    const auto noted = Noted();
    EXPECT_TRUE(!noted.has_value() || noted->empty()) << text;
  }
}

}  // namespace
}  // namespace secretfs::cli
