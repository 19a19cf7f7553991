// Every YAML block of docs/manifest.md is a manifest that is read without a problem or warning, and
// the page names every field of secretfs.yaml.

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "tests/unit/k8s/parse_helpers.h"

namespace secretfs::k8s {
namespace {

struct Block {
  int line = 0;
  std::string text;
};

std::string ReadPage() {
  std::ifstream page(SECRETFS_SOURCE_DIR "/docs/manifest.md");
  return {std::istreambuf_iterator<char>(page), {}};
}

std::vector<Block> YamlBlocks(const std::string& page) {
  std::vector<Block> blocks;
  bool inside = false;
  int line = 0;
  for (size_t begin = 0; begin < page.size();) {
    const size_t end = std::min(page.find('\n', begin), page.size());
    const std::string text = page.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (text == "```yaml") {
      inside = true;
      blocks.push_back({line, ""});
    } else if (text == "```") {
      inside = false;
    } else if (inside) {
      blocks.back().text += text + "\n";
    }
  }
  return blocks;
}

TEST(Documentation, EveryYamlBlockIsAManifest) {
  const std::vector<Block> blocks = YamlBlocks(ReadPage());
  ASSERT_GE(blocks.size(), 5u);
  for (const Block& block : blocks) {
    const Manifest manifest =
        ParseOk({{Format("docs/manifest.md, block at line {}", block.line), block.text}});
    EXPECT_THAT(manifest.warnings, ::testing::IsEmpty());
  }
}

TEST(Documentation, NamesEveryField) {
  const std::string page = ReadPage();
  for (const char* field : {"apiVersion",
                            "stores",
                            "files",
                            "browse",
                            "mount",
                            "policy",
                            "path",
                            "store",
                            "key",
                            "version",
                            "property",
                            "decoding",
                            "encoding",
                            "mode",
                            "prefix",
                            "layout",
                            "uid",
                            "gid",
                            "directoryMode",
                            "audit",
                            "ttl",
                            "maxStale",
                            "staleIfError",
                            "negativeTtl",
                            "deadline",
                            "graceOnDelete",
                            "server",
                            "namespace",
                            "caBundle",
                            "caProvider",
                            "tls",
                            "headers",
                            "auth",
                            "caFile",
                            "caDirectory",
                            "clientCertificateFile",
                            "clientKeyFile",
                            "serverName",
                            "skipVerify",
                            "token",
                            "tokenSecretRef",
                            "appRole",
                            "roleId",
                            "roleRef",
                            "secretId",
                            "secretRef",
                            "secretIdIsWrapped",
                            "jwt",
                            "kubernetes",
                            "mountPath",
                            "role",
                            "file",
                            "env",
                            "passphrase",
                            "systemdCredential"}) {
    EXPECT_THAT(page, ::testing::HasSubstr(Format("`{}`", field)));
  }
}

}  // namespace
}  // namespace secretfs::k8s
