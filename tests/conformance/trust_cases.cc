// Who the server is, who we are, and what time it is.

#include "base/status.h"
#include "base/text.h"
#include "tests/conformance/case_functions.h"

namespace secretfs::conformance {
namespace {

void RefusesTheCertificate(CaseRun& run, fakes::CertificateAndKey identity) {
  run.store().Put(run.Key(), run.Value("not to be sent"));
  run.UseTls(std::move(identity));
  const Outcome outcome = run.Read(run.Key());
  run.ExpectError(outcome);
  EXPECT_NE(MessageOf(outcome.status).find("certificate"), std::string_view::npos)
      << outcome.status;
  EXPECT_GE(run.proxy().connection_count(), 1u);
  EXPECT_EQ(run.proxy().request_count(), 0u);
}

void ReadsWithTheClockOff(CaseRun& run, Duration skew) {
  run.clock_skew = skew;
  run.store().Put(run.Key(), run.Value("at any time"));
  run.ExpectValue(run.Read(run.Key()), run.Value("at any time"));
  run.store().Put(run.Key(), run.Value("later"));
  run.ExpectValue(run.Refresh(run.Key()), run.Value("later"));
}

}  // namespace

void TlsExpired(CaseRun& run) { RefusesTheCertificate(run, run.authority().IssueExpired("store")); }

void TlsSelfSigned(CaseRun& run) { RefusesTheCertificate(run, fakes::SelfSigned("store")); }

void CredentialsExpire(CaseRun& run) {
  run.store().Put(run.Key(), run.Value("before"));
  run.ExpectValue(run.Read(run.Key()), run.Value("before"));
  run.store().ExpireCredentials();
  run.store().Put(run.Key(), run.Value("after"));
  run.ExpectValue(run.Refresh(run.Key()), run.Value("after"));
}

void CredentialFileReplaced(CaseRun& run) {
  run.credential_file = run.folder() / "credentials";
  run.store().ReplaceCredentials(run.credential_file);
  run.store().Put(run.Key(), run.Value("before"));
  run.ExpectValue(run.Read(run.Key()), run.Value("before"));
  run.store().ReplaceCredentials(run.credential_file);
  run.store().Put(run.Key(), run.Value("after"));
  run.ExpectValue(run.Refresh(run.Key()), run.Value("after"));
}

void ClockAhead(CaseRun& run) { ReadsWithTheClockOff(run, std::chrono::hours(1)); }

void ClockBehind(CaseRun& run) { ReadsWithTheClockOff(run, -std::chrono::hours(1)); }

}  // namespace secretfs::conformance
