#include "providers/http/url.h"

#include <gtest/gtest.h>

namespace secretfs::providers {
namespace {

TEST(UrlTest, OriginFillsInThePortAndLowersTheCase) {
  EXPECT_EQ(*OriginOf("HTTPS://Vault.Example/v1?x"), (Origin{"https", "vault.example", "443"}));
  EXPECT_EQ(*OriginOf("http://a"), (Origin{"http", "a", "80"}));
  EXPECT_EQ(*OriginOf("https://[::1]:8200/"), (Origin{"https", "[::1]", "8200"}));
  EXPECT_EQ(OriginOf("https://a:8200")->HostAndPort(), "a:8200");
  for (const char* url : {"", "a", "ftp://a/", "https://", "http://a:99999999/"}) {
    EXPECT_EQ(OriginOf(url).status().code(), absl::StatusCode::kInvalidArgument) << url;
  }
}

TEST(UrlTest, MessagesShowNoUserQueryOrFragment) {
  EXPECT_EQ(UrlForMessages("https://a/b?c=d#e"), "https://a/b");
  EXPECT_EQ(UrlForMessages("https://a/b#e?c"), "https://a/b");
  EXPECT_EQ(UrlForMessages("https://user:pass@a/b"), "https://a/b");
  EXPECT_EQ(UrlForMessages("https://user:p@ss@a"), "https://a");
  EXPECT_EQ(UrlForMessages("https://a/b@c"), "https://a/b@c");
  EXPECT_EQ(UrlForMessages("nonsense"), "nonsense");
}

TEST(UrlTest, ReferencesAreResolvedAgainstTheirPage) {
  const std::string base = "https://a:8200/v1/app?x=1";
  EXPECT_EQ(*ResolveReference(base, "/v2"), "https://a:8200/v2");
  EXPECT_EQ(*ResolveReference(base, "db?y=2"), "https://a:8200/v1/db?y=2");
  EXPECT_EQ(*ResolveReference(base, "https://b/"), "https://b/");
  EXPECT_EQ(OriginOf(*ResolveReference(base, "//b/c"))->host, "b");
}

TEST(UrlTest, WithHostKeepsTheRest) {
  EXPECT_EQ(*WithHost("https://10.0.0.1:8200/v1?x=1", "vault.example"),
            "https://vault.example:8200/v1?x=1");
  EXPECT_FALSE(WithHost("https://10.0.0.1/", "not a host/").ok());
}

}  // namespace
}  // namespace secretfs::providers
