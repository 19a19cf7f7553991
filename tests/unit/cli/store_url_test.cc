#include "cli/store_url.h"

#include <gmock/gmock.h>

#include "base/text.h"

namespace secretfs::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string ErrorOfUrl(std::string_view text) {
  const auto url = ParseStoreUrl(text);
  EXPECT_EQ(url.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(MessageOf(url.status()));
}

std::string ErrorOfReference(std::string_view text) {
  const auto reference = ParseSecretReference(text);
  EXPECT_EQ(reference.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(MessageOf(reference.status()));
}

TEST(StoreUrlTest, NamesTheLocalStore) {
  EXPECT_EQ(*ParseStoreUrl("local"), (StoreUrl{StoreScheme::kLocal, ""}));
  EXPECT_EQ(*ParseStoreUrl("local:/a b/s.sfs"), (StoreUrl{StoreScheme::kLocal, "/a b/s.sfs"}));
  EXPECT_EQ(*ParseStoreUrl("local:s.sfs"), (StoreUrl{StoreScheme::kLocal, "s.sfs"}));
  EXPECT_EQ(*ParseStoreUrl("local:/with:colon"), (StoreUrl{StoreScheme::kLocal, "/with:colon"}));
}

TEST(StoreUrlTest, NamesAPrefixOfVault) {
  EXPECT_EQ(*ParseStoreUrl("vault:secret/app"), (StoreUrl{StoreScheme::kVault, "secret/app"}));
  EXPECT_EQ(*ParseStoreUrl("vault:/secret/app/"), (StoreUrl{StoreScheme::kVault, "secret/app"}));
  EXPECT_EQ(*ParseStoreUrl("vault:"), (StoreUrl{StoreScheme::kVault, ""}));
  EXPECT_EQ(*ParseStoreUrl("vault"), (StoreUrl{StoreScheme::kVault, ""}));
}

TEST(StoreUrlTest, NamesANamespaceOfKubernetes) {
  EXPECT_EQ(*ParseStoreUrl("kubernetes:team"), (StoreUrl{StoreScheme::kKubernetes, "team"}));
  EXPECT_EQ(*ParseStoreUrl("kubernetes:team/"), (StoreUrl{StoreScheme::kKubernetes, "team"}));
  EXPECT_THAT(ErrorOfUrl("kubernetes"), HasSubstr("expected kubernetes:NAMESPACE"));
  EXPECT_THAT(ErrorOfUrl("kubernetes:team/db"), HasSubstr("expected kubernetes:NAMESPACE"));
  EXPECT_THAT(ErrorOfUrl("kubernetes:team#x"), HasSubstr("expected kubernetes:NAMESPACE"));
}

TEST(SecretReferenceTest, NamesAKeyOfAKubernetesSecret) {
  const auto reference = ParseSecretReference("kubernetes:team/db#tls.crt");
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->store, (StoreUrl{StoreScheme::kKubernetes, "team"}));
  EXPECT_EQ(reference->ref, (providers::SecretRef{"db", ""}));
  EXPECT_EQ(reference->property, "tls.crt");
  const auto whole = ParseSecretReference("kubernetes:team/db?version=12");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->ref, (providers::SecretRef{"db", "12"}));
  EXPECT_EQ(whole->property, "");
  EXPECT_THAT(ErrorOfReference("kubernetes:team"), HasSubstr("kubernetes:NAMESPACE/NAME#KEY"));
  EXPECT_THAT(ErrorOfReference("kubernetes:#x"), HasSubstr("kubernetes:NAMESPACE/NAME#KEY"));
  EXPECT_THAT(ErrorOfReference("kubernetes:a/b/c#x"), HasSubstr("kubernetes:NAMESPACE"));
}

TEST(StoreUrlTest, RefusesWhatNamesNoStore) {
  EXPECT_THAT(ErrorOfUrl("locl:/x"), HasSubstr("did you mean 'local'"));
  EXPECT_THAT(ErrorOfUrl("valut:secret"), HasSubstr("did you mean 'vault'"));
  EXPECT_THAT(ErrorOfUrl("s3:bucket"), HasSubstr("expected local, local:/path, vault:"));
  EXPECT_THAT(ErrorOfUrl("/tmp/s.sfs"), HasSubstr("'local:/tmp/s.sfs'"));
  EXPECT_THAT(ErrorOfUrl(""), HasSubstr("unknown kind of store"));
  EXPECT_THAT(ErrorOfUrl("local:"), HasSubstr("no path"));
  EXPECT_THAT(ErrorOfUrl("vault://host/secret"), HasSubstr("VAULT_ADDR"));
  EXPECT_THAT(ErrorOfUrl("vault:secret//app"), HasSubstr("empty"));
  EXPECT_THAT(ErrorOfUrl("vault:secret/../sys"), HasSubstr("'..'"));
  EXPECT_THAT(ErrorOfUrl(std::string_view("local:a\0b", 9)), HasSubstr("NUL"));
}

TEST(StoreUrlTest, NamesAKeyVault) {
  EXPECT_EQ(*ParseStoreUrl("azure:team"), (StoreUrl{StoreScheme::kAzure, "team"}));
  EXPECT_EQ(PrefixOf(*ParseStoreUrl("azure:team")), "");
  EXPECT_EQ(PrefixOf(*ParseStoreUrl("azure:team.vault.azure.cn/cert/")), "cert");
  EXPECT_EQ(PrefixOf(*ParseStoreUrl("vault:secret/app")), "secret/app");
  EXPECT_THAT(ErrorOfUrl("azure:"), HasSubstr("azure:VAULT"));
  EXPECT_THAT(ErrorOfUrl("azure:team/db"), HasSubstr("secretfs get azure:VAULT/NAME"));
}

TEST(SecretReferenceTest, NamesAnObjectOfAKeyVault) {
  const auto secret = ParseSecretReference("azure:team/db#password?version=v1");
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->store, (StoreUrl{StoreScheme::kAzure, "team"}));
  EXPECT_EQ(secret->ref, (providers::SecretRef{"db", "v1"}));
  EXPECT_EQ(secret->property, "password");
  const auto certificate = ParseSecretReference("azure:team/cert/www?format=der");
  ASSERT_TRUE(certificate.ok()) << certificate.status();
  EXPECT_EQ(certificate->ref.key, "cert/www?format=der");
  EXPECT_THAT(ErrorOfReference("azure:team"), HasSubstr("names no secret"));
  EXPECT_THAT(ErrorOfReference("azure:team/"), HasSubstr("names no secret"));
}

TEST(SecretReferenceTest, NamesAKeyOfALocalStore) {
  const auto reference = ParseSecretReference("local#db/password");
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ(reference->store, (StoreUrl{StoreScheme::kLocal, ""}));
  EXPECT_EQ(reference->ref, (providers::SecretRef{"db/password", ""}));
  EXPECT_EQ(reference->property, "");

  const auto with_path = ParseSecretReference("local:/a/s.sfs#a#b?version=12");
  ASSERT_TRUE(with_path.ok());
  EXPECT_EQ(with_path->store.path, "/a/s.sfs");
  EXPECT_EQ(with_path->ref, (providers::SecretRef{"a#b", "12"}));
}

TEST(SecretReferenceTest, NamesAFieldOfAVaultSecret) {
  const auto field = ParseSecretReference("vault:secret/app/db#password");
  ASSERT_TRUE(field.ok());
  EXPECT_EQ(field->store, (StoreUrl{StoreScheme::kVault, ""}));
  EXPECT_EQ(field->ref, (providers::SecretRef{"secret/app/db", ""}));
  EXPECT_EQ(field->property, "password");

  const auto whole = ParseSecretReference("vault:secret/app/db");
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->ref.key, "secret/app/db");
  EXPECT_EQ(whole->property, "");
}

TEST(SecretReferenceTest, TakesTheVersionAtTheEndOrBeforeTheField) {
  for (const char* text :
       {"vault:secret/app/db?version=3#password", "vault:secret/app/db#password?version=3"}) {
    const auto reference = ParseSecretReference(text);
    ASSERT_TRUE(reference.ok()) << text;
    EXPECT_EQ(reference->ref, (providers::SecretRef{"secret/app/db", "3"})) << text;
    EXPECT_EQ(reference->property, "password") << text;
  }
  // A question mark in a name is a name's.
  EXPECT_EQ(ParseSecretReference("local#what?version=1/x")->ref,
            (providers::SecretRef{"what?version=1/x", ""}));
}

TEST(SecretReferenceTest, RefusesWhatNamesNoSecret) {
  EXPECT_THAT(ErrorOfReference("local"), AllOf(HasSubstr("no secret"), HasSubstr("local#KEY")));
  EXPECT_THAT(ErrorOfReference("local:/s.sfs#"), HasSubstr("local:/s.sfs#KEY"));
  EXPECT_THAT(ErrorOfReference("vault:#x"), HasSubstr("no secret"));
  EXPECT_THAT(ErrorOfReference("local#a?version="), HasSubstr("empty version"));
  EXPECT_THAT(ErrorOfReference("vualt:a#b"), HasSubstr("did you mean 'vault'"));
}

}  // namespace
}  // namespace secretfs::cli
