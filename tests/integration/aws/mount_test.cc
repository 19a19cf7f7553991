// The real program over moto: URLs, SecretProviderClass as it is, rotation, and what readers get of
// what they may not have.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/unique_fd.h"
#include "tests/integration/aws/moto_server.h"
#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// 0, or the errno that opening and reading `path` gives.
int ReadError(const std::filesystem::path& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return errno;
  char byte;
  return read(file.get(), &byte, 1) < 0 ? errno : 0;
}

class AwsMountTest : public MountedBinaryTest {
 protected:
  MotoServer& moto() { return server_; }
  void Create(const std::string& name, const std::string& value) {
    moto().Call("secretsmanager", "create_secret", {{"Name", name}, {"SecretString", value}});
  }
  ChildOptions Environment() {
    return {.environment = {{"AWS_ACCESS_KEY_ID", "AKIDMOUNT"},
                            {"AWS_SECRET_ACCESS_KEY", "planted-secret-key"},
                            {"AWS_REGION", MotoServer::kRegion},
                            {"AWS_ENDPOINT_URL", moto().address()},
                            {"no_proxy", "127.0.0.1"}}};
  }

 private:
  MotoServer server_;
};

TEST_F(AwsMountTest, UrlsMountTreesAndGetPrintsParts) {
  Create("app/db", R"({"user":"alice","password":"p"})");
  Create("/app/api/key", "k");
  moto().Call("ssm", "put_parameter",
              {{"Name", "/app/level"}, {"Value", "debug"}, {"Type", "SecureString"}});
  Mount({"aws-secretsmanager:app"}, Environment());
  EXPECT_EQ(ReadFile(mount_point() / "db"), R"({"user":"alice","password":"p"})");
  EXPECT_EQ(ReadFile(mount_point() / "api" / "key"), "k");
  Unmount();
  Mount({"aws-parameterstore:/app"}, Environment());
  EXPECT_EQ(ReadFile(mount_point() / "level"), "debug");
  Unmount();
  EXPECT_EQ(Secretfs({"get", "aws-secretsmanager:app/db#user"}, Environment()).output, "alice");
  const Finished missing = Secretfs({"get", "aws-secretsmanager:app/none"}, Environment());
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_THAT(missing.errors, HasSubstr("'app/none'"));
}

TEST_F(AwsMountTest, AClassOfTheCsiDriverRotatesAndKeepsErrorsApart) {
  Create("app/db", R"({"user":"alice"})");
  Create("app/denied", "hidden-value");
  moto().Deny("app/denied");
  moto().Call("ssm", "put_parameter",
              {{"Name", "/app/level"}, {"Value", "debug"}, {"Type", "String"}});
  const auto manifest = WriteFile("class.yaml", R"(apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: app}
spec:
  provider: aws
  parameters:
    objects: |
      - objectName: app/db
        objectType: secretsmanager
        jmesPath: [{path: user, objectAlias: user}]
      - objectName: app/denied
        objectType: secretsmanager
      - objectName: app/missing
        objectType: secretsmanager
      - objectName: /app/level
        objectType: ssmparameter
        objectAlias: level
)");
  const auto policy = WriteFile("policy.yaml", "policy: {ttl: 1s}\n");
  ChildProcess& daemon = Mount({"-f", manifest, "-f", policy}, Environment());
  EXPECT_EQ(ReadFile(mount_point() / "app_db"), R"({"user":"alice"})");
  EXPECT_EQ(ReadFile(mount_point() / "user"), "alice");
  EXPECT_EQ(ReadFile(mount_point() / "level"), "debug");
  EXPECT_EQ(ReadError(mount_point() / "app_denied"), EACCES);
  EXPECT_EQ(ReadError(mount_point() / "app_missing"), ENOENT);
  moto().Call("secretsmanager", "put_secret_value",
              {{"SecretId", "app/db"}, {"SecretString", R"({"user":"bob"})"}});
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "user") == "bob"; }));
  EXPECT_EQ(ReadFile(mount_point() / "app_db"), R"({"user":"bob"})");
  daemon.Signal(SIGTERM);
  EXPECT_EQ(daemon.Wait(std::chrono::seconds(10)), 0);
  EXPECT_THAT(daemon.output() + daemon.errors(),
              ::testing::AllOf(Not(HasSubstr("planted")), Not(HasSubstr("hidden-value"))));
}

}  // namespace
}  // namespace secretfs::testing
