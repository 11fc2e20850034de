#include "tools/clm/cli.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "libs/base/error.h"
#include "libs/rpc/client.h"
#include "tools/clm/values.h"

namespace clm::cli {
namespace {

// "host:port" for every service, or "contact=host:port,lifecycle=host:port".
std::string TargetIn(const std::string& address, const std::string& service) {
  if (!absl::StrContains(address, '=')) return address;
  for (const absl::string_view part : absl::StrSplit(address, ',')) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (pair.first == service) return pair.second;
  }
  return "";
}

}  // namespace

Cli::Cli(CLI::App& app)
    : top_(Command::Top(app)),
      screen_(terminal::Screen::Of(STDOUT_FILENO)),
      error_screen_(terminal::Screen::Of(STDERR_FILENO)) {
  top_.AddOption("-o,--output", output_, "table, wide, json, yaml, csv, ndjson or name")
      .TypeName("FORMAT")
      .ShowDefault();
  top_.AddOption("--tenant", tenant_, "whose data; also CLM_TENANT")
      .Environment("CLM_TENANT")
      .ShowDefault();
  top_.AddOption("--address", address_,
                 "a suite elsewhere, host:port; default: the one of the data folder; also "
                 "CLM_ADDRESS");
  top_.AddOption("--token", token_, "for --address; also CLM_TOKEN");
  top_.AddOption("--profile", profile_, "one of several suites on this machine").ShowDefault();
  top_.AddOption("--data,--data-dir", data_,
                 "data folder; default: $XDG_DATA_HOME/clm/PROFILE, as root /var/lib/clm/PROFILE; "
                 "also CLM_DATA")
      .TypeName("FOLDER");
}

Command Cli::AddGroup(const std::string& name, const std::string& description) {
  return top_.AddGroup(name, description);
}

Command Cli::AddCommand(Command parent, const std::string& name, const std::string& description,
                        const std::vector<std::string>& examples,
                        std::function<absl::Status()> run) {
  return parent.AddCommand(name, description,
                           absl::StrCat("Examples:\n  ", absl::StrJoin(examples, "\n  ")),
                           [this, run = std::move(run)] { action_ = run; });
}

absl::Status Cli::Run() {
  const auto from_environment = [](const char* name, std::string& value) {
    const char* text = std::getenv(name);
    if (value.empty() && text != nullptr) value = text;
  };
  // A folder that is named on the line is meant, whatever the environment says.
  if (!top_.Given("--data") && !top_.Given("--profile")) {
    from_environment("CLM_ADDRESS", address_);
    from_environment("CLM_DATA", data_);
  }
  from_environment("CLM_TOKEN", token_);
  return action_ ? action_() : absl::OkStatus();
}

absl::StatusOr<terminal::Format> Cli::Format() const { return terminal::ParseFormat(output_); }

absl::Status Cli::Print(const std::vector<const google::protobuf::Message*>& messages, bool many,
                        const std::function<terminal::Table()>& table) const {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, Format());
  if (terminal::IsMessageFormat(format)) {
    return terminal::WriteMessages(messages, many, format, std::cout);
  }
  if (many || format == terminal::Format::kCsv || format == terminal::Format::kName) {
    terminal::Write(table(), format, screen_, std::cout);
  } else {
    terminal::WriteOne(table(), format, screen_, std::cout);
  }
  return absl::OkStatus();
}

absl::Status Cli::PrintReport(const google::protobuf::Message& message,
                              const std::function<terminal::Table()>& table) const {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, Format());
  if (terminal::IsMessageFormat(format)) {
    return terminal::WriteMessages({&message}, false, format, std::cout);
  }
  const terminal::Table rows = table();
  if (format == terminal::Format::kName) {
    // A report with a line for each field has no column of names, but may be of something named.
    const auto& columns = rows.columns();
    const bool lists_names = std::any_of(columns.begin(), columns.end(),
                                         [](const auto& column) { return column.key == "name"; });
    const auto* name = message.GetDescriptor()->FindFieldByName("name");
    if (!lists_names && name != nullptr && !name->is_repeated() &&
        name->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      std::cout << LastPart(message.GetReflection()->GetString(message, name)) << std::endl;
      return absl::OkStatus();
    }
  }
  terminal::Write(rows, format, screen_, std::cout);
  return absl::OkStatus();
}

absl::Status Cli::PrintTable(const terminal::Table& table) const {
  CLM_ASSIGN_OR_RETURN(const terminal::Format format, Format());
  terminal::Write(table, format, screen_, std::cout);
  return absl::OkStatus();
}

void Cli::Note(absl::string_view text) const {
  std::cerr << terminal::Paint(error_screen_, terminal::Tone::kMuted, text) << std::endl;
}

Home Cli::home() const {
  return Home(data_.empty() ? Home::DefaultFolder(profile_)
                            : std::filesystem::absolute(data_).lexically_normal().string());
}

void Cli::UseHome(const std::string& folder) {
  data_ = folder;
  address_.clear();
  {
    absl::MutexLock lock(&channels_mu_);
    channels_.clear();
  }
}

std::string Cli::tenant_name() const { return absl::StrCat("tenants/", tenant_); }

std::string Cli::Name(absl::string_view collection, absl::string_view id) const {
  if (absl::StartsWith(id, "tenants/")) return std::string(id);
  return absl::StrCat(tenant_name(), "/", collection, "/", id);
}

absl::StatusOr<std::string> Cli::ContactName(const std::string& text) {
  if (absl::StartsWith(text, "tenants/") || Uuid::Parse(text)) return Name("contacts", text);
  contact::v1::LookupContactRequest request;
  request.set_parent(tenant_name());
  request.set_value(text);
  if (absl::StrContains(text, '@')) {
    request.set_type("email");
  } else if (absl::StartsWith(text, "+")) {
    request.set_type("phone");
  } else if (const size_t colon = text.find(':'); colon != std::string::npos) {
    request.set_type(text.substr(0, colon));
    request.set_value(text.substr(colon + 1));
  } else {
    return error::InvalidField(
        "CONTACT", absl::StrCat("'", text,
                                "' is neither an id, a name, an e-mail address, a phone number "
                                "(+49...) nor TYPE:VALUE of an external id"));
  }
  CLM_ASSIGN_OR_RETURN(const contact::v1::Contact contact,
                       Call(&contact::v1::ContactService::Stub::LookupContact, request));
  return contact.name();
}

std::string Cli::ServiceOf(const google::protobuf::Descriptor& request) {
  // "clm.contact.v1"
  const std::vector<std::string> parts = absl::StrSplit(request.file()->package(), '.');
  return parts.size() > 1 ? parts[1] : "";
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Cli::Channel(const std::string& service) {
  absl::MutexLock lock(&channels_mu_);
  if (const auto it = channels_.find(service); it != channels_.end()) return it->second;
  std::string target;
  if (!address_.empty()) {
    target = TargetIn(address_, service);
    if (target.empty()) {
      return error::InvalidField("--address", absl::StrCat("names no address for ", service));
    }
  } else {
    CLM_ASSIGN_OR_RETURN(const State state, home().ReadState());
    const auto it = state.targets.find(service);
    if (it == state.targets.end()) {
      return error::Precondition("SERVICE_MISSING",
                                 absl::StrCat("this suite does not run the service ", service));
    }
    target = it->second;
  }
  return channels_[service] = rpc::NewChannel(target);
}

void Cli::Prepare(absl::Duration timeout, grpc::ClientContext* context) const {
  // On the private socket nobody asks for a token, and showing one would only lessen the rights.
  rpc::PrepareContext({.service = "clm-cli", .token = local() ? "" : token_}, timeout, context);
}

}  // namespace clm::cli
