#include "tests/conformance/registration.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/conformance/case_run.h"
#include "tests/conformance/cases.h"

namespace secretfs::conformance {
namespace {

// A store is started for its first case and stays for the others.
struct Shared {
  StoreKind kind;
  std::unique_ptr<StoreUnderTest> store;
};

class ConformanceTest : public ::testing::Test {
 public:
  ConformanceTest(std::shared_ptr<Shared> shared, const Case& the_case)
      : shared_(std::move(shared)), case_(the_case) {}

  void TestBody() override {
    const auto reason = shared_->kind.not_applicable.find(case_.name);
    if (reason != shared_->kind.not_applicable.end()) GTEST_SKIP() << reason->second;
    if (shared_->store == nullptr) shared_->store = shared_->kind.start();
    CaseRun run(*shared_->store, case_);
    case_.run(run);
  }

 private:
  const std::shared_ptr<Shared> shared_;
  const Case& case_;
};

}  // namespace

bool RegisterConformanceTests(StoreKind kind) {
  auto shared = std::make_shared<Shared>(Shared{std::move(kind), nullptr});
  for (const Case& the_case : Cases()) {
    ::testing::RegisterTest(shared->kind.name.c_str(), the_case.name.c_str(), nullptr, nullptr,
                            __FILE__, __LINE__, [shared, &the_case]() -> ::testing::Test* {
                              return std::make_unique<ConformanceTest>(shared, the_case).release();
                            });
  }
  return true;
}

}  // namespace secretfs::conformance
