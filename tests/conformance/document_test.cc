// docs/conformance.md says what cases.h and the stores say. To write the tables anew after a
// change: SECRETFS_WRITE_DOCUMENT=1 conformance_document_test

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/conformance/aws_store.h"
#include "tests/conformance/azure_store.h"
#include "tests/conformance/cases.h"
#include "tests/conformance/gcp_store.h"
#include "tests/conformance/kubernetes_store.h"
#include "tests/conformance/local_store.h"
#include "tests/conformance/vault_store.h"

namespace secretfs::conformance {
namespace {

constexpr char kDocument[] = SECRETFS_SOURCE_DIR "/docs/conformance.md";
constexpr std::string_view kBegin =
    "<!-- tests/conformance/document_test.cc checks what follows -->\n";
constexpr std::string_view kEnd = "<!-- end of what is checked -->\n";

std::vector<StoreKind> AllStoreKinds() {
  return {LocalStoreKind(), VaultStoreKind(), AwsSecretsManagerKind(), AwsParameterStoreKind(),
          AzureStoreKind(), GcpStoreKind(),   KubernetesStoreKind()};
}

std::string ErrnoName(int error) { return error == 0 ? "–" : strerrorname_np(error); }

// The number of a reason, counted in order of appearance.
size_t NumberOf(const std::string& reason, std::vector<std::string>& reasons) {
  for (size_t i = 0; i < reasons.size(); ++i) {
    if (reasons[i] == reason) return i + 1;
  }
  reasons.push_back(reason);
  return reasons.size();
}

std::string Tables(const std::vector<StoreKind>& kinds) {
  std::string text = "| case | what happens | what the reader gets | errno |\n|---|---|---|---|\n";
  for (const Case& the_case : Cases()) {
    text += Format("| {} | {} | {} | {} |\n", the_case.name, the_case.situation, the_case.outcome,
                   ErrnoName(the_case.error));
  }
  text += "\n| case |";
  for (const StoreKind& kind : kinds) text += Format(" {} |", kind.name);
  text += "\n|---|";
  for (size_t i = 0; i < kinds.size(); ++i) text += "---|";
  text += "\n| *run against* |";
  for (const StoreKind& kind : kinds) text += Format(" {} |", kind.server);
  text += "\n";
  std::vector<std::string> reasons;
  for (const Case& the_case : Cases()) {
    text += Format("| {} |", the_case.name);
    for (const StoreKind& kind : kinds) {
      const auto reason = kind.not_applicable.find(the_case.name);
      text += reason == kind.not_applicable.end()
                  ? " passes |"
                  : Format(" ({}) |", NumberOf(reason->second, reasons));
    }
    text += "\n";
  }
  text += "\n";
  for (size_t i = 0; i < reasons.size(); ++i) text += Format("{}. {}\n", i + 1, reasons[i]);
  return text;
}

TEST(ConformanceDocument, HoldsTheTables) {
  std::ifstream stream(kDocument);
  const std::string document{std::istreambuf_iterator<char>(stream), {}};
  const size_t begin = document.find(kBegin);
  const size_t end = document.find(kEnd);
  ASSERT_TRUE(begin < end && end != std::string::npos) << kDocument << " has lost its marks";
  const size_t first = begin + kBegin.size();
  const std::string tables = "\n" + Tables(AllStoreKinds()) + "\n";
  if (std::getenv("SECRETFS_WRITE_DOCUMENT") != nullptr) {
    std::ofstream(kDocument) << document.substr(0, first) << tables << document.substr(end);
    return;
  }
  EXPECT_EQ(document.substr(first, end - first), tables)
      << "run this test with SECRETFS_WRITE_DOCUMENT=1";
}

TEST(ConformanceDocument, EveryExceptionIsOfACase) {
  std::set<std::string> names;
  for (const Case& the_case : Cases()) EXPECT_TRUE(names.insert(the_case.name).second);
  for (const StoreKind& kind : AllStoreKinds()) {
    EXPECT_FALSE(kind.server.empty()) << kind.name;
    for (const auto& [name, reason] : kind.not_applicable) {
      EXPECT_TRUE(names.contains(name)) << kind.name << ": " << name;
      EXPECT_FALSE(reason.empty());
    }
  }
}

}  // namespace
}  // namespace secretfs::conformance
