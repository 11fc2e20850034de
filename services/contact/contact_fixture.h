// What the integration tests of the contact service start from: its module on a real database,
// called as another process of the suite would.
#ifndef CLM_SERVICES_CONTACT_CONTACT_FIXTURE_H_
#define CLM_SERVICES_CONTACT_CONTACT_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "clm/contact/v1/consent_service.grpc.pb.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/import_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "libs/app/server.h"
#include "libs/base/clock.h"
#include "libs/base/uuid.h"
#include "libs/journal/feed_module.h"
#include "libs/pg/pg.h"
#include "libs/rpc/client.h"
#include "libs/rpc/status.h"
#include "libs/testing/servers.h"
#include "libs/testing/status_matchers.h"
#include "services/contact/contact_proto.h"
#include "services/contact/module.h"

namespace clm::contact {

inline constexpr char kAcme[] = "tenants/acme";
inline constexpr char kGlobex[] = "tenants/globex";

// One running server and the stubs to call it.
struct ContactServer {
  explicit ContactServer(const clm::testing::Database& database, std::string redis_url = "",
                         const Clock* clock = nullptr, int near_cache_mb = 16) {
    auto feeds = std::make_shared<journal::FeedHandlers>();
    std::vector<std::unique_ptr<app::Module>> modules;
    modules.push_back(journal::NewFeedModule(feeds));
    modules.push_back(NewModule(feeds));
    auto started = app::Server::Start({.name = "clm-test",
                                       .secret = std::string(32, 's'),
                                       .dsns = {{"contact", database.app_dsn}},
                                       .redis_url = std::move(redis_url),
                                       .allow_unsafe_database = true,
                                       .near_cache_mb = near_cache_mb,
                                       .drain_delay = absl::ZeroDuration(),
                                       .clock = clock},
                                      std::move(modules));
    if (!started.ok()) {
      ADD_FAILURE() << started.status();
      std::abort();
    }
    server = *std::move(started);
    const auto channel = server->Channel();
    contacts = v1::ContactService::NewStub(channel);
    timeline = v1::TimelineService::NewStub(channel);
    consent = v1::ConsentService::NewStub(channel);
    imports = v1::ImportService::NewStub(channel);
  }

  std::unique_ptr<app::Server> server;
  std::unique_ptr<v1::ContactService::Stub> contacts;
  std::unique_ptr<v1::TimelineService::Stub> timeline;
  std::unique_ptr<v1::ConsentService::Stub> consent;
  std::unique_ptr<v1::ImportService::Stub> imports;
};

// Calls a method of a stub and waits for its answer.
template <class Stub, class Req, class Resp>
absl::StatusOr<Resp> Call(Stub& stub,
                          grpc::Status (Stub::*method)(grpc::ClientContext*, const Req&, Resp*),
                          const Req& request, bool* replayed = nullptr) {
  grpc::ClientContext context;
  rpc::PrepareContext({.service = "clm-test", .token = ""}, absl::Seconds(30), &context);
  Resp response;
  const absl::Status status = rpc::FromGrpc((stub.*method)(&context, request, &response));
  if (replayed != nullptr) {
    *replayed = context.GetServerTrailingMetadata().contains("clm-idempotent-replay");
  }
  if (!status.ok()) return status;
  return response;
}

class ContactTest : public ::testing::Test {
 protected:
  ContactTest()
      : database_(clm::testing::Postgres::Shared().CreateDatabase(FullSchema())),
        main_(database_) {}

  using Contacts = v1::ContactService::Stub;
  using Timeline = v1::TimelineService::Stub;
  using Consent = v1::ConsentService::Stub;
  using Imports = v1::ImportService::Stub;

  static v1::CreateContactRequest NewContact(const std::string& email,
                                             const std::string& parent = kAcme) {
    v1::CreateContactRequest request;
    request.set_parent(parent);
    request.mutable_contact()->set_email(email);
    request.mutable_contact()->set_given_name("Ada");
    return request;
  }
  absl::StatusOr<v1::Contact> Create(const std::string& email,
                                     const std::string& parent = kAcme) const {
    return Call(*main_.contacts, &Contacts::CreateContact, NewContact(email, parent));
  }
  absl::StatusOr<v1::Contact> Get(const std::string& name, bool strong = true) const {
    v1::GetContactRequest request;
    request.set_name(name);
    if (strong) request.set_consistency(v1::CONSISTENCY_STRONG);
    return Call(*main_.contacts, &Contacts::GetContact, request);
  }

  // The answer of the database to a question, as its owner past row security.
  int64_t Count(const std::string& sql) {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    int64_t count = -1;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) {
      auto rows = tx.ExecDynamic(sql);
      if (rows.ok()) count = (*rows)[0].Int(0);
      return rows.status();
    }));
    return count;
  }

  // The tables of the database that hold `text` anywhere, be it within bytes: "contact journal".
  std::string TablesWith(const std::string& text) {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    std::string tables;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Suite()}, [&](pg::Tx& tx) {
      auto rows = tx.ExecDynamic(absl::StrCat(
          "SELECT coalesce(string_agg(c.relname, ' ' ORDER BY c.relname), '') FROM pg_class c "
          "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND (xpath("
          "'/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I AS t "
          "WHERE strpos(lower(t::text), %L) > 0 OR strpos(t::text, %L) > 0', c.relname, lower('",
          text, "'), '", absl::BytesToHexString(text),
          "'), false, true, '')))[1]::text::bigint > 0"));
      if (rows.ok()) tables = std::string((*rows)[0].Text(0));
      return rows.status();
    }));
    return tables;
  }

  const clm::testing::Database database_;
  ContactServer main_;
};

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_CONTACT_FIXTURE_H_
