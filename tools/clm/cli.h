// What the groups of commands share: the global flags, how a command is declared, where its answer
// goes, and how the suite is called. Not thread-safe, but for Call and Channel once a first call
// was made.
#ifndef CLM_TOOLS_CLM_CLI_H_
#define CLM_TOOLS_CLM_CLI_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "google/protobuf/repeated_field.h"
#include "libs/base/clock.h"
#include "libs/base/status_macros.h"
#include "libs/rpc/status.h"
#include "tools/clm/command.h"
#include "tools/clm/home.h"
#include "tools/terminal/screen.h"
#include "tools/terminal/table.h"

namespace clm::cli {

class Cli {
 public:
  // Adds the global flags to `app`, which must outlive this.
  explicit Cli(CLI::App& app);

  // A group of commands, which asks for one of them.
  Command AddGroup(const std::string& name, const std::string& description);
  // A command. `run` is called after the whole line was parsed. `examples`: lines that begin with
  // "clm ", shown by --help.
  Command AddCommand(Command parent, const std::string& name, const std::string& description,
                     const std::vector<std::string>& examples, std::function<absl::Status()> run);
  // Runs the command that was given; OK when there was none.
  absl::Status Run();

  // The answer's form; INVALID_ARGUMENT for an unknown one.
  absl::StatusOr<terminal::Format> Format() const;
  const std::string& output() const { return output_; }
  const terminal::Screen& screen() const { return screen_; }
  const terminal::Screen& error_screen() const { return error_screen_; }
  // Prints an answer that the format tells how: messages for programs, the table for the rest.
  // `many`: an array also of one.
  absl::Status Print(const std::vector<const google::protobuf::Message*>& messages, bool many,
                     const std::function<terminal::Table()>& table) const;
  // Prints a report: one message for programs, a table of many rows for the rest; as a name that of
  // the message, where the table has no column of names.
  absl::Status PrintReport(const google::protobuf::Message& message,
                           const std::function<terminal::Table()>& table) const;
  absl::Status PrintTable(const terminal::Table& table) const;
  // A line for people on the error stream.
  void Note(absl::string_view text) const;

  // The data folder of --data and --profile.
  Home home() const;
  // From now on: the suite of `folder`, whatever flags and environment say.
  void UseHome(const std::string& folder);
  const std::string& tenant() const { return tenant_; }
  std::string tenant_name() const;
  // "tenants/demo/contacts/ID" of an id; a full name stays as it is.
  std::string Name(absl::string_view collection, absl::string_view id) const;
  // The contact that `text` means: a name, an id, an e-mail address, a phone number (+49...) or
  // "TYPE:VALUE" of an external id.
  absl::StatusOr<std::string> ContactName(const std::string& text);

  // The channel to the service whose protos are in package "clm.SERVICE.v1".
  absl::StatusOr<std::shared_ptr<grpc::Channel>> Channel(const std::string& service);
  // True when the calls go to the suite of the data folder, not to an address that was given.
  bool local() const { return address_.empty(); }
  void Prepare(absl::Duration timeout, grpc::ClientContext* context) const;

  // One call. Which service is told by the package of the request.
  template <class Stub, class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request, absl::Duration timeout = absl::Minutes(1)) {
    CLM_ASSIGN_OR_RETURN(const auto channel, Channel(ServiceOf(*Request::descriptor())));
    Stub stub(channel);
    grpc::ClientContext context;
    Prepare(timeout, &context);
    Response response;
    CLM_RETURN_IF_ERROR(rpc::FromGrpc((stub.*method)(&context, request, &response)));
    return response;
  }

  // A call that is answered in parts; merged in their order they are the answer.
  template <class Stub, class Request, class Response>
  absl::StatusOr<Response> CallForParts(std::unique_ptr<grpc::ClientReader<Response>> (
                                            Stub::*method)(grpc::ClientContext*, const Request&),
                                        const Request& request, absl::Duration timeout) {
    CLM_ASSIGN_OR_RETURN(const auto channel, Channel(ServiceOf(*Request::descriptor())));
    Stub stub(channel);
    grpc::ClientContext context;
    Prepare(timeout, &context);
    const auto reader = (stub.*method)(&context, request);
    Response whole, part;
    while (reader->Read(&part)) whole.MergeFrom(part);
    CLM_RETURN_IF_ERROR(rpc::FromGrpc(reader->Finish()));
    return whole;
  }

  // All pages up to `limit` items (0: no limit); says so when there are more.
  template <class Stub, class Request, class Response, class Item>
  absl::StatusOr<std::vector<Item>> List(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
      Request request, const google::protobuf::RepeatedPtrField<Item>& (Response::*items)() const,
      int64_t limit) {
    constexpr int kPage = 1000;
    std::vector<Item> all;
    for (;;) {
      const int64_t left = limit == 0 ? kPage : limit - static_cast<int64_t>(all.size());
      request.set_page_size(static_cast<int32_t>(std::min<int64_t>(left, kPage)));
      CLM_ASSIGN_OR_RETURN(Response response, Call(method, request));
      for (const Item& item : (response.*items)()) all.push_back(item);
      request.set_page_token(response.next_page_token());
      if (request.page_token().empty()) return all;
      if (limit != 0 && static_cast<int64_t>(all.size()) >= limit) {
        Note("there are more; --limit 0 shows all");
        return all;
      }
    }
  }

 private:
  static std::string ServiceOf(const google::protobuf::Descriptor& request);

  Command top_;
  std::function<absl::Status()> action_;
  std::string data_, profile_ = "default", tenant_ = "demo", address_, token_, output_ = "table";
  terminal::Screen screen_, error_screen_;
  // Imports call on several threads.
  absl::Mutex channels_mu_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(channels_mu_);
};

template <class Message>
std::vector<const google::protobuf::Message*> Pointers(const std::vector<Message>& messages) {
  std::vector<const google::protobuf::Message*> pointers;
  for (const Message& message : messages) pointers.push_back(&message);
  return pointers;
}

}  // namespace clm::cli

#endif  // CLM_TOOLS_CLM_CLI_H_
