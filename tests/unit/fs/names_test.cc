#include "fs/names.h"

#include <gtest/gtest.h>

#include <set>

#include "fs/browse_names.h"

namespace secretfs::fs {
namespace {

using std::string_literals::operator""s;

TEST(Names, AlmostEverythingIsShownAsItIs) {
  for (const std::string& name :
       {"password"s, "with space"s, "tab\tnewline\n"s, "\xff\xfe not UTF-8"s, "..."s, ".hidden"s,
        "100%"s, "a%20b"s, "50% off"s, "~"s, "*?\"'\\"s, std::string(255, 'x')}) {
    EXPECT_EQ(ShownName(name), name);
    EXPECT_EQ(StoreName(name), name);
  }
}

TEST(Names, WhatNoDirectoryHoldsIsEncodedAndComesBack) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "%"},          {".", "%2E"},         {"..", "%2E%2E"}, {"a/b", "a%2Fb"},
      {"a\0b"s, "a%00b"}, {"/%2F", "%2F%252F"}, {"%2F", "%252F"}, {"%", "%25"},
      {"%2E", "%252E"},   {"%252F", "%25252F"}, {"%00", "%2500"},
  };
  for (const auto& [name, shown] : cases) {
    EXPECT_EQ(ShownName(name), shown);
    EXPECT_EQ(StoreName(shown), name);
  }
}

TEST(Names, NoTwoNamesAreShownAlike) {
  // All names of up to four pieces of what the encoding is made of.
  const std::string pieces[] = {"/", "%", "2F", "25", ".", "2E", "00", "a"};
  std::set<std::string> names{""};
  for (int length = 0; length < 4; ++length) {
    std::set<std::string> longer = names;
    for (const std::string& name : names) {
      for (const std::string& piece : pieces) longer.insert(name + piece);
    }
    names = std::move(longer);
  }
  std::set<std::string> shown;
  for (const std::string& name : names) {
    const std::string one = ShownName(name);
    EXPECT_TRUE(shown.insert(one).second) << name << " as " << one;
    EXPECT_EQ(StoreName(one), name);
    EXPECT_EQ(one.find('/'), std::string::npos);
  }
}

TEST(Names, LongNamesAreCutWithADigest) {
  const std::string one = ShownName(std::string(256, 'x'));
  const std::string other = ShownName(std::string(257, 'x'));
  EXPECT_EQ(one.size(), kLongestName);
  EXPECT_NE(one, other);
  EXPECT_FALSE(StoreName(one));
  EXPECT_EQ(one, ShownName(std::string(256, 'x')));
  // A name of the store that looks like a cut one is told apart.
  const std::string look_alike = "x%~0123456789abcdef";
  EXPECT_EQ(ShownName(look_alike), "x%25~0123456789abcdef");
  EXPECT_EQ(StoreName(ShownName(look_alike)), look_alike);
}

TEST(Names, TimesAreUtc) {
  const WallTime time = WallTime(std::chrono::seconds(1'800'000'000)) + Duration(7'000'009);
  EXPECT_EQ(GenerationName(time), "..2027_01_15_08_00_00.007000009");
  EXPECT_EQ(FormatTime(time), "2027-01-15T08:00:00.007Z");
}

TEST(Names, HiddenNamesComeBack) {
  EXPECT_EQ(ParseHiddenInodeName(HiddenInodeName(InodeNumber(42))), InodeNumber(42));
  EXPECT_FALSE(ParseHiddenInodeName("..data"));
  EXPECT_FALSE(ParseHiddenInodeName(HiddenInodeName(InodeNumber(42)) + "x"));
  EXPECT_FALSE(ParseHiddenInodeName("..secretfs-inode-"));
}

std::string Shown(const NameTable& table) {
  std::string text;
  for (const BrowseName& name : table.names()) {
    text += (text.empty() ? "" : " ") + name.shown;
    if (name.kind == BrowseName::Kind::kDirectory) text += "/";
    text += "=" + name.name;
  }
  return text;
}

providers::ListEntry Listed(const std::string& name, bool is_secret, bool is_prefix) {
  return {.name = name, .is_secret = is_secret, .is_prefix = is_prefix};
}

TEST(BrowseNames, AStructuredSecretIsADirectoryWithItsWholeBesideIt) {
  EXPECT_EQ(
      Shown(NameTable::OfListing(
          {Listed("a", true, false), Listed("b", false, true), Listed("c", true, true)}, true)),
      "a/=a a.json=a b/=b c/=c c.json=c");
}

TEST(BrowseNames, AnUnstructuredPathThatIsBothKeepsTheDirectory) {
  EXPECT_EQ(
      Shown(NameTable::OfListing(
          {Listed("a", true, false), Listed("b", false, true), Listed("c", true, true)}, false)),
      "a=a b/=b c/=c c~=c");
}

TEST(BrowseNames, StoreNamesKeepTheirsAndNothingIsHidden) {
  EXPECT_EQ(Shown(NameTable::OfListing({Listed("a", true, false), Listed("a.json", true, false),
                                        Listed("a.json~", false, true)},
                                       true)),
            "a/=a a.json/=a.json a.json.json=a.json a.json~/=a.json~ a.json~~=a");
  EXPECT_EQ(
      Shown(NameTable::OfListing({Listed("c", true, true), Listed("c~", true, false)}, false)),
      "c/=c c~=c~ c~~=c");
}

TEST(BrowseNames, FieldsComeLast) {
  providers::Secret secret;
  for (const char* field : {"x", "y", "y.json", "a/b", ".."}) {
    secret.fields.emplace(field, SecretBytes());
  }
  const NameTable listed = NameTable::OfListing({Listed("y", true, false)}, true);
  const NameTable fields = NameTable::OfFields(secret, &listed);
  EXPECT_EQ(Shown(fields), "%2E%2E=.. a%2Fb=a/b x=x y.json~=y.json y~=y");
  EXPECT_EQ(fields.Find("y~")->name, "y");
  EXPECT_EQ(fields.Find("y"), nullptr);
}

TEST(BrowseNames, AnEncodedNameMayBeTakenToo) {
  EXPECT_EQ(Shown(NameTable::OfListing({Listed("..", true, false), Listed("%2E%2E", true, false)},
                                       false)),
            "%252E%252E=%2E%2E %2E%2E=..");
}

TEST(BrowseNames, GeneratedNamesFitToo) {
  const NameTable table = NameTable::OfListing({Listed(std::string(253, 'n'), true, false)}, true);
  for (const BrowseName& name : table.names()) EXPECT_LE(name.shown.size(), kLongestName);
  EXPECT_EQ(table.names().size(), 2u);
}

}  // namespace
}  // namespace secretfs::fs
