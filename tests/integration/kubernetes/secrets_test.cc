// Reading and listing Secrets of a real API server.

#include <string>

#include "tests/integration/kubernetes/kubernetes_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class KubernetesSecrets : public KubernetesTest {};

TEST_F(KubernetesSecrets, AKeyGivesFieldsWholeValueVersionAndTime) {
  const std::string version = server().PutSecret(
      name_space(), "db", {{"password", "s3cret"}, {"tls.crt", "PEM\n"}, {"empty", ""}});
  const auto provider = Make(Config());
  const auto secret = Fetch(*provider, "db");
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(Field(secret, "password"), "s3cret");
  EXPECT_EQ(Field(secret, "tls.crt"), "PEM\n");
  EXPECT_EQ(Field(secret, "empty"), "");
  EXPECT_EQ((*secret)->fields.size(), 3u);
  EXPECT_EQ((*secret)->value.ExposeAsText(),
            R"({"empty":"","password":"s3cret","tls.crt":"PEM\n"})");
  EXPECT_THAT((*secret)->version, StartsWith(version + "@"));
  EXPECT_EQ((*secret)->version.size(), version.size() + 1 + 36) << "the uid follows";
  ASSERT_TRUE((*secret)->changed_at.has_value());
  EXPECT_LT(clock_.WallNow() - *(*secret)->changed_at, std::chrono::minutes(1));
}

TEST_F(KubernetesSecrets, BinaryValuesAreGivenAsTheyAre) {
  std::string binary;
  for (int i = 0; i < 1024; ++i) binary += static_cast<char>(i);
  server().PutSecret(name_space(), "keystore", {{"store.p12", binary}, {"note", "grüße"}});
  const auto secret = Fetch(*Make(Config()), "keystore");
  EXPECT_EQ(Field(secret, "store.p12"), binary);
  EXPECT_EQ(Field(secret, "note"), "grüße");
  // What is no text stands in the whole value as the API has it.
  const auto whole = nlohmann::json::parse((*secret)->value.ExposeAsText());
  EXPECT_EQ(whole["store.p12"], Base64(binary));
  EXPECT_EQ(whole["note"], "grüße");
}

TEST_F(KubernetesSecrets, AsLargeAValueAsTheServerTakes) {
  const std::string large(1000 << 10, 'x');
  server().PutSecret(name_space(), "large", {{"value", large}});
  EXPECT_EQ(Field(Fetch(*Make(Config()), "large"), "value"), large);
}

TEST_F(KubernetesSecrets, ASecretWithoutDataHasNoFields) {
  server().PutSecret(name_space(), "bare", {});
  const auto secret = Fetch(*Make(Config()), "bare");
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_TRUE((*secret)->fields.empty());
  EXPECT_EQ((*secret)->value.ExposeAsText(), "{}");
}

TEST_F(KubernetesSecrets, WhatIsNotThereIsNotFoundAndWrongNamesAreNotAsked) {
  const auto provider = Make(Config());
  const auto missing = Fetch(*provider, "missing");
  EXPECT_THAT(missing, HasCode(StatusCode::kNotFound));
  EXPECT_THAT(missing.status().ToString(), HasSubstr("secrets \"missing\" not found"));
  for (const char* name : {"a/b", "..", "UPPER", "", "x?watch=1", "a%2fb"}) {
    EXPECT_THAT(Fetch(*provider, name), HasCode(StatusCode::kInvalidArgument)) << name;
  }
  auto elsewhere = Config();
  elsewhere.remote_namespace = "no-such-namespace";
  EXPECT_THAT(Fetch(*Make(elsewhere), "db"), HasCode(StatusCode::kNotFound));
}

TEST_F(KubernetesSecrets, ANewVersionOnlyForNewData) {
  server().PutSecret(name_space(), "db", {{"password", "one"}});
  const auto provider = Make(Config());
  const auto first = Fetch(*provider, "db");
  const std::string labelled = server().LabelSecret(name_space(), "db", "team", "blue");
  const auto second = Fetch(*provider, "db");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ((*first)->version, (*second)->version) << "only a label is new";
  server().PutSecret(name_space(), "db", {{"password", "two"}});
  const auto third = Fetch(*provider, "db");
  EXPECT_EQ(Field(third, "password"), "two");
  EXPECT_NE((*third)->version, (*second)->version);
  // A reader that has not seen the old one takes what is there.
  const auto other = Fetch(*Make(Config()), "db");
  EXPECT_EQ((*other)->version, (*third)->version);
}

TEST_F(KubernetesSecrets, TheVersionThatIsThereCanBeNamedAndNoOther) {
  const std::string version = server().PutSecret(name_space(), "db", {{"password", "one"}});
  const auto provider = Make(Config());
  EXPECT_EQ(Field(Fetch(*provider, "db", version), "password"), "one");
  const auto whole = Fetch(*provider, "db");
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(Field(Fetch(*provider, "db", (*whole)->version), "password"), "one");
  server().PutSecret(name_space(), "db", {{"password", "two"}});
  const auto old = Fetch(*provider, "db", version);
  EXPECT_THAT(old, HasCode(StatusCode::kNotFound));
  EXPECT_THAT(old.status().ToString(), HasSubstr("Kubernetes keeps no other"));
}

TEST_F(KubernetesSecrets, ASecretMadeAnewHasAnotherVersion) {
  server().PutSecret(name_space(), "db", {{"password", "one"}});
  const auto provider = Make(Config());
  const auto before = Fetch(*provider, "db");
  server().DeleteSecret(name_space(), "db");
  EXPECT_THAT(Fetch(*provider, "db"), HasCode(StatusCode::kNotFound));
  server().PutSecret(name_space(), "db", {{"password", "other"}});
  const auto after = Fetch(*provider, "db");
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_NE((*before)->version, (*after)->version);
}

TEST_F(KubernetesSecrets, ListsNamesOfThisNamespaceAcrossPages) {
  const auto provider = Make(Config());
  EXPECT_EQ(List(*provider), "");
  std::string expected;
  for (int i = 0; i < 510; ++i) {  // one page holds 500
    const std::string name = "secret-" + std::to_string(1000 + i);
    server().PutSecret(name_space(), name, {{"value", "v"}});
    expected += (expected.empty() ? "" : ", ") + name;
  }
  server().PutSecret("default", "of-another-namespace", {{"value", "v"}});
  EXPECT_EQ(List(*provider), expected);
  const auto below = Await(provider->List("secret-1000", "", Deadline()));
  EXPECT_THAT(below, HasCode(StatusCode::kNotFound));
}

TEST_F(KubernetesSecrets, APageThatHasExpiredIsReplaced) {
  for (int i = 0; i < 510; ++i) {
    server().PutSecret(name_space(), "secret-" + std::to_string(1000 + i), {{"value", "v"}});
  }
  const auto provider = Make(Config());
  const auto first = Await(provider->List("", "", Deadline()));
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_FALSE(first->next_page.empty());
  server().PutSecret(name_space(), "secret-9999", {{"value", "v"}});
  server().CompactHistory();
  // The API server keeps some history in memory; a new one has none.
  server().StopApiServer();
  server().StartApiServer();
  std::vector<std::string> rest;
  std::string page = first->next_page;
  while (!page.empty()) {
    const auto next = Await(provider->List("", page, Deadline()));
    ASSERT_TRUE(next.ok()) << next.status();
    for (const auto& entry : next->entries) rest.push_back(entry.name);
    page = next->next_page;
  }
  EXPECT_EQ(first->entries.size() + rest.size(), 511u);
}

TEST_F(KubernetesSecrets, DeniedNamesWhoAndWhat) {
  server().PutSecret(name_space(), "db", {{"password", "one"}});
  server().PutSecret(name_space(), "other", {{"password", "two"}});
  server().CreateServiceAccount(name_space(), "app");
  server().Grant(name_space(), UserOf("app"), SecretRule({"get"}, {"db"}));
  const auto provider = Make(Config(server().TokenOf(name_space(), "app")));
  EXPECT_EQ(Field(Fetch(*provider, "db"), "password"), "one");
  const auto denied = Fetch(*provider, "other");
  EXPECT_THAT(denied, HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(denied.status().ToString(),
              AllOf(HasSubstr("cannot get resource"), HasSubstr(UserOf("app"))));
  EXPECT_THAT(List(*provider), StartsWith("PERMISSION_DENIED"));
  EXPECT_TRUE(CheckLogin(*provider).ok());
}

}  // namespace
}  // namespace secretfs::testing
