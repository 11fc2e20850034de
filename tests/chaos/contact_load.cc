#include "tests/chaos/contact_load.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clm/contact/v1/contact_service.grpc.pb.h"
#include "clm/contact/v1/timeline_service.grpc.pb.h"
#include "libs/base/uuid.h"

namespace clm::chaos {
namespace {

using ContactStub = contact::v1::ContactService::Stub;
using TimelineStub = contact::v1::TimelineService::Stub;

constexpr char kHot[] = "hot";

void SetTime(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t micros = absl::ToUnixMicros(time);
  out->set_seconds(micros / 1'000'000);
  out->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
}

std::string ContactName(const std::string& tenant, const std::string& name) {
  return absl::StrCat("tenants/", tenant, "/contacts/", IdOf(name));
}

}  // namespace

std::string IdOf(const std::string& text) { return Uuid::V5(Uuid(), text).ToString(); }

ContactLoad::ContactLoad(Caller* caller, Options options)
    : caller_(caller), options_(std::move(options)) {
  for (const std::string& tenant : options_.tenants) Create(tenant, kHot);
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Run(); });
}

ContactLoad::~ContactLoad() { Finish(); }

int ContactLoad::expected_answers() const {
  const int per_contact = 1 + 2 * options_.updates;
  return static_cast<int>(options_.tenants.size()) * (1 + options_.contacts * per_contact);
}

void ContactLoad::AwaitAnswers(int count) {
  absl::MutexLock lock(&mu_);
  const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return answers_ >= count || answers_ >= expected_answers();
  };
  mu_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
}

void ContactLoad::Finish() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void ContactLoad::Answered(std::function<void()> repeat) {
  absl::MutexLock lock(&mu_);
  ++answers_;
  repeats_.push_back(std::move(repeat));
}

void ContactLoad::Run() {
  const int tenants = static_cast<int>(options_.tenants.size());
  for (int i = next_++; i < tenants * options_.contacts; i = next_++) {
    RunContact(options_.tenants[i % tenants], i / tenants);
  }
}

contact::v1::Contact ContactLoad::Create(const std::string& tenant, const std::string& name) {
  contact::v1::CreateContactRequest create;
  create.set_parent(absl::StrCat("tenants/", tenant));
  create.set_contact_id(IdOf(name));
  create.set_request_id(IdOf(absl::StrCat("create ", name)));
  create.mutable_contact()->set_email(absl::StrCat(IdOf(name), "@example.com"));
  create.mutable_contact()->set_given_name("v0");
  auto contact = caller_->Call(&ContactStub::CreateContact, create);
  if (!contact.ok()) {
    ADD_FAILURE() << contact.status();
    return {};
  }
  Answered([this, create, first = contact->SerializeAsString()] {
    bool replayed = false;
    const auto again = caller_->Call(&ContactStub::CreateContact, create, &replayed);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->SerializeAsString(), first);
    EXPECT_TRUE(replayed);
  });
  absl::MutexLock lock(&mu_);
  contacts_[contact->name()] = *contact;
  return *std::move(contact);
}

void ContactLoad::RunContact(const std::string& tenant, int number) {
  contact::v1::Contact contact = Create(tenant, absl::StrCat("contact ", number));
  for (int step = 1; step <= options_.updates; ++step) {
    contact::v1::UpdateContactRequest update;
    update.mutable_contact()->set_name(contact.name());
    // Conditional: an update that is applied twice, or not at all, makes the next one fail.
    update.mutable_contact()->set_etag(contact.etag());
    update.mutable_contact()->set_given_name(absl::StrCat("v", step));
    update.mutable_update_mask()->add_paths("given_name");
    update.set_request_id(IdOf(absl::StrCat("update ", number, " ", step)));
    auto updated = caller_->Call(&ContactStub::UpdateContact, update);
    ASSERT_TRUE(updated.ok()) << updated.status();
    contact = *std::move(updated);
    Answered([this, update, first = contact.SerializeAsString()] {
      bool replayed = false;
      const auto again = caller_->Call(&ContactStub::UpdateContact, update, &replayed);
      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_EQ(again->SerializeAsString(), first);
      EXPECT_TRUE(replayed);
    });
    Ingest(tenant, {contact.name(), ContactName(tenant, kHot)}, number, step);
  }
  absl::MutexLock lock(&mu_);
  contacts_[contact.name()] = contact;
}

void ContactLoad::Ingest(const std::string& tenant, const std::vector<std::string>& contacts,
                         int number, int step) {
  contact::v1::IngestEventsRequest request;
  request.set_parent(absl::StrCat("tenants/", tenant));
  for (size_t i = 0; i < contacts.size(); ++i) {
    auto* event = request.add_events();
    event->set_event_id(IdOf(absl::StrCat("event ", number, " ", step, " ", i)));
    event->set_contact(contacts[i]);
    event->set_type("purchase");
    SetTime(absl::Now() - options_.ago(number, step), event->mutable_occur_time());
    event->set_amount_minor(100 * step);
    event->set_currency("EUR");
  }
  const auto response = caller_->Call(&TimelineStub::IngestEvents, request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->results_size(), request.events_size());
  for (const auto& result : response->results()) {
    EXPECT_EQ(result.status().code(), 0) << result.ShortDebugString();
  }
  {
    absl::MutexLock lock(&mu_);
    for (const auto& event : request.events()) {
      events_.insert(absl::StrCat(tenant, " ", event.contact(), " ", event.event_id()));
    }
  }
  Answered([this, request] {
    const auto again = caller_->Call(&TimelineStub::IngestEvents, request);
    ASSERT_TRUE(again.ok()) << again.status();
    for (int i = 0; i < again->results_size(); ++i) {
      EXPECT_TRUE(again->results(i).duplicate());
      EXPECT_EQ(again->results(i).contact(), request.events(i).contact());
    }
  });
}

void ContactLoad::ExpectExactlyOnce(const clm::testing::Database& database) {
  const std::string ours =
      absl::StrCat(" WHERE tenant_id IN ('", absl::StrJoin(options_.tenants, "', '"), "')");
  const auto ask = [&](const std::string& what) {
    return Ask(database.admin_dsn, absl::StrCat(what, ours));
  };
  const auto state = [&] {
    return absl::StrJoin(
        {ask("SELECT md5(string_agg(c::text, ' ' ORDER BY id, tenant_id)) FROM contact c"),
         ask("SELECT md5(string_agg(e::text, ' ' ORDER BY event_id, tenant_id)) FROM event e"),
         ask("SELECT count(*) FROM journal"), ask("SELECT count(*) FROM request")},
        " ");
  };
  const std::string before = state();
  std::vector<std::function<void()>> repeats;
  {
    absl::MutexLock lock(&mu_);
    EXPECT_EQ(answers_, expected_answers());
    std::vector<std::string> contacts;
    for (const auto& [name, acknowledged] : contacts_) {
      contact::v1::GetContactRequest get;
      get.set_name(name);
      get.set_consistency(contact::v1::CONSISTENCY_STRONG);
      const auto now = caller_->Call(&ContactStub::GetContact, get);
      ASSERT_TRUE(now.ok()) << now.status();
      EXPECT_EQ(now->SerializeAsString(), acknowledged.SerializeAsString());
    }
    EXPECT_EQ(ask("SELECT count(*) FROM contact"), absl::StrCat(contacts_.size()));
    // One version for the creation and one for each update; creations and updates are what was
    // given a request_id.
    const size_t hot = options_.tenants.size();
    const size_t changes = hot + (contacts_.size() - hot) * (1 + options_.updates);
    EXPECT_EQ(ask("SELECT sum(version) FROM contact"), absl::StrCat(changes));
    EXPECT_EQ(ask("SELECT count(*) FROM request"), absl::StrCat(changes));
    EXPECT_EQ(Ask(database.admin_dsn,
                  absl::StrCat("SELECT format('%s tenants/%s/contacts/%s %s', tenant_id, "
                               "tenant_id, contact_id, event_id) FROM event",
                               ours, " ORDER BY 1")),
              absl::StrJoin(events_, "\n"));
    repeats = repeats_;
  }
  for (const auto& repeat : repeats) repeat();
  EXPECT_EQ(state(), before) << "a repeat has changed something";
}

}  // namespace clm::chaos
