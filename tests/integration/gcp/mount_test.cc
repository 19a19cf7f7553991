// The whole way from the fake of Google Cloud to a file in a mount, with the real program.

#include <gmock/gmock.h>

#include <cerrno>
#include <fstream>

#include "base/text.h"
#include "tests/fakes/gcp_cloud.h"
#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

using ::testing::Test;

constexpr char kParent[] = "projects/demo";
constexpr char kMountPool[] =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/"
    "providers/q";
constexpr char kMountTarget[] = "target@demo.iam.gserviceaccount.com";

class GcpMountTest : public MountedBinaryTest {
 protected:
  void SetUp() override {
    MountedBinaryTest::SetUp();
    if (Test::IsSkipped()) return;
    cloud_.secrets().SetRole(std::string("serviceAccount:") + kMountTarget,
                             fakes::GcpSecretManager::Role::kAccessor);
    cloud_.secrets().Put(kParent, "app-db", R"({"user":"alice","password":"one"})");
    cloud_.secrets().Put(kParent, "app-key", std::string("\0binary\xff", 8));
  }
  // A credentials file that names another file, which the server may read only because the holder
  // was told of it.
  std::string Federation() {
    cloud_.identity().AddPoolProvider(kMountPool, "https://forge.example", "principal://{}");
    cloud_.identity().AllowImpersonation("principal://builder", kMountTarget);
    const std::string token =
        WriteFile("token", cloud_.identity().SubjectToken("builder", "https://forge.example"));
    return WriteFile(
        "adc.json", cloud_.identity().ExternalAccount(kMountPool, {{"file", token}}, kMountTarget));
  }
  std::string Manifest(const std::string& credentials) {
    return WriteFile("secretfs.yaml", Format(R"(
stores:
  team:
    gcpsm:
      projectID: demo
      endpoint: {}
      auth:
        credentials:
          file: {}
    policy:
      ttl: 1s
files:
  - {{path: user, key: app-db, property: user}}
  - {{path: password, key: app-db, property: password}}
  - {{path: first, key: app-db, version: "1"}}
  - {{path: key, key: app-key}}
  - {{path: missing, key: app-missing}}
)",
                                             cloud_.url(), credentials));
  }
  static ChildOptions WithoutProxy() {
    ChildOptions options;
    options.environment["no_proxy"] = "127.0.0.1";
    return options;
  }

  fakes::GcpCloud cloud_;
};

TEST_F(GcpMountTest, FilesOfASecretFollowIt) {
  Mount({"-f", Manifest(Federation())}, WithoutProxy());
  EXPECT_EQ(ReadFile(mount_point() / "user"), "alice");
  EXPECT_EQ(ReadFile(mount_point() / "password"), "one");
  EXPECT_EQ(ReadFile(mount_point() / "key"), std::string("\0binary\xff", 8));
  errno = 0;
  EXPECT_FALSE(std::ifstream(mount_point() / "missing").is_open());
  EXPECT_EQ(errno, ENOENT);
  // Two files of one secret, and a version of it: two reads.
  EXPECT_EQ(ReadFile(mount_point() / "first"), R"({"user":"alice","password":"one"})");
  cloud_.secrets().Put(kParent, "app-db", R"({"user":"alice","password":"two"})");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "password") == "two"; }));
  EXPECT_EQ(ReadFile(mount_point() / "first"), R"({"user":"alice","password":"one"})");
  // Disabled: withdrawn.
  cloud_.secrets().SetState(kParent, "app-db", "2", "DISABLED");
  EXPECT_TRUE(Eventually([&] { return !std::ifstream(mount_point() / "password").is_open(); }));
  EXPECT_EQ(ReadFile(mount_point() / "first"), R"({"user":"alice","password":"one"})");
  Unmount();
}

TEST_F(GcpMountTest, GetPrintsOneValue) {
  const std::string manifest = Manifest(Federation());
  const Finished got = Secretfs({"get", "-f", manifest, "password"}, WithoutProxy());
  EXPECT_EQ(got.exit_code, 0) << got.errors;
  EXPECT_EQ(got.output, "one");
  const Finished checked = Secretfs({"check", "--online", "-f", manifest}, WithoutProxy());
  // One of the files is not there; the login is what this is about.
  EXPECT_THAT(checked.output, ::testing::ContainsRegex("\\(login\\) +ok")) << checked.errors;
}

}  // namespace
}  // namespace secretfs::testing
