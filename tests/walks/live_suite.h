// The whole suite in this process, on databases of its own, and calls of any of its RPCs by
// descriptor. For tests; failures of the set-up are test failures.
#ifndef CLM_TESTS_WALKS_LIVE_SUITE_H_
#define CLM_TESTS_WALKS_LIVE_SUITE_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/channel.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "clm/options/v1/options.pb.h"
#include "libs/app/server.h"
#include "libs/testing/servers.h"

namespace clm::walks {

using Method = const google::protobuf::MethodDescriptor*;

// Every method of every service in protos/clm, in the order of its files. A service that the
// program does not hold fails the test.
std::vector<Method> AllMethods();
// The only method of that name.
Method MethodNamed(const std::string& name);
const options::v1::MethodPolicy& PolicyOf(Method method);
// Whether it is for tokens of a tenant.
bool IsForTenants(Method method);

std::unique_ptr<google::protobuf::Message> NewMessage(const google::protobuf::Descriptor* type);

// What a call came to.
struct Outcome {
  absl::Status status;
  std::vector<std::string> responses;  // Serialized; several of a stream.
};

// Not thread-safe.
class LiveSuite {
 public:
  LiveSuite();

  // Makes a tenant and returns a token that has all of its rights.
  std::string AddTenant(const std::string& id);

  // Over TCP with a token; as the suite itself without one. `requests`: serialized, several for a
  // method that takes a stream.
  Outcome Call(Method method, const std::vector<std::string>& requests, const std::string& token);
  // The same with messages in JSON, which must succeed; the first response.
  std::unique_ptr<google::protobuf::Message> Do(const std::string& method,
                                                const std::vector<std::string>& requests,
                                                const std::string& token);

  // The first value of the answer to a question put to a service's database by its superuser.
  std::string Ask(const std::string& service, const std::string& sql) const;
  // All that the journals and stored answers of all services have come to.
  std::string Heads() const;

 private:
  std::map<std::string, clm::testing::Database> databases_;
  std::unique_ptr<app::Server> server_;
  std::shared_ptr<grpc::Channel> tcp_;
  std::shared_ptr<grpc::Channel> own_;
};

}  // namespace clm::walks

#endif  // CLM_TESTS_WALKS_LIVE_SUITE_H_
