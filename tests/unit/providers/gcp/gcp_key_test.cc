#include "providers/gcp/gcp_key.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace secretfs::providers::gcp {
namespace {

const Home kHome{"demo", ""};

std::string Parsed(const std::string& key, const std::string& version = "",
                   const Home& home = kHome) {
  const auto name = ParseKey({key, version}, home);
  if (!name.ok()) {
    EXPECT_EQ(name.status().code(), absl::StatusCode::kInvalidArgument) << key;
    return "error";
  }
  return Format("{}@{}", SecretPath(*name), name->version);
}

TEST(GcpKeyTest, NamesOfAllForms) {
  EXPECT_EQ(Parsed("db"), "projects/demo/secrets/db@latest");
  EXPECT_EQ(Parsed("db", "3"), "projects/demo/secrets/db@3");
  EXPECT_EQ(Parsed("db", "live-2"), "projects/demo/secrets/db@live-2");
  EXPECT_EQ(Parsed("a_B-9"), "projects/demo/secrets/a_B-9@latest");
  EXPECT_EQ(Parsed("projects/other/secrets/db"), "projects/other/secrets/db@latest");
  EXPECT_EQ(Parsed("projects/123/secrets/db/versions/7"), "projects/123/secrets/db@7");
  EXPECT_EQ(Parsed("projects/example.com:old/secrets/db"),
            "projects/example.com:old/secrets/db@latest");
  EXPECT_EQ(Parsed("projects/p/locations/europe-west3/secrets/db"),
            "projects/p/locations/europe-west3/secrets/db@latest");
  EXPECT_EQ(Parsed("db", "", {"demo", "us-east1"}),
            "projects/demo/locations/us-east1/secrets/db@latest");
  // A full name says all: it is global.
  EXPECT_EQ(Parsed("projects/p/secrets/db", "", {"demo", "us-east1"}),
            "projects/p/secrets/db@latest");
  EXPECT_EQ(Parsed("projects/p/secrets/db/versions/7", "7"), "projects/p/secrets/db@7");
  EXPECT_EQ(Parsed("app-/app-db"), "projects/demo/secrets/app-db@latest");
  EXPECT_EQ(Parsed("projects/p/secrets/app/app-db"), "projects/p/secrets/app-db@latest");
  EXPECT_TRUE(ParseKey({"db", "latest"}, kHome)->version_given);
  EXPECT_FALSE(ParseKey({"db", ""}, kHome)->version_given);
}

TEST(GcpKeyTest, WhatIsNoName) {
  for (const char* key : {"",
                          "/",
                          "a/b",
                          "a/",
                          "/a",
                          "a b",
                          "a?b",
                          "a#b",
                          "a%2fb",
                          "a:access",
                          "..",
                          "a/../b",
                          "ä",
                          "projects/p",
                          "projects/p/secrets",
                          "projects/p/secrets/",
                          "projects//secrets/db",
                          "projects/p/secrets/db/versions",
                          "projects/p/secrets/db/versions/",
                          "projects/p/secrets/db/versions/1/x",
                          "projects/p/q/secrets/db",
                          "projects/p/locations/l/secrets",
                          "projects/p/locations/L/secrets/db",
                          "projects/p?x/secrets/db",
                          "projects/../secrets/db",
                          "secrets/db/versions/1"}) {
    EXPECT_EQ(Parsed(key), "error") << key;
  }
  EXPECT_EQ(Parsed(std::string(256, 'a')), "error");
  EXPECT_EQ(Parsed("db", "", {"", ""}), "error");
  for (const char* version : {"1/2", "1.5", "-1", "9live", "a b", "1234567890123456789", "../1"}) {
    EXPECT_EQ(Parsed("db", version), "error") << version;
  }
  EXPECT_EQ(Parsed("projects/p/secrets/db/versions/7", "8"), "error");
}

TEST(GcpKeyTest, Prefixes) {
  const auto parsed = [](const std::string& prefix) -> std::string {
    const auto result = ParsePrefix(prefix, kHome);
    if (!result.ok()) return std::string(absl::StatusCodeToString(result.status().code()));
    return Format("{} {}", ParentPath(result->home), result->begin);
  };
  EXPECT_EQ(parsed(""), "projects/demo ");
  EXPECT_EQ(parsed("app-"), "projects/demo app-");
  EXPECT_EQ(parsed("projects/p/secrets"), "projects/p ");
  EXPECT_EQ(parsed("projects/p/secrets/app"), "projects/p app");
  EXPECT_EQ(parsed("projects/p/locations/l1/secrets"), "projects/p/locations/l1 ");
  EXPECT_EQ(parsed("app/db"), "NOT_FOUND");
  EXPECT_EQ(parsed("a b"), "NOT_FOUND");
  EXPECT_EQ(parsed("projects/p"), "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace secretfs::providers::gcp
