// The real program over a real API server: updates that arrive by the watch, browse trees, the
// manifests of External Secrets as they are, and restarts of the server.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/xattr.h>

#include <cerrno>
#include <memory>
#include <string>

#include "base/text.h"
#include "tests/integration/fuse/inotify_log.h"
#include "tests/integration/kubernetes/kubernetes_server.h"
#include "tests/integration/support/mounted_binary.h"

namespace secretfs::testing {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

// 0, or the errno that opening and reading `path` gives.
int ReadError(const std::filesystem::path& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return errno;
  char byte;
  return read(file.get(), &byte, 1) < 0 ? errno : 0;
}

std::string Version(const std::filesystem::path& path) {
  char value[256];
  const ssize_t size = getxattr(path.c_str(), "user.secretfs.version", value, sizeof value);
  return size < 0 ? "" : std::string(value, static_cast<size_t>(size));
}

class KubernetesMountTest : public MountedBinaryTest {
 protected:
  static void SetUpTestSuite() {
    if (server_ == nullptr) server_ = KubernetesServer::Start().release();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    MountedBinaryTest::SetUp();
    if (IsSkipped()) return;
    static int number = 0;
    name_space_ = Format("mount-{}", ++number);
    server().CreateNamespace(name_space_);
    server().CreateServiceAccount(name_space_, "app");
    server().Grant(
        name_space_, Format("system:serviceaccount:{}:app", name_space_),
        {{{"apiGroups", {""}}, {"resources", {"secrets"}}, {"verbs", {"get", "list", "watch"}}}});
    kubeconfig_ = server().WriteKubeconfig("kubeconfig-" + name_space_,
                                           {{"token", server().TokenOf(name_space_, "app")}});
  }

  static KubernetesServer& server() { return *server_; }
  const std::string& name_space() const { return name_space_; }
  void Put(const std::string& name, const std::map<std::string, std::string>& data) {
    server().PutSecret(name_space_, name, data);
  }
  // Refreshed by the watch alone: no update within a test comes from the TTL.
  std::string Manifest(const std::string& files) {
    return WriteFile("secretfs.yaml", Format("stores:\n  cluster:\n    kubernetes:\n"
                                             "      kubeconfig: {}\n      remoteNamespace: {}\n"
                                             "policy: {{ttl: 1h}}\nfiles:\n{}",
                                             kubeconfig_.string(), name_space_, files));
  }
  ChildOptions WithKubeconfig() const {
    return {.environment = {{"KUBECONFIG", kubeconfig_.string()}, {"no_proxy", "127.0.0.1"}}};
  }
  // Returns once updates arrive by the watch.
  void AwaitWatch(const std::filesystem::path& file, const std::string& secret,
                  const std::string& key) {
    for (int i = 0; i < 50; ++i) {
      const std::string value = "probe-" + std::to_string(i);
      Put(secret, {{key, value}});
      if (Eventually([&] { return ReadFile(file) == value; }, std::chrono::milliseconds(500))) {
        return;
      }
    }
    ADD_FAILURE() << "no update arrives";
  }

 private:
  static KubernetesServer* server_;
  std::string name_space_;
  std::filesystem::path kubeconfig_;
};

KubernetesServer* KubernetesMountTest::server_ = nullptr;

TEST_F(KubernetesMountTest, AnUpdateArrivesByTheWatch) {
  std::string binary;
  for (int i = 0; i < 256; ++i) binary += static_cast<char>(i);
  Put("db", {{"password", "first"}, {"store.p12", binary}});
  const std::string manifest = Manifest(
      "  - {path: password, key: db, property: password}\n"
      "  - {path: store.p12, key: db, property: store.p12}\n"
      "  - {path: all.json, key: db}\n");
  Mount({"-f", manifest}, WithKubeconfig());
  EXPECT_EQ(ReadFile(mount_point() / "password"), "first");
  EXPECT_EQ(ReadFile(mount_point() / "store.p12"), binary);
  EXPECT_EQ(nlohmann::json::parse(ReadFile(mount_point() / "all.json"))["password"], "first");
  AwaitWatch(mount_point() / "password", "db", "password");
  fs::InotifyLog log;
  ASSERT_TRUE(log.Watch((mount_point() / "password").string(), "file"));
  for (int i = 0; i < 20; ++i) {
    const std::string value = "value-" + std::to_string(i);
    Put("db", {{"password", value}});
    EXPECT_TRUE(log.Await("file: CLOSE_WRITE"));
    EXPECT_EQ(ReadFile(mount_point() / "password"), value);
  }
}

TEST_F(KubernetesMountTest, AChangeOfLabelsAloneIsNotPublished) {
  Put("db", {{"password", "first"}});
  const std::string manifest = Manifest("  - {path: password, key: db, property: password}\n");
  Mount({"-f", manifest}, WithKubeconfig());
  AwaitWatch(mount_point() / "password", "db", "password");
  const std::string version = Version(mount_point() / "password");
  fs::InotifyLog log;
  ASSERT_TRUE(log.Watch((mount_point() / "password").string(), "file"));
  for (int i = 0; i < 5; ++i) {
    server().LabelSecret(name_space(), "db", "n", std::to_string(i));
  }
  // What comes after them has come, and nothing before it.
  const std::string value = "after the labels";
  Put("db", {{"password", value}});
  EXPECT_TRUE(log.Await("file: CLOSE_WRITE"));
  EXPECT_EQ(ReadFile(mount_point() / "password"), value);
  size_t writes = 0;
  for (const std::string& event : log.events()) writes += event == "file: CLOSE_WRITE" ? 1 : 0;
  EXPECT_EQ(writes, 1u);
  EXPECT_NE(Version(mount_point() / "password"), version);
}

TEST_F(KubernetesMountTest, ADeletedSecretGoesAndANewOneComes) {
  Put("db", {{"password", "first"}});
  const std::string manifest = Manifest(
      "  - {path: password, key: db, property: password}\n"
      "  - {path: later, key: later, property: value}\n");
  Mount({"-f", manifest}, WithKubeconfig());
  AwaitWatch(mount_point() / "password", "db", "password");
  EXPECT_EQ(ReadError(mount_point() / "later"), ENOENT);
  server().DeleteSecret(name_space(), "db");
  EXPECT_TRUE(Eventually([&] { return ReadError(mount_point() / "password") == ENOENT; }));
  Put("later", {{"value", "made later"}});
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "later") == "made later"; }));
  Put("db", {{"password", "again"}});
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "password") == "again"; }));
}

TEST_F(KubernetesMountTest, UpdatesGoOnAfterTheServerWasAway) {
  Put("db", {{"password", "first"}});
  const std::string manifest = Manifest("  - {path: password, key: db, property: password}\n");
  Mount({"-f", manifest}, WithKubeconfig());
  AwaitWatch(mount_point() / "password", "db", "password");
  const std::string last = ReadFile(mount_point() / "password");
  server().StopApiServer();
  EXPECT_EQ(ReadFile(mount_point() / "password"), last);
  server().StartApiServer();
  Put("db", {{"password", "after the restart"}});
  server().CompactHistory();
  EXPECT_TRUE(Eventually(
      [&] { return ReadFile(mount_point() / "password") == "after the restart"; }, seconds(60)));
}

TEST_F(KubernetesMountTest, ABrowseTreeShowsTheNamespace) {
  Put("db", {{"password", "p"}, {"tls.crt", "c"}});
  Put("web", {{"key", "k"}});
  Mount({"kubernetes:" + name_space()}, WithKubeconfig());
  EXPECT_EQ(ReadFile(mount_point() / "db/password"), "p");
  EXPECT_EQ(ReadFile(mount_point() / "db/tls.crt"), "c");
  EXPECT_EQ(ReadFile(mount_point() / "web/key"), "k");
  EXPECT_EQ(nlohmann::json::parse(ReadFile(mount_point() / "web.json")),
            (nlohmann::json{{"key", "k"}}));
  AwaitWatch(mount_point() / "web/key", "web", "key");
}

TEST_F(KubernetesMountTest, GetPrintsOneValue) {
  Put("db", {{"password", "p"}});
  const std::string reference = Format("kubernetes:{}/db#password", name_space());
  const Finished found = Secretfs({"get", reference}, WithKubeconfig());
  EXPECT_EQ(found.output, "p") << found.errors;
  const Finished near =
      Secretfs({"get", Format("kubernetes:{}/dv#password", name_space())}, WithKubeconfig());
  EXPECT_NE(near.exit_code, 0);
  EXPECT_THAT(near.errors, HasSubstr("did you mean 'db'"));
}

TEST_F(KubernetesMountTest, TakesExternalSecretsManifestsAsTheyAre) {
  Put("db", {{"password", "from-external-secret"}, {"user", "app"}});
  std::string bundle;
  for (const char c : server().authority().certificate()) {
    bundle += c == '\n' ? std::string("\n          ") : std::string(1, c);
  }
  const std::string store_manifest = WriteFile(
      "store.yaml",
      Format("apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {{name: team}}\n"
             "spec:\n  provider:\n    kubernetes:\n      remoteNamespace: {}\n      server:\n"
             "        url: {}\n        caBundle: |\n          {}\n      auth:\n        token:\n"
             "          bearerToken: {{name: credentials, key: token}}\n"
             "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: credentials}}\n"
             "stringData: {{token: {}}}\n",
             name_space(), server().address(), bundle, server().TokenOf(name_space(), "app")));
  const std::string secret_manifest =
      WriteFile("external.yaml",
                "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: app}\n"
                "spec:\n  secretStoreRef: {name: team, kind: SecretStore}\n  data:\n"
                "    - secretKey: db-password\n      remoteRef: {key: db, property: password}\n"
                "  dataFrom:\n    - extract: {key: db}\n");
  Mount({"-f", secret_manifest, "-f", store_manifest},
        {.environment = {{"no_proxy", "127.0.0.1"}}});
  EXPECT_EQ(ReadFile(mount_point() / "db-password"), "from-external-secret");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "user") == "app"; }));
}

}  // namespace
}  // namespace secretfs::testing
