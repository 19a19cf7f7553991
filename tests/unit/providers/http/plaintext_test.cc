#include "providers/http/plaintext.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace secretfs::providers {
namespace {

bool IsOk(const std::string& url, Plaintext allowed = Plaintext::kThisMachine) {
  const absl::Status status = CheckConfidential(url, allowed, "the server");
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return status.ok();
}

TEST(PlaintextTest, ThisMachineInAllFormsThatCurlConnectsTo) {
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:8200", "127.255.255.254", "127.0.0", "127.1", "0x7f000001",
        "0x7F.0.0.1", "0177.0.0.1", "2130706433", "localhost", "LocalHost:80", "[::1]",
        "[0:0:0:0:0:0:0:1]:8200", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"}) {
    EXPECT_TRUE(IsOk(std::string("http://") + host + "/v1")) << host;
  }
}

TEST(PlaintextTest, WhatOnlyLooksLikeThisMachine) {
  for (const char* host : {"127.evil.example",
                           "127.0.0.1.evil.example",
                           "127.0.0.1.",
                           "127.0.0.1.1",
                           "localhost.evil.example",
                           "localhost.",
                           "evil.localhost",
                           "localhosts",
                           "notlocalhost",
                           "0.0.0.0",
                           "128.0.0.1",
                           "10.127.0.1",
                           "127.0.0.256",
                           "127.0.0.1%2eevil.example",
                           "127%2e0%2e0%2e1.evil.example",
                           "127.0.0.1@evil.example",
                           "127.0.0.1:80@evil.example",
                           "[::2]",
                           "[::127.0.0.1]",
                           "[::ffff:126.0.0.1]",
                           "[64:ff9b::7f00:1]",
                           "evil.example",
                           "evil.example/127.0.0.1",
                           "evil.example#@127.0.0.1",
                           "evil.example?@localhost"}) {
    const std::string url = std::string("http://") + host;
    EXPECT_FALSE(IsOk(url)) << url;
    EXPECT_FALSE(IsOk("HTTP" + url.substr(4))) << url;
  }
}

TEST(PlaintextTest, TlsIsForEverybodyAndPlaintextForWhoeverMay) {
  EXPECT_TRUE(IsOk("https://127.evil.example/"));
  EXPECT_TRUE(IsOk("HTTPS://vault.example:8200"));
  EXPECT_TRUE(IsOk("http://vault.example", Plaintext::kAnybody));
  EXPECT_FALSE(IsOk("ftp://127.0.0.1/", Plaintext::kAnybody));
  EXPECT_FALSE(IsOk("127.0.0.1"));
  EXPECT_FALSE(IsOk(""));
  for (const char* host : {"127.0.0.1", "169.254.169.254", "169.254.170.2", "[fd00:ec2::254]",
                           "[fe80::a9fe:a9fe]", "metadata.google.internal", "2852039166"}) {
    EXPECT_TRUE(IsOk(std::string("http://") + host, Plaintext::kMetadata)) << host;
  }
  for (const char* host : {"169.254.169.254.evil.example", "169.25.4.1", "metadata.evil.example",
                           "[fd00:ec3::1]", "[fd01::1]", "10.0.0.1", "evil.example"}) {
    EXPECT_FALSE(IsOk(std::string("http://") + host, Plaintext::kMetadata)) << host;
  }
  EXPECT_FALSE(IsOk("http://169.254.169.254"));
}

TEST(PlaintextTest, TheMessageSaysWhichAddressAndShowsNoSecret) {
  const absl::Status status = CheckConfidential("http://user:planted@vault.example/v1?planted",
                                                Plaintext::kThisMachine, "the Vault server");
  const std::string message(MessageOf(status));
  EXPECT_THAT(message, ::testing::HasSubstr("the Vault server 'http://vault.example/v1'"));
  EXPECT_THAT(message, ::testing::HasSubstr("https://"));
  EXPECT_EQ(message.find("planted"), std::string::npos) << message;
}

TEST(PlaintextTest, WhoVerifiesNothingMayGoWithoutTls) {
  TlsConfig tls;
  EXPECT_EQ(PlaintextFor(tls), Plaintext::kThisMachine);
  tls.skip_verify = true;
  EXPECT_EQ(PlaintextFor(tls), Plaintext::kAnybody);
}

}  // namespace
}  // namespace secretfs::providers
