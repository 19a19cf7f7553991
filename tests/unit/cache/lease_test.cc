// Dynamic secrets: renewed at two thirds, replaced in time, given back at the end.

#include "tests/unit/cache/cache_fixture.h"

namespace secretfs::cache {
namespace {

using Ids = std::vector<std::string>;

class LeaseTest : public CacheTest {
 protected:
  // A lease of 90 s: renewed after 60 s; the last chance to renew is at 81 s.
  LeaseTest() {
    policy_.ttl = hours(1);
    SetLeased("db", true);
  }
  void SetLeased(const std::string& key, bool renewable) {
    fakes::FakeProvider::Extras extras;
    extras.lease = seconds(90);
    extras.renewable = renewable;
    provider_->Set(key, "password", extras);
  }
  Policy policy_;
};

TEST_F(LeaseTest, IsRenewedAtTwoThirdsAndTheValueStays) {
  const Interest interest = Mount("db", policy_);
  EXPECT_EQ(Text(Read("db")), "password-1");
  Advance(milliseconds(59'999));
  EXPECT_TRUE(provider_->renewed().empty());
  Advance(milliseconds(1));
  EXPECT_EQ(provider_->renewed(), Ids{"db/1"});
  Advance(seconds(60 * 9));
  EXPECT_EQ(provider_->renewed().size(), 10u);
  EXPECT_EQ(Text(Read("db")), "password-1");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  EXPECT_EQ(Known("db").fetches, 1u);
}

TEST_F(LeaseTest, BoundsTheTtl) {
  const Interest interest = Mount("db", policy_);
  Read("db");
  EXPECT_EQ(Known("db").expires_at, clock_.WallNow() + seconds(90));
  EXPECT_EQ(Known("db").next_refresh_at, clock_.WallNow() + seconds(60));
}

TEST_F(LeaseTest, AShorterTtlRenewsInsteadOfMakingAnotherCredential) {
  policy_.ttl = seconds(20);
  const Interest interest = Mount("db", policy_);
  Read("db");
  Advance(seconds(19 * 5));
  EXPECT_EQ(provider_->renewed().size(), 5u);
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
}

TEST_F(LeaseTest, ThatCannotBeRenewedIsReplacedAtTwoThirdsWhateverTheTtl) {
  SetLeased("fixed", false);
  policy_.ttl = seconds(20);
  const Interest interest = Mount("fixed", policy_);
  Read("fixed");
  Advance(milliseconds(59'999));
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  EXPECT_EQ(State(Known("fixed")), "fresh");
  Advance(milliseconds(1));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
  EXPECT_EQ(Text(Read("fixed")), "password-2");
  EXPECT_TRUE(provider_->renewed().empty());
}

TEST_F(LeaseTest, WhoseRenewalIsRefusedIsReplacedAtOnce) {
  const Interest interest = Mount("db", policy_);
  Read("db");
  provider_->FailRenewals(absl::NotFoundError("lease not found"), 1);
  Advance(seconds(60));
  EXPECT_EQ(Text(Read("db")), "password-2");
  Advance(seconds(60));
  EXPECT_EQ(provider_->renewed(), (Ids{"db/1", "db/2"}));
}

TEST_F(LeaseTest, RenewalIsRetriedWhileTheStoreIsDownAndThenReplaced) {
  const Interest interest = Mount("db", policy_);
  Read("db");
  provider_->FailRenewals(absl::UnavailableError("down"), kForever);
  Advance(seconds(80));
  EXPECT_GE(provider_->renewed().size(), 3u);
  EXPECT_EQ(Text(Read("db")), "password-1");
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  Advance(seconds(1));
  EXPECT_EQ(Text(Read("db")), "password-2");
}

TEST_F(LeaseTest, ThatIsGrantedLessHasReachedItsEndAndIsReplacedInTime) {
  const Interest interest = Mount("db", policy_);
  Read("db");
  provider_->GrantOnRenewal(seconds(30));
  Advance(seconds(60));
  EXPECT_EQ(provider_->renewed().size(), 1u);
  Advance(milliseconds(19'999));
  EXPECT_EQ(provider_->fetch_call_count(), 1u);
  Advance(milliseconds(1));
  EXPECT_EQ(provider_->fetch_call_count(), 2u);
  EXPECT_EQ(provider_->renewed().size(), 1u);
}

TEST_F(LeaseTest, IsRevokedWhenTheLastMountGoes) {
  Interest first = Mount("db", policy_);
  Interest second = Mount("db", policy_);
  Read("db");
  first = Interest();
  Poll();
  EXPECT_TRUE(provider_->revoked().empty());
  second = Interest();
  Poll();
  EXPECT_EQ(provider_->revoked(), Ids{"db/1"});
  // The revoked credential is not given to anybody.
  EXPECT_EQ(Text(Read("db")), "password-2");
}

TEST_F(LeaseTest, ThatArrivesAfterTheLastMountWentIsRevoked) {
  Interest interest = Mount("db", policy_);
  provider_->Hold();
  cache().Prefetch({Key("db")});
  Poll();
  interest = Interest();
  Poll();
  provider_->Release();
  Poll();
  EXPECT_EQ(provider_->revoked(), Ids{"db/1"});
}

TEST_F(LeaseTest, OfAReplacedCredentialIsLeftToItsReadersAndGivenBackWithTheRest) {
  Interest interest = Mount("db", policy_);
  Read("db");
  Refresh("db");
  EXPECT_TRUE(provider_->revoked().empty());
  interest = Interest();
  Poll();
  EXPECT_EQ(provider_->revoked(), (Ids{"db/1", "db/2"}));
}

TEST_F(LeaseTest, ThatHasEndedIsNotRevoked) {
  Interest interest = Mount("db", policy_);
  Read("db");
  Refresh("db");
  Advance(seconds(100));  // db/1 has ended, db/2 was renewed
  interest = Interest();
  Poll();
  EXPECT_EQ(provider_->revoked(), Ids{"db/2"});
}

TEST_F(LeaseTest, IsRevokedAtShutdownBeforeTheStoreIsClosed) {
  const Interest interest = Mount("db", policy_);
  Read("db");
  bool done = false;
  cache().Shutdown(seconds(5), [&] { done = true; });
  Poll();
  EXPECT_TRUE(done);
  EXPECT_EQ(provider_->revoked(), Ids{"db/1"});
  EXPECT_EQ(provider_->closes(), 1u);
}

}  // namespace
}  // namespace secretfs::cache
