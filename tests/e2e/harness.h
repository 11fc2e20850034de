// What the end-to-end tests are made of: data folders with suites that `clm up` started, the
// command line as a person or a script calls it, and the API over TCP with a token. Nothing here
// knows more of the suite than its users do.
#ifndef CLM_TESTS_E2E_HARNESS_H_
#define CLM_TESTS_E2E_HARNESS_H_

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "libs/stack/child_process.h"
#include "libs/testing/eventually.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"

namespace clm::e2e {

using clm::testing::Eventually;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// Whether this run is about one process per service.
bool Distributed();

// The exit codes that the command line promises.
inline constexpr int kUsage = 2, kNotFound = 3, kConflict = 4, kUnavailable = 5, kPermission = 6;

// What a program said and how it ended.
struct Answer {
  int code = 0;  // 128 + the signal that ended it.
  std::string out, err;
  // `out` as JSON; a failed expectation and null when it is none.
  json Json() const;
};
std::ostream& operator<<(std::ostream& os, const Answer& answer);

MATCHER(Succeeded, "exits with 0") {
  *result_listener << arg;
  return arg.code == 0;
}
// EXPECT_THAT(Clm({...}), FailedWith(kUsage, HasSubstr("--model"))): code and what stderr says.
MATCHER_P2(FailedWith, code, said, absl::StrCat("exits with ", code)) {
  *result_listener << arg;
  return arg.code == code && ::testing::ExplainMatchResult(said, arg.err, result_listener);
}

// Runs a program to its end.
Answer RunProgram(const std::vector<std::string>& argv,
                  const std::map<std::string, std::string>& env = {},
                  const std::string& input = "");

// A data folder, and at most one suite on it at a time. It goes with this object, and so does the
// suite.
class Place {
 public:
  Place() = default;
  ~Place();

  std::string data() const { return folder_.File("data"); }
  std::string File(const std::string& name) const { return folder_.File(name); }
  // Writes a file beside the data folder and returns its path.
  std::string Write(const std::string& name, const std::string& content) const;

  // `clm ARGS` on this data folder.
  Answer Clm(std::vector<std::string> args, const std::string& input = "") const;

  // `clm up` in the form of this run and on free ports, in the foreground of a process of its own.
  // Returns when the block is printed or the process has ended; fails the test in the latter case.
  stack::ChildProcess& Up(std::vector<std::string> flags = {});
  stack::ChildProcess& up() { return *up_; }
  // What `clm up` has printed so far.
  std::string Printed() const;
  // `clm down`, and the end of `clm up`.
  void Down();

  // What `clm status -o json` says; asked once per start.
  const json& Status();
  // "contact", "lifecycle", "access": its address over TCP.
  std::string Address(const std::string& service);

 private:
  const clm::testing::TempFolder folder_;
  std::unique_ptr<stack::ChildProcess> up_;
  json status_;
};

// The suite that most tests share, each with tenants of its own. Started by the first call, ended
// with the test binary.
Place& Suite();

// Calls over TCP as a tenant's program makes them. Thread-safe.
class Client {
 public:
  Client(Place& place, std::string token);

  // Which service is told by the package of the request.
  template <class Stub, class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) const {
    Stub stub(ChannelFor(Request::descriptor()->file()->package()));
    grpc::ClientContext context;
    rpc::PrepareContext({.service = "e2e", .token = token_}, absl::Seconds(60), &context);
    Response response;
    const absl::Status status = rpc::FromGrpc((stub.*method)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }

 private:
  std::shared_ptr<grpc::Channel> ChannelFor(const std::string& package) const;

  const std::string token_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_;
};

// A tenant of its own on the shared suite, made by the command line as its operator would.
class TenantTest : public ::testing::Test {
 protected:
  TenantTest();

  const std::string& tenant() const { return tenant_; }
  std::string parent() const { return "tenants/" + tenant_; }
  const std::string& token() const { return token_; }
  const Client& api() const { return *api_; }
  Place& suite() const { return Suite(); }

  // `clm --tenant TENANT ARGS` on the shared suite.
  Answer Clm(std::vector<std::string> args, const std::string& input = "") const;
  // The same with -o json, which must succeed.
  json Json(std::vector<std::string> args, const std::string& input = "") const;
  // Another tenant; its token has all of the tenant's rights.
  static std::string NewTenant();
  static std::string NewToken(const std::string& tenant, const std::string& scope = "admin");

  // A contact's name, made by the command line.
  std::string NewContact(const std::string& email) const;
  // An event by the command line; `at` as --at takes it.
  void Ingest(const std::string& type, const std::string& who, const std::string& at = "now",
              const std::string& amount = "10.00") const;
  // Waits until the customer is in this stage of the only model, "" for none.
  bool Reaches(const std::string& who, const std::string& stage) const;
  std::string StageOf(const std::string& who) const;

 private:
  std::string tenant_, token_;
  std::unique_ptr<Client> api_;
};

// The body of an HTTP GET of an address like http://127.0.0.1:9464/metrics.
std::string HttpGet(const std::string& url);

}  // namespace clm::e2e

#endif  // CLM_TESTS_E2E_HARNESS_H_
