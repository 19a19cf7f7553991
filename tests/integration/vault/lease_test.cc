// Dynamic secrets: leases of a real Vault, whose key-value engine gives each read a lease when it
// is started with -dev-leased-kv.

#include <string>

#include "tests/integration/vault/vault_fixture.h"

namespace secretfs::testing {
namespace {

using absl::StatusCode;
using providers::Lease;

class VaultLeases : public VaultTest {
 protected:
  VaultServerOptions ServerOptions() override { return {.arguments = {"-dev-leased-kv"}}; }

  // What the server itself says of the lease; -1: it knows none of that id.
  long Ttl(const std::string& lease_id) {
    const VaultAnswer answer =
        vault().Call("POST", "sys/leases/lookup", {{"lease_id", lease_id}}, vault().root_token());
    return answer.status == 200 ? answer.body["data"]["ttl"].get<long>() : -1;
  }
  absl::StatusOr<Lease> Renew(providers::Provider& provider, Lease lease) {
    return Await(provider.Renew(std::move(lease), Deadline()));
  }
  absl::Status Revoke(providers::Provider& provider, Lease lease) {
    return Await(provider.Revoke(std::move(lease), Deadline()));
  }
};

TEST_F(VaultLeases, ALeaseBoundsTheTimeAndIsRenewedAndRevoked) {
  vault().Write("secret/db", {{"user", "u1"}, {"ttl", "40s"}});
  const auto provider = Make(Config("secret"));
  const auto secret = Fetch(*provider, "db");
  ASSERT_TRUE(secret.ok()) << secret.status();
  ASSERT_TRUE((*secret)->lease.has_value());
  const Lease lease = *(*secret)->lease;
  EXPECT_TRUE(lease.renewable);
  EXPECT_EQ(lease.duration, std::chrono::seconds(40));
  EXPECT_EQ((*secret)->time_to_live, std::chrono::seconds(40));
  EXPECT_TRUE(Eventually([&] { return Ttl(lease.id) < 40; }));

  const auto renewed = Renew(*provider, lease);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_EQ(renewed->id, lease.id);
  EXPECT_EQ(renewed->duration, std::chrono::seconds(40));
  EXPECT_GE(Ttl(lease.id), 39);

  EXPECT_THAT(Revoke(*provider, lease), HasCode(StatusCode::kOk));
  EXPECT_EQ(Ttl(lease.id), -1);
  EXPECT_THAT(Renew(*provider, lease), HasCode(StatusCode::kNotFound));
}

TEST_F(VaultLeases, EachFetchOfADynamicSecretIsAnotherVersion) {
  vault().Write("secret/db", {{"user", "u1"}, {"ttl", "40s"}});
  const auto provider = Make(Config("secret"));
  const auto first = Fetch(*provider, "db");
  const auto second = Fetch(*provider, "db");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE((*first)->lease->id, (*second)->lease->id);
  EXPECT_NE((*first)->version, (*second)->version);
}

TEST_F(VaultLeases, ATokenThatMayNotRevokeSaysWhatItNeeds) {
  vault().Write("secret/db", {{"user", "u1"}, {"ttl", "40s"}});
  vault().WritePolicy("p", R"(path "secret/db" { capabilities = ["read"] })");
  const auto provider = Make(Config("secret", vault().MakeToken({{"policies", {"p"}}})));
  const auto secret = Fetch(*provider, "db");
  ASSERT_TRUE(secret.ok()) << secret.status();
  const absl::Status revoked = Revoke(*provider, *(*secret)->lease);
  EXPECT_THAT(revoked, HasCode(StatusCode::kPermissionDenied));
  EXPECT_THAT(revoked.ToString(), ::testing::HasSubstr("'update' on sys/leases/revoke"));
  // The default policy lets every token renew.
  EXPECT_TRUE(Renew(*provider, *(*secret)->lease).ok());
}

}  // namespace
}  // namespace secretfs::testing
