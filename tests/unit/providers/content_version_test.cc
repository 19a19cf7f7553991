#include "providers/content_version.h"

#include <gtest/gtest.h>

#include <string_view>

namespace secretfs::providers {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(ContentVersion, IsTheSameForServersThatShareTheKey) {
  const auto kept = *KeptValues::Create(4096);
  const auto others = *KeptValues::Create(4096);
  UseKeptContentVersionKey(*kept);
  const std::string version = ContentVersion(Bytes("planted"));
  EXPECT_EQ(ContentVersion(Bytes("planted")), version);
  EXPECT_NE(ContentVersion(Bytes("other")), version);
  EXPECT_EQ(version.find("planted"), std::string::npos);

  // Another holder's servers: the key that this process had is theirs too, unless they have one.
  const std::string key(32, 'k');
  others->Put("content-version-key", Bytes(key));
  UseKeptContentVersionKey(*others);
  EXPECT_NE(ContentVersion(Bytes("planted")), version);

  // The next server.
  const auto attached = *KeptValues::Attach(kept->memory());
  UseKeptContentVersionKey(*attached);
  EXPECT_EQ(ContentVersion(Bytes("planted")), version);
}

TEST(ContentVersion, ADamagedKeyIsReplaced) {
  const auto kept = *KeptValues::Create(4096);
  kept->Put("content-version-key", Bytes("short"));
  UseKeptContentVersionKey(*kept);
  EXPECT_EQ(kept->Get("content-version-key")->size(), 32u);
}

TEST(ContentDigest, IsSha256) {
  EXPECT_EQ(ContentDigest(Bytes("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(ContentDigest({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace secretfs::providers
