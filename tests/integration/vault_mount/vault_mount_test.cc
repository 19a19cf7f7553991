// The real program over a real Vault: outages, denials, rotations, leases, and the manifests of the
// Kubernetes tools as they are.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>

#include "tests/integration/support/mounted_binary.h"
#include "tests/integration/support/server_programs.h"
#include "tests/integration/vault/vault_server.h"

namespace secretfs::testing {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

// 0, or the errno that opening and reading `path` gives.
int ReadError(const std::filesystem::path& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return errno;
  char byte;
  return read(file.get(), &byte, 1) < 0 ? errno : 0;
}

std::string Attribute(const std::filesystem::path& path, const std::string& name) {
  char value[256];
  const ssize_t size =
      getxattr(path.c_str(), ("user.secretfs." + name).c_str(), value, sizeof value);
  return size < 0 ? "" : std::string(value, static_cast<size_t>(size));
}

class VaultMountTest : public MountedBinaryTest {
 protected:
  void Start(VaultServerOptions options = {}) { vault_ = VaultServer::Start(options); }
  const VaultServer& vault() const { return *vault_; }
  void StopVault() { vault_->Stop(); }

  void WriteKv(const std::string& path, const nlohmann::json& fields) {
    vault().Write("secret/data/" + path, {{"data", fields}});
  }
  ChildOptions WithToken(const std::string& token) const {
    return {.environment = {{"VAULT_ADDR", vault().address()}, {"VAULT_TOKEN", token}}};
  }
  // Two files, `policy` as a flow mapping.
  std::string Manifest(const std::string& server, const std::string& policy) {
    return WriteFile("secretfs.yaml",
                     "stores:\n  team:\n    vault:\n      server: " + server +
                         "\n      path: secret\n      version: v2\n      auth:\n        token:\n"
                         "          env: VAULT_TOKEN\n"
                         "policy: " +
                         policy +
                         "\nfiles:\n"
                         "  - path: password\n    key: app/db\n    property: password\n"
                         "  - path: other\n    key: app/other\n    property: value\n");
  }

 private:
  std::unique_ptr<VaultServer> vault_;
};

TEST_F(VaultMountTest, AStoreThatIsDownDelaysFilesNotTheMountAndTheyAppearWhenItComesBack) {
  const uint16_t port = FreePort();
  const std::string server = "http://127.0.0.1:" + std::to_string(port);
  const steady_clock::time_point start = steady_clock::now();
  Mount({"-f", Manifest(server, "{deadline: 1s}")}, {.environment = {{"VAULT_TOKEN", "root"}}});
  EXPECT_LT(steady_clock::now() - start, seconds(5));
  const steady_clock::time_point asked = steady_clock::now();
  EXPECT_THAT(ReadError(mount_point() / "password"), ::testing::AnyOf(ETIMEDOUT, EIO));
  EXPECT_LT(steady_clock::now() - asked, seconds(5));
  Start({.port = port, .arguments = {}});
  WriteKv("app/db", {{"password", "first"}});
  // The mount's token is not this server's: what a token file or environment holds is the user's.
  Unmount();
  Mount({"-f", Manifest(server, "{deadline: 5s, ttl: 1s}")}, WithToken(vault().root_token()));
  EXPECT_EQ(ReadFile(mount_point() / "password"), "first");
}

TEST_F(VaultMountTest, AWantedFileAppearsByItselfOnceTheStoreAnswers) {
  Start();
  WriteKv("app/db", {{"password", "first"}});
  const std::string token = vault().root_token();
  // Paused, not ended: its data stays.
  kill(vault().pid(), SIGSTOP);
  Mount({"-f", Manifest(vault().address(), "{deadline: 1s}")}, WithToken(token));
  EXPECT_THAT(ReadError(mount_point() / "password"), ::testing::AnyOf(ETIMEDOUT, EIO));
  kill(vault().pid(), SIGCONT);
  EXPECT_TRUE(
      Eventually([&] { return ReadFile(mount_point() / "password") == "first"; }, seconds(30)));
}

TEST_F(VaultMountTest, AnOutageIsServedStaleAndSaysSo) {
  Start();
  WriteKv("app/db", {{"password", "first"}});
  Mount({"-f", Manifest(vault().address(), "{ttl: 500ms, maxStale: 500ms, deadline: 1s}")},
        WithToken(vault().root_token()));
  EXPECT_EQ(ReadFile(mount_point() / "password"), "first");
  EXPECT_EQ(Attribute(mount_point() / "password", "state"), "fresh");
  kill(vault().pid(), SIGSTOP);
  EXPECT_TRUE(Eventually(
      [&] {
        const std::string state = Attribute(mount_point() / "password", "state");
        return state == "stale" || state == "expired";
      },
      seconds(20)));
  EXPECT_EQ(ReadFile(mount_point() / "password"), "first");
  kill(vault().pid(), SIGCONT);
  WriteKv("app/db", {{"password", "second"}});
  EXPECT_TRUE(
      Eventually([&] { return ReadFile(mount_point() / "password") == "second"; }, seconds(30)));
}

TEST_F(VaultMountTest, ARotationShowsAfterTheTtl) {
  Start();
  WriteKv("app/db", {{"password", "first"}});
  Mount({"-f", Manifest(vault().address(), "{ttl: 500ms}")}, WithToken(vault().root_token()));
  EXPECT_EQ(ReadFile(mount_point() / "password"), "first");
  for (int i = 0; i < 5; ++i) {
    const std::string value = "value-" + std::to_string(i);
    WriteKv("app/db", {{"password", value}});
    EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "password") == value; }));
  }
}

TEST_F(VaultMountTest, ADeniedPathLeavesTheOthersWorking) {
  Start();
  WriteKv("app/db", {{"password", "granted"}});
  WriteKv("app/other", {{"value", "denied"}});
  vault().WritePolicy("one", "path \"secret/data/app/db\" { capabilities = [\"read\"] }");
  Mount({"-f", Manifest(vault().address(), "{}")},
        WithToken(vault().MakeToken({{"policies", {"one"}}})));
  EXPECT_EQ(ReadError(mount_point() / "other"), EACCES);
  EXPECT_EQ(ReadFile(mount_point() / "password"), "granted");
  EXPECT_EQ(ReadError(mount_point() / "other"), EACCES);
  const Finished status = Secretfs({"status", "--json", mount_point()});
  EXPECT_EQ(status.exit_code, 0) << status.errors;
  EXPECT_EQ(status.output.find("granted"), std::string::npos);
}

TEST_F(VaultMountTest, ACatOnADeadStoreStopsOnCtrlCWhileOthersAreServed) {
  InitStore();
  Put("here", "served");
  // A server that accepts connections and never answers.
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  socklen_t size = sizeof address;
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const std::string manifest =
      WriteFile("secretfs.yaml", "stores:\n  dead:\n    vault:\n      server: http://127.0.0.1:" +
                                     std::to_string(ntohs(address.sin_port)) +
                                     "\n      path: secret\n      version: v2\n      auth:\n       "
                                     " token:\n          env: VAULT_TOKEN\n"
                                     "  here:\n    local:\n      path: " +
                                     store().string() +
                                     "\npolicy: {deadline: 30s}\nfiles:\n"
                                     "  - {path: dead, store: dead, key: app, property: value}\n"
                                     "  - {path: here, store: here, key: here}\n");
  Mount({"-f", manifest}, {.environment = {{"VAULT_TOKEN", "root"}}});
  ChildProcess cat({"cat", mount_point() / "dead"});
  EXPECT_FALSE(cat.Wait(std::chrono::milliseconds(500)).has_value());
  EXPECT_EQ(ReadFile(mount_point() / "here"), "served");
  const steady_clock::time_point interrupted = steady_clock::now();
  cat.Signal(SIGINT);
  EXPECT_TRUE(cat.Wait(seconds(3)).has_value());
  EXPECT_LT(steady_clock::now() - interrupted, seconds(3));
  Unmount();
}

TEST_F(VaultMountTest, ABrowseTreeShowsFieldsWholeSecretsAndWhatIsBoth) {
  Start();
  WriteKv("app/db", {{"password", "p"}, {"port", 5432}});
  WriteKv("app/db/replica", {{"password", "r"}});
  Mount({"vault:secret/app"}, WithToken(vault().root_token()));
  EXPECT_EQ(ReadFile(mount_point() / "db/password"), "p");
  EXPECT_EQ(ReadFile(mount_point() / "db/port"), "5432");
  EXPECT_EQ(ReadFile(mount_point() / "db/replica/password"), "r");
  EXPECT_EQ(nlohmann::json::parse(ReadFile(mount_point() / "db.json")),
            (nlohmann::json{{"password", "p"}, {"port", 5432}}));
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(mount_point() / "db")) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names,
              ::testing::UnorderedElementsAre("password", "port", "replica", "replica.json"));
}

TEST_F(VaultMountTest, LeasesAreGivenBackAtUnmount) {
  Start({.arguments = {"-dev-leased-kv"}});
  vault().Write("secret/dynamic", {{"password", "leased"}, {"ttl", "1h"}});
  const std::string manifest =
      WriteFile("secretfs.yaml",
                "stores:\n  team:\n    vault:\n      server: " + vault().address() +
                    "\n      path: secret\n      version: v1\n      auth:\n        token:\n        "
                    "  env: VAULT_TOKEN\n"
                    "files:\n  - path: password\n    key: dynamic\n    property: password\n");
  const auto leases = [this] {
    const VaultAnswer answer =
        vault().Call("LIST", "sys/leases/lookup/secret/dynamic", nullptr, vault().root_token());
    return answer.status == 200 ? answer.body["data"]["keys"].size() : size_t{0};
  };
  Mount({"-f", manifest}, WithToken(vault().root_token()));
  EXPECT_EQ(ReadFile(mount_point() / "password"), "leased");
  EXPECT_EQ(leases(), 1u);
  Unmount();
  EXPECT_TRUE(Eventually([&] { return leases() == 0; }));
}

TEST_F(VaultMountTest, TakesExternalSecretsManifestsAsTheyAre) {
  Start();
  WriteKv("app/db", {{"password", "from-external-secret"}, {"user", "app"}});
  const std::string store_manifest =
      WriteFile("store.yaml",
                "apiVersion: external-secrets.io/v1\n"
                "kind: SecretStore\n"
                "metadata: {name: team}\n"
                "spec:\n  provider:\n    vault:\n      server: " +
                    vault().address() +
                    "\n      path: secret\n      version: v2\n"
                    "      auth:\n        tokenSecretRef: {name: vault-token, key: token}\n"
                    "---\napiVersion: v1\nkind: Secret\nmetadata: {name: vault-token}\n"
                    "stringData: {token: " +
                    vault().root_token() + "}\n");
  const std::string secret_manifest =
      WriteFile("external.yaml",
                "apiVersion: external-secrets.io/v1\n"
                "kind: ExternalSecret\n"
                "metadata: {name: app}\n"
                "spec:\n"
                "  secretStoreRef: {name: team, kind: SecretStore}\n"
                "  refreshInterval: 1m\n"
                "  data:\n"
                "    - secretKey: db-password\n"
                "      remoteRef: {key: app/db, property: password}\n"
                "  dataFrom:\n"
                "    - extract: {key: app/db}\n");
  Mount({"-f", secret_manifest, "-f", store_manifest});
  EXPECT_EQ(ReadFile(mount_point() / "db-password"), "from-external-secret");
  EXPECT_TRUE(Eventually([&] { return ReadFile(mount_point() / "user") == "app"; }));
}

TEST_F(VaultMountTest, TakesASecretProviderClassAsItIs) {
  Start();
  WriteKv("app/db", {{"password", "from-class"}});
  // The Kubernetes login itself is tested in tests/integration/vault; here its JWT method's answer
  // would need a cluster, so `check` proves that the manifest is understood and names the files.
  const std::string manifest = WriteFile("class.yaml",
                                         "apiVersion: secrets-store.csi.x-k8s.io/v1\n"
                                         "kind: SecretProviderClass\n"
                                         "metadata: {name: app}\n"
                                         "spec:\n"
                                         "  provider: vault\n"
                                         "  parameters:\n"
                                         "    roleName: app\n"
                                         "    vaultAddress: " +
                                             vault().address() +
                                             "\n"
                                             "    objects: |\n"
                                             "      - objectName: db-password\n"
                                             "        secretPath: secret/data/app/db\n"
                                             "        secretKey: password\n");
  const Finished check = Secretfs({"check", "-f", manifest});
  EXPECT_EQ(check.exit_code, 0) << check.errors;
  Mount({"-f", manifest});
  struct stat link{};
  EXPECT_EQ(lstat((mount_point() / "db-password").c_str(), &link), 0);
  EXPECT_TRUE(S_ISLNK(link.st_mode)) << "Kubernetes kinds mount in the atomic layout";
}

}  // namespace
}  // namespace secretfs::testing
