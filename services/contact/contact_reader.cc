#include "services/contact/contact_reader.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libs/base/error.h"
#include "libs/base/shard.h"
#include "libs/base/status_macros.h"
#include "libs/filter/sql.h"
#include "nlohmann/json.hpp"
#include "services/contact/attribute_index.h"
#include "services/contact/contact_work.h"

namespace clm::contact {
namespace {

#define CLM_CONTACT_COLUMNS                                                                \
  "c.tenant_id, c.id, c.status, c.email, c.phone, c.given_name, c.family_name, c.locale, " \
  "c.timezone, c.external_ids, c.attributes, c.source, c.merged_into, c.create_time, "     \
  "c.update_time, c.version, "                                                             \
  "ARRAY(SELECT a.alias_id::text FROM contact_alias a WHERE a.tenant_id = c.tenant_id "    \
  "AND a.contact_id = c.id ORDER BY a.alias_id)"
constexpr int kAliasColumn = 16;
constexpr int kPlaceColumn = 17;  // Of kGet: which of the ids asked for, from 1.
// Most contacts that an id is followed through.
constexpr int kAliasSteps = 5;

constexpr pg::Statement kGet{"contact.get", "SELECT " CLM_CONTACT_COLUMNS R"sql(, w.place
  FROM unnest($2::uuid[]) WITH ORDINALITY AS w (id, place)
  CROSS JOIN LATERAL (SELECT * FROM contact c WHERE c.tenant_id = $1::text AND c.id = w.id
    OFFSET 0) c)sql",
                             /*lookup=*/true};

constexpr pg::Statement kOwners{"contact.owners", R"sql(
  SELECT w.ord, i.contact_id
  FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS w (type, value, ord)
  CROSS JOIN LATERAL (SELECT * FROM contact_identifier i WHERE i.tenant_id = $1::text
    AND i.type = w.type AND i.value = w.value OFFSET 0) i)sql",
                                /*lookup=*/true};

constexpr pg::Statement kProfiles{"contact.profiles", R"sql(
  SELECT c.id, c.create_time, i.type, i.value, i.first_seen
  FROM unnest($2::uuid[]) AS w (id)
  CROSS JOIN LATERAL (SELECT * FROM contact c WHERE c.tenant_id = $1::text AND c.id = w.id
    OFFSET 0) c
  CROSS JOIN LATERAL (SELECT * FROM contact_identifier i WHERE i.tenant_id = c.tenant_id
    AND i.contact_id = c.id OFFSET 0) i
  ORDER BY c.id, i.type, i.value)sql",
                                  /*lookup=*/true};

constexpr pg::Statement kRegistry{"contact.registry", R"sql(
  SELECT id, type, display_name, enum_values, personal, create_time, version, indexed
  FROM attribute_definition WHERE tenant_id = $1::text ORDER BY id)sql"};

constexpr pg::Statement kIdentityPolicy{"contact.identity_policy", R"sql(
  SELECT policy, update_time, version FROM identity_policy WHERE tenant_id = $1::text)sql",
                                        /*lookup=*/true};

constexpr pg::Statement kCosts{"contact.costs", R"sql(
  SELECT id, contact_id, source, start_date, end_date, amount_minor, currency, create_time
  FROM acquisition_cost
  WHERE tenant_id = $1::text AND id > $2::uuid AND ($3::uuid IS NULL OR contact_id = $3::uuid)
  ORDER BY id LIMIT $4::int)sql"};

constexpr pg::Statement kHistory{"contact.history", R"sql(
  SELECT version, set_time, actor, source, changes, former, reason FROM attribute_change
  WHERE tenant_id = $1::text AND contact_id = $2::uuid AND version < $3::bigint
    AND ($4::text = '' OR changes ?| ARRAY[$4::text, 'contact.' || $4::text])
  ORDER BY version DESC LIMIT $5::int)sql"};

// A row is told from others by a digest of what it holds, salted with $7: the place of a page
// leaves the service, and what identifies a person must not.
constexpr pg::Statement kViolations{"contact.violations", R"sql(
  SELECT v.contact_id, v.kind, v.type, v.value, v.limit_type, array_to_string(v.profiles, ' '),
         v.event_id, v.find_time, v.event_count, v.digest
  FROM (
    SELECT contact_id, kind, type, value, limit_type, profiles, event_id, find_time, event_count,
           sha256($7::bytea || sha256(convert_to(type, 'UTF8'))
                  || sha256(convert_to(value, 'UTF8'))
                  || sha256(convert_to(limit_type, 'UTF8'))) AS digest
    FROM identity_violation
    WHERE tenant_id = $1::text AND ($2::uuid[] = '{}' OR contact_id = ANY ($2::uuid[]))
      AND contact_id >= $3::uuid) AS v
  WHERE (v.contact_id, v.kind, v.digest) > ($3::uuid, $4::smallint, $5::bytea)
  ORDER BY v.contact_id, v.kind, v.digest LIMIT $6::int)sql"};

// A contact with the head of its shard ($3), its last event and its addresses.
constexpr pg::Statement kWhole{"contact.whole", "SELECT " CLM_CONTACT_COLUMNS R"sql(,
  (SELECT h.off FROM journal_head h WHERE h.shard = $3::smallint),
  (SELECT e.occur_time FROM event e WHERE e.tenant_id = c.tenant_id AND e.contact_id = c.id
    ORDER BY e.occur_time DESC, e.event_id DESC LIMIT 1),
  ARRAY(SELECT i.type FROM contact_identifier i WHERE i.tenant_id = c.tenant_id
    AND i.contact_id = c.id AND i.type IN ('email', 'phone') ORDER BY i.type, i.value),
  ARRAY(SELECT i.value FROM contact_identifier i WHERE i.tenant_id = c.tenant_id
    AND i.contact_id = c.id AND i.type IN ('email', 'phone') ORDER BY i.type, i.value)
  FROM contact c WHERE c.tenant_id = $1::text AND c.id = $2::uuid)sql"};
constexpr int kHeadColumn = kAliasColumn + 1;
constexpr int kLastEventColumn = kAliasColumn + 2;
constexpr int kAddressTypesColumn = kAliasColumn + 3;
constexpr int kAddressesColumn = kAliasColumn + 4;

// What is kept beside a contact's record, in one answer: the kind of row, its place among its kind,
// and the columns of the widest kind. The channels and hashes are those of its addresses. The last
// kind leaps from channel to channel in its index, down from the greatest.
constexpr pg::Statement kAround{"contact.around", R"sql(
  SELECT 1, row_number() OVER (ORDER BY act_time DESC, act_id DESC), purpose, channel, state,
         act_time, expire_time, legal_basis, source, text_version, actor, record_time, NULL::boolean
  FROM consent_act WHERE tenant_id = $1::text AND contact_id = $2::uuid
  UNION ALL
  SELECT 2, row_number() OVER (ORDER BY topic), topic, '', state, change_time, NULL, '', source, '',
         actor, NULL, explicit_act
  FROM subscription WHERE tenant_id = $1::text AND contact_id = $2::uuid
  UNION ALL
  SELECT 3, w.ord, s.channel, s.address, s.reason, s.create_time, NULL, '', '', '', s.actor, NULL,
         NULL
  FROM unnest($3::text[], $4::bytea[]) WITH ORDINALITY AS w (channel, hash, ord)
  CROSS JOIN LATERAL (SELECT * FROM suppression s WHERE s.tenant_id = $1::text
    AND s.channel = w.channel AND s.hash = w.hash OFFSET 0) s
  UNION ALL
  SELECT 4, row_number() OVER (ORDER BY l.channel COLLATE "C"), l.type, l.channel, NULL,
         l.occur_time, NULL, '', '', '', '', NULL, NULL
  FROM (
    WITH RECURSIVE leap AS (
      (SELECT e.channel, e.type, e.occur_time FROM event e
       WHERE e.contact_id = $2::uuid AND e.tenant_id = $1::text
         AND e.type IN ('service_contact', 'offer_response') AND e.channel <> ''
       ORDER BY e.channel DESC, e.occur_time DESC, e.event_id DESC LIMIT 1)
      UNION ALL
      SELECT n.channel, n.type, n.occur_time FROM leap
      CROSS JOIN LATERAL (SELECT e.channel, e.type, e.occur_time FROM event e
        WHERE e.contact_id = $2::uuid AND e.tenant_id = $1::text
          AND e.type IN ('service_contact', 'offer_response') AND e.channel <> ''
          AND e.channel < leap.channel
        ORDER BY e.channel DESC, e.occur_time DESC, e.event_id DESC LIMIT 1) n)
    SELECT channel, type, occur_time FROM leap) l
  ORDER BY 1, 2)sql"};
enum AroundKind {
  kConsentRow = 1,
  kSubscriptionRow = 2,
  kSuppressionRow = 3,
  kLastContactRow = 4,
};
// Of kAround: where the columns of ReadConsent begin.
constexpr int kAroundColumns = 2;

constexpr pg::Statement kTopics{"contact.topics", R"sql(
  SELECT id, display_name, channel, opt_in, create_time, purpose FROM topic
  WHERE tenant_id = $1::text AND id > $2::text ORDER BY id LIMIT $3::int)sql"};

constexpr pg::Statement kTopic{"contact.topic", R"sql(
  SELECT id, display_name, channel, opt_in, create_time, purpose FROM topic
  WHERE tenant_id = $1::text AND id = $2::text)sql"};

constexpr pg::Statement kConsentPage{"contact.consent_page", R"sql(
  SELECT purpose, channel, state, act_time, expire_time, legal_basis, source, text_version, actor,
         record_time, act_id
  FROM consent_act
  WHERE tenant_id = $1::text AND contact_id = $2::uuid
    AND ($3::timestamptz IS NULL OR (act_time, act_id) < ($3::timestamptz, $4::uuid))
  ORDER BY act_time DESC, act_id DESC LIMIT $5::int)sql"};

constexpr pg::Statement kSuppressionPage{"contact.suppression_page", R"sql(
  SELECT channel, address, reason, create_time, actor, hash FROM suppression
  WHERE tenant_id = $1::text
    AND ($2::timestamptz IS NULL
         OR (create_time, channel, hash) > ($2::timestamptz, $3::text, $4::bytea))
  ORDER BY create_time, channel, hash LIMIT $5::int)sql"};

// Before the id of an attribute where fields have their bare names.
constexpr char kAttributePrefix[] = "attributes.";

enum FieldId {
  kEmail,
  kPhone,
  kGivenName,
  kFamilyName,
  kLocale,
  kTimezone,
  kSource,
  kStatus,
  kCreateTime,
  kUpdateTime,
  kExternalIds,
  kAttributes,
  kType,
  kOccurTime,
  kAmountMinor,
  kCurrency,
  kChannel,
};

// `policy` must outlive the schema.
filter::Schema SchemaUnder(const IdentityPolicy& policy) {
  filter::Schema schema;
  schema
      .AddString(kEmail, "email",
                 [&policy](absl::string_view text) {
                   // A pattern or a fragment has no normal form; it is compared as it stands.
                   auto normal = NormalizeEmail(text, {.policy = &policy});
                   return normal.ok() ? *normal : std::string(text);
                 })
      .Add(kPhone, "phone", filter::Type::kString)
      .Add(kGivenName, "given_name", filter::Type::kString)
      .Add(kFamilyName, "family_name", filter::Type::kString)
      .Add(kLocale, "locale", filter::Type::kString)
      .Add(kTimezone, "timezone", filter::Type::kString)
      .Add(kSource, "source", filter::Type::kString)
      .AddEnum(kStatus, "status", {"ACTIVE", "BLOCKED", "DEACTIVATED", "ERASED"})
      .Add(kCreateTime, "create_time", filter::Type::kTimestamp)
      .Add(kUpdateTime, "update_time", filter::Type::kTimestamp)
      .AddMap(kExternalIds, "external_ids", filter::Type::kString)
      .AddMap(kAttributes, "attributes");
  return schema;
}

const filter::Schema& ContactSchema() {
  static const auto& kSchema = *new filter::Schema(SchemaUnder(DefaultIdentityPolicy()));
  return kSchema;
}

const filter::Columns& ContactFilterColumns() {
  static const auto& kColumns = *[] {
    auto* columns = new filter::Columns;
    for (const char* text :
         {"email", "phone", "given_name", "family_name", "locale", "timezone", "source"}) {
      columns->Add(text, absl::StrCat("nullif(c.", text, ", '')"));
    }
    columns->AddEnum("status", "c.status",
                     {{"ACTIVE", 1}, {"BLOCKED", 2}, {"DEACTIVATED", 3}, {"ERASED", 4}});
    columns->Add("create_time", "c.create_time").Add("update_time", "c.update_time");
    columns->AddMap("external_ids", "c.external_ids").AddMap("attributes", "c.attributes");
    return columns;
  }();
  return kColumns;
}

const filter::Schema& EventSchema() {
  static const auto& kSchema = *[] {
    auto* schema = new filter::Schema;
    schema->Add(kType, "type", filter::Type::kString)
        .Add(kOccurTime, "occur_time", filter::Type::kTimestamp)
        .Add(kAmountMinor, "amount_minor", filter::Type::kInt64)
        .Add(kCurrency, "currency", filter::Type::kString)
        .Add(kChannel, "channel", filter::Type::kString);
    return schema;
  }();
  return kSchema;
}

const filter::Columns& EventFilterColumns() {
  static const auto& kColumns = *[] {
    auto* columns = new filter::Columns;
    columns->Add("type", "e.type").Add("occur_time", "e.occur_time");
    columns->Add("amount_minor", "e.amount_minor").Add("currency", "nullif(e.currency, '')");
    columns->Add("channel", "nullif(e.channel, '')");
    return columns;
  }();
  return kColumns;
}

// The attributes of a tenant as fields of an expression.
class RegistryFields : public filter::DynamicFields {
 public:
  explicit RegistryFields(const AttributeRegistry& registry) : registry_(registry) {}

  std::optional<Entry> Find(absl::string_view map, absl::string_view key) const override {
    const auto it = registry_.find(std::string(key));
    if (map != "attributes" || it == registry_.end()) return std::nullopt;
    switch (it->second.type) {
      case AttributeType::kString:
        return Entry{filter::Type::kString, {}};
      case AttributeType::kBool:
        return Entry{filter::Type::kBool, {}};
      case AttributeType::kInt64:
        return Entry{filter::Type::kInt64, {}};
      case AttributeType::kDecimal:
        return Entry{filter::Type::kDecimal, {}};
      case AttributeType::kDate:
        return Entry{filter::Type::kDate, {}};
      case AttributeType::kTimestamp:
        return Entry{filter::Type::kTimestamp, {}};
      case AttributeType::kEnum:
        return Entry{filter::Type::kEnum, it->second.enum_values};
      case AttributeType::kStringSet:
        return Entry{filter::Type::kStringSet, {}};
    }
    return std::nullopt;
  }

  std::vector<std::string> Keys(absl::string_view map) const override {
    std::vector<std::string> keys;
    if (map == "attributes") {
      for (const auto& [id, _] : registry_) keys.push_back(id);
    }
    return keys;
  }

 private:
  const AttributeRegistry& registry_;
};

absl::StatusOr<StoredContact> ReadStored(const pg::Row& row, const AttributeRegistry& registry) {
  StoredContact stored;
  CLM_ASSIGN_OR_RETURN(stored.contact, ReadContact(row, registry));
  for (const auto& alias : row.TextArray(kAliasColumn)) {
    if (const auto id = Uuid::Parse(alias)) stored.aliases.push_back(*id);
  }
  return stored;
}

absl::StatusOr<BehaviorEvent> ReadEvent(const pg::Row& row) {
  BehaviorEvent event;
  event.event_id = row.Uuid(0);
  event.type = std::string(row.Text(1));
  event.occur_time = row.Time(2);
  event.receive_time = row.Time(3);
  event.amount_minor = row.OptInt(4);
  event.currency = std::string(row.Text(5));
  event.quantity = row.OptInt(6);
  event.channel = std::string(row.Text(7));
  event.source = std::string(row.Text(8));
  if (row.Text(9) != "{}") {
    CLM_ASSIGN_OR_RETURN(event.properties, FromTaggedJson(row.Text(9)));
  }
  return event;
}

}  // namespace

namespace {

Topic ReadTopic(const pg::Row& row) {
  Topic topic;
  topic.id = std::string(row.Text(0));
  topic.display_name = std::string(row.Text(1));
  topic.channel = std::string(row.Text(2));
  topic.opt_in = static_cast<OptIn>(row.Int(3));
  topic.create_time = row.Time(4);
  topic.purpose = std::string(row.Text(5));
  return topic;
}

// The values of one column of attribute_change, into the same member of the entries by id.
absl::Status ReadChange(absl::string_view text,
                        std::optional<AttributeValue> AttributeHistoryEntry::*member,
                        std::map<std::string, AttributeHistoryEntry>& entries) {
  auto json = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return error::Internal("a change is stored in an unknown form");
  for (const auto& [id, value] : json.items()) {
    AttributeHistoryEntry& entry = entries[id];
    if (value.is_null()) continue;
    CLM_ASSIGN_OR_RETURN(AttributeMap one, FromTaggedJson(nlohmann::json{{id, value}}.dump()));
    entry.*member = std::move(one[id]);
  }
  return absl::OkStatus();
}

// From the columns of kConsentPage, or those of kAround from `column` on.
ConsentAct ReadConsent(const pg::Row& row, int column = 0) {
  ConsentAct act;
  act.purpose = std::string(row.Text(column));
  act.channel = std::string(row.Text(column + 1));
  act.state = static_cast<ConsentState>(row.Int(column + 2));
  act.act_time = row.Time(column + 3);
  act.expire_time = row.Time(column + 4);
  act.legal_basis = std::string(row.Text(column + 5));
  act.source = std::string(row.Text(column + 6));
  act.text_version = std::string(row.Text(column + 7));
  act.actor = std::string(row.Text(column + 8));
  act.record_time = row.Time(column + 9);
  return act;
}

// From the columns of kAround.
Subscription ReadSubscription(const pg::Row& row) {
  Subscription s;
  s.topic = std::string(row.Text(2));
  s.state = static_cast<SubscriptionState>(row.Int(4));
  s.change_time = row.Time(5);
  s.source = std::string(row.Text(8));
  s.actor = std::string(row.Text(10));
  s.explicit_act = row.Bool(12);
  return s;
}
Suppression ReadAroundSuppression(const pg::Row& row) {
  Suppression s;
  s.channel = std::string(row.Text(2));
  s.address = std::string(row.Text(3));
  s.reason = static_cast<SuppressionReason>(row.Int(4));
  s.create_time = row.Time(5);
  s.actor = std::string(row.Text(10));
  return s;
}

// From the columns of kSuppressionPage.
Suppression ReadSuppression(const pg::Row& row) {
  Suppression s;
  s.channel = std::string(row.Text(0));
  s.address = std::string(row.Text(1));
  s.reason = static_cast<SuppressionReason>(row.Int(2));
  s.create_time = row.Time(3);
  s.actor = std::string(row.Text(4));
  return s;
}

}  // namespace

ContactReader::ContactReader(pg::Pool* pool, std::string secret)
    : pool_(pool),
      secret_(std::move(secret)),
      gather_({.read = [this](const std::string& tenant, const std::vector<Uuid>& ids,
                              absl::Time deadline) { return Get(tenant, ids, deadline); }}) {}

std::shared_ptr<const AttributeRegistry> ContactReader::Cached(const std::string& tenant) {
  static const auto& kNone = *new std::shared_ptr<const AttributeRegistry>(new AttributeRegistry);
  absl::MutexLock lock(&mu_);
  const auto it = registries_.find(tenant);
  return it == registries_.end() ? kNone : it->second;
}

absl::StatusOr<std::shared_ptr<const AttributeRegistry>> ContactReader::Registry(
    const std::string& tenant, absl::Time deadline) {
  pg::Args args;
  args.Add(tenant);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kRegistry, args));
  auto registry = std::make_shared<AttributeRegistry>();
  for (int i = 0; i < rows.size(); ++i) {
    AttributeDefinition d;
    d.id = std::string(rows[i].Text(0));
    d.type = static_cast<AttributeType>(rows[i].Int(1));
    d.display_name = std::string(rows[i].Text(2));
    d.enum_values = rows[i].TextArray(3);
    d.personal = rows[i].Bool(4);
    d.create_time = rows[i].Time(5);
    d.version = rows[i].Int(6);
    d.indexed = rows[i].Bool(7);
    (*registry)[d.id] = std::move(d);
  }
  absl::MutexLock lock(&mu_);
  registries_[tenant] = registry;
  return registry;
}

absl::StatusOr<StoredIdentityPolicy> ContactReader::GetIdentityPolicy(const std::string& tenant,
                                                                      absl::Time deadline) {
  pg::Args args;
  args.Add(tenant);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kIdentityPolicy, args));
  if (rows.empty()) return StoredIdentityPolicy();
  return ReadIdentityPolicy(rows[0], /*column=*/0);
}

absl::StatusOr<StoredContact> ContactReader::ReadRow(
    const pg::Row& row, const std::string& tenant, absl::Time deadline,
    std::shared_ptr<const AttributeRegistry>& registry) {
  if (registry == nullptr) registry = Cached(tenant);
  auto stored = ReadStored(row, *registry);
  if (stored.status().code() != absl::StatusCode::kInternal) return stored;
  // Definitions are only ever added to, so a row that does not fit is younger than what is known.
  CLM_ASSIGN_OR_RETURN(registry, Registry(tenant, deadline));
  return ReadStored(row, *registry);
}

absl::StatusOr<ContactReader::Found> ContactReader::Find(const std::string& tenant,
                                                         const std::vector<Uuid>& ids,
                                                         absl::Time deadline, Execute execute) {
  Found found(ids.size());
  std::vector<Uuid> keys = ids;
  std::vector<size_t> places(ids.size());  // In `found`, of each key.
  std::iota(places.begin(), places.end(), 0);
  std::shared_ptr<const AttributeRegistry> registry;
  // An id that was merged leads to the survivor. Aliases are flat: a third step is taken only when
  // the survivor has just been merged itself.
  for (int step = 0; step < kAliasSteps && !keys.empty(); ++step) {
    pg::Args args;
    args.Add(tenant).AddArray(std::exchange(keys, {}));
    CLM_ASSIGN_OR_RETURN(const pg::Result rows, execute(kGet, args));
    std::vector<size_t> moved;
    for (int i = 0; i < rows.size(); ++i) {
      CLM_ASSIGN_OR_RETURN(StoredContact stored, ReadRow(rows[i], tenant, deadline, registry));
      const size_t place = places[rows[i].Int(kPlaceColumn) - 1];
      if (const auto& survivor = stored.contact.merged_into) {
        keys.push_back(*survivor);
        moved.push_back(place);
      } else {
        found[place] = std::make_shared<const StoredContact>(std::move(stored));
      }
    }
    places = std::move(moved);
  }
  return found;
}

absl::StatusOr<ContactReader::Found> ContactReader::Get(const std::string& tenant,
                                                        const std::vector<Uuid>& ids,
                                                        absl::Time deadline) {
  if (ids.empty()) return Found();
  return Find(tenant, ids, deadline, [&](const pg::Statement& statement, const pg::Args& args) {
    return pool_->Query({pg::Scope::Tenant(tenant), deadline}, statement, args);
  });
}

void ContactReader::GetAsync(
    const EntityKey& contact, absl::Time deadline,
    absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const StoredContact>>)> done) {
  gather_.Get(contact.tenant, contact.id, deadline, std::move(done));
}

absl::StatusOr<std::vector<Contact>> ContactReader::Records(const std::string& tenant,
                                                            const std::vector<Uuid>& ids,
                                                            absl::Time deadline) {
  std::vector<Contact> records;
  if (ids.empty()) return records;
  pg::Args args;
  args.Add(tenant).AddArray(ids);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kGet, args));
  std::shared_ptr<const AttributeRegistry> registry;
  for (int i = 0; i < rows.size(); ++i) {
    CLM_ASSIGN_OR_RETURN(StoredContact stored, ReadRow(rows[i], tenant, deadline, registry));
    records.push_back(std::move(stored.contact));
  }
  return records;
}

absl::StatusOr<std::vector<std::optional<Uuid>>> ContactReader::Owners(
    const std::string& tenant, const std::vector<Identifier>& identifiers, absl::Time deadline) {
  std::vector<std::optional<Uuid>> owners(identifiers.size());
  if (identifiers.empty()) return owners;
  std::vector<std::string> types, values;
  for (const auto& identifier : identifiers) {
    types.push_back(identifier.type);
    values.push_back(identifier.value);
  }
  pg::Args args;
  args.Add(tenant).AddArray(types).AddArray(values);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kOwners, args));
  for (int i = 0; i < rows.size(); ++i) owners[rows[i].Int(0) - 1] = rows[i].Uuid(1);
  return owners;
}

absl::StatusOr<std::vector<IdentityProfile>> ContactReader::Profiles(const std::string& tenant,
                                                                     const std::vector<Uuid>& ids,
                                                                     absl::Time deadline) {
  std::vector<IdentityProfile> profiles;
  if (ids.empty()) return profiles;
  pg::Args args;
  args.Add(tenant).AddArray(ids);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kProfiles, args));
  for (int i = 0; i < rows.size(); ++i) {
    const Uuid id = rows[i].Uuid(0);
    if (profiles.empty() || profiles.back().id != id) profiles.push_back({id, rows[i].Time(1), {}});
    profiles.back().identifiers.push_back(
        {{std::string(rows[i].Text(2)), std::string(rows[i].Text(3))}, rows[i].Time(4)});
  }
  return profiles;
}

namespace {

// What List and Count have in common: FROM and WHERE, and the columns of the order of lists.
struct Selection {
  std::string sql;
  std::string tenant;
  std::string id;
};

// The contacts that have one of the values, as the rows of c. A value's rows come in the order of
// ids, and each contact is looked up by its key whatever the planner believes of their number, so
// that a page costs what is on it and what its filter refuses.
std::string FromIndex(const IndexLookup& lookup, pg::Args& args) {
  const int at = args.size();
  args.Add(lookup.attribute);
  std::string one_of;
  if (lookup.values.size() == 1) {
    one_of = absl::StrCat("= $", at + 2, "::text");
    args.Add(lookup.values[0]);
  } else {
    one_of = absl::StrCat("= ANY ($", at + 2, "::text[])");
    args.AddArray(lookup.values);
  }
  return absl::StrCat(
      "FROM attribute_index i CROSS JOIN LATERAL (SELECT * FROM contact c "
      "WHERE c.tenant_id = $1::text AND c.id = i.contact_id OFFSET 0) c "
      "WHERE i.tenant_id = $1::text AND i.attribute_id = $",
      at + 1, "::text AND i.value ", one_of, " AND ");
}

absl::StatusOr<Selection> Select(const ContactReader::ListQuery& query,
                                 const AttributeRegistry& registry, pg::Args& args) {
  const RegistryFields fields(registry);
  filter::ParseOptions options;
  options.dynamic = &fields;
  std::optional<filter::Schema> own;
  if (query.policy != nullptr && !query.policy->email_providers.empty()) {
    own = SchemaUnder(*query.policy);
  }
  CLM_ASSIGN_OR_RETURN(const filter::Expression expression,
                       filter::Parse(query.filter, own ? *own : ContactSchema(), options));
  args.Add(query.tenant);
  Selection selection;
  if (const auto lookup = LookupFor(expression, registry)) {
    selection = {FromIndex(*lookup, args), "i.tenant_id", "i.contact_id"};
  } else {
    selection = {"FROM contact c WHERE c.tenant_id = $1::text AND ", "c.tenant_id", "c.id"};
  }
  std::string& where = selection.sql;
  absl::StrAppend(&where, "c.merged_into IS NULL");
  if (!query.show_erased) absl::StrAppend(&where, " AND c.status <> 4");
  if (!query.filter.empty()) {
    CLM_ASSIGN_OR_RETURN(const std::string condition,
                         filter::ToSql(expression, ContactFilterColumns(), query.now, args));
    absl::StrAppend(&where, " AND ", condition);
  }
  return selection;
}

}  // namespace

absl::StatusOr<std::string> ContactReader::ListSql(const ListQuery& query,
                                                   const AttributeRegistry& registry,
                                                   pg::Args& args) {
  CLM_ASSIGN_OR_RETURN(Selection selection, Select(query, registry, args));
  if (query.after) {
    absl::StrAppend(&selection.sql, " AND ", selection.id, query.descending ? " < $" : " > $",
                    args.size() + 1, "::uuid");
    args.Add(*query.after);
  }
  return absl::StrCat("SELECT " CLM_CONTACT_COLUMNS " ", selection.sql, " ORDER BY ",
                      selection.tenant, ", ", selection.id, query.descending ? " DESC" : " ASC",
                      " LIMIT ", query.limit);
}

absl::StatusOr<std::vector<StoredContact>> ContactReader::List(const ListQuery& query,
                                                               absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const auto registry, Registry(query.tenant, deadline));
  pg::Args args;
  CLM_ASSIGN_OR_RETURN(const std::string sql, ListSql(query, *registry, args));
  std::vector<StoredContact> found;
  CLM_RETURN_IF_ERROR(
      pool_->Read({pg::Scope::Tenant(query.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.ExecDynamic(sql, args));
        found.clear();
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(StoredContact stored, ReadStored(rows[i], *registry));
          found.push_back(std::move(stored));
        }
        return absl::OkStatus();
      }));
  return found;
}

absl::StatusOr<int64_t> ContactReader::Count(const ListQuery& query, absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const auto registry, Registry(query.tenant, deadline));
  pg::Args args;
  CLM_ASSIGN_OR_RETURN(const Selection selection, Select(query, *registry, args));
  int64_t count = 0;
  CLM_RETURN_IF_ERROR(
      pool_->Read({pg::Scope::Tenant(query.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                             tx.ExecDynamic(absl::StrCat("SELECT count(*) ", selection.sql), args));
        count = rows[0].Int(0);
        return absl::OkStatus();
      }));
  return count;
}

absl::StatusOr<std::vector<BehaviorEvent>> ContactReader::Events(const EventsQuery& query,
                                                                 absl::Time deadline) {
  CLM_ASSIGN_OR_RETURN(const filter::Expression expression,
                       filter::Parse(query.filter, EventSchema()));
  pg::Args args;
  args.Add(query.contact.tenant).Add(query.contact.id);
  std::string where =
      "e.tenant_id = $1::text AND e.contact_id = coalesce((SELECT merged_into FROM contact "
      "WHERE tenant_id = $1::text AND id = $2::uuid), $2::uuid)";
  if (!query.filter.empty()) {
    CLM_ASSIGN_OR_RETURN(const std::string condition,
                         filter::ToSql(expression, EventFilterColumns(), query.now, args));
    absl::StrAppend(&where, " AND ", condition);
  }
  if (query.after) {
    const int at = args.size();
    absl::StrAppend(&where, " AND (e.occur_time, e.event_id) < ($", at + 1, "::timestamptz, $",
                    at + 2, "::uuid)");
    args.Add(query.after->first).Add(query.after->second);
  }
  const std::string sql = absl::StrCat(
      "SELECT e.event_id, e.type, e.occur_time, e.receive_time, e.amount_minor, e.currency, "
      "e.quantity, e.channel, e.source, e.properties FROM event e WHERE ",
      where, " ORDER BY e.occur_time DESC, e.event_id DESC LIMIT ", query.limit);
  std::vector<BehaviorEvent> events;
  CLM_RETURN_IF_ERROR(pool_->Read(
      {pg::Scope::Tenant(query.contact.tenant), deadline}, [&](pg::Tx& tx) -> absl::Status {
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.ExecDynamic(sql, args));
        events.clear();
        for (int i = 0; i < rows.size(); ++i) {
          CLM_ASSIGN_OR_RETURN(BehaviorEvent event, ReadEvent(rows[i]));
          events.push_back(std::move(event));
        }
        return absl::OkStatus();
      }));
  return events;
}

absl::StatusOr<std::vector<AcquisitionCost>> ContactReader::Costs(const std::string& tenant,
                                                                  std::optional<Uuid> contact,
                                                                  const Uuid& after, int limit,
                                                                  absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(after).Add(contact).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kCosts, args));
  std::vector<AcquisitionCost> costs;
  for (int i = 0; i < rows.size(); ++i) {
    AcquisitionCost cost;
    cost.id = rows[i].Uuid(0);
    cost.contact = rows[i].OptUuid(1);
    cost.source = std::string(rows[i].Text(2));
    cost.start_date = rows[i].Day(3);
    cost.end_date = rows[i].Day(4);
    cost.amount_minor = rows[i].Int(5);
    cost.currency = std::string(rows[i].Text(6));
    cost.create_time = rows[i].Time(7);
    costs.push_back(std::move(cost));
  }
  return costs;
}

absl::StatusOr<std::vector<ContactReader::ViolationRow>> ContactReader::Violations(
    const std::string& tenant, const std::vector<Uuid>& contacts,
    const std::optional<ViolationPlace>& after, int limit, absl::Time deadline) {
  const ViolationPlace from = after.value_or(ViolationPlace{});
  pg::Args args;
  args.Add(tenant).AddArray(contacts).Add(from.contact).Add(from.kind).AddBytes(from.digest);
  args.Add(limit).AddBytes(ContactWork::Hash(secret_, tenant, {"identity_violation", ""}));
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kViolations, args));
  std::vector<ViolationRow> page;
  for (int i = 0; i < rows.size(); ++i) {
    const auto row = rows[i];
    ViolationRow out;
    out.place = {row.Uuid(0), static_cast<int>(row.Int(1)), row.Bytes(9)};
    IdentityViolation& v = out.stored.violation;
    v.kind = static_cast<IdentityViolation::Kind>(row.Int(1));
    v.identifier = {std::string(row.Text(2)), std::string(row.Text(3))};
    v.limit_type = std::string(row.Text(4));
    for (absl::string_view id : absl::StrSplit(row.Text(5), ' ', absl::SkipEmpty())) {
      v.profiles.push_back(Uuid::Parse(id).value_or(Uuid()));
    }
    out.stored.event_id = row.Uuid(6);
    out.stored.find_time = row.Time(7);
    out.stored.event_count = row.Int(8);
    page.push_back(std::move(out));
  }
  return page;
}

absl::StatusOr<ContactReader::HistoryPage> ContactReader::History(const EntityKey& contact,
                                                                  const std::string& attribute,
                                                                  int64_t before_version, int limit,
                                                                  absl::Time deadline) {
  // "plan" and "attributes.plan" are the same attribute; "email" is the field.
  const std::string id_wanted(absl::StripPrefix(attribute, kAttributePrefix));
  pg::Args args;
  args.Add(contact.tenant).Add(contact.id).Add(before_version).Add(id_wanted).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(contact.tenant), deadline}, kHistory, args));
  HistoryPage page;
  for (int i = 0; i < rows.size(); ++i) {
    std::map<std::string, AttributeHistoryEntry> entries;
    CLM_RETURN_IF_ERROR(ReadChange(rows[i].Text(4), &AttributeHistoryEntry::value, entries));
    CLM_RETURN_IF_ERROR(ReadChange(rows[i].Text(5), &AttributeHistoryEntry::former, entries));
    for (auto& [id, entry] : entries) {
      absl::string_view field = id;
      const bool is_field = absl::ConsumePrefix(&field, kFieldPrefix);
      const std::string full = is_field ? std::string(field) : absl::StrCat(kAttributePrefix, id);
      entry.attribute = is_field || IsFieldName(id) ? full : id;
      if (!attribute.empty() && attribute != entry.attribute && attribute != full) continue;
      entry.set_time = rows[i].Time(1);
      entry.actor = std::string(rows[i].Text(2));
      entry.source = std::string(rows[i].Text(3));
      entry.reason = std::string(rows[i].Text(6));
      page.entries.push_back(std::move(entry));
    }
  }
  if (rows.size() == limit) page.next_version = rows[rows.size() - 1].Int(0);
  return page;
}

absl::StatusOr<ContactReader::Whole> ContactReader::GetWhole(const EntityKey& asked,
                                                             absl::Time deadline) {
  Whole whole;
  ContactSurroundings& around = whole.around;
  // One snapshot, so that the parts fit together.
  CLM_RETURN_IF_ERROR(pool_->Read(
      {pg::Scope::Tenant(asked.tenant), deadline},
      [&](pg::Tx& tx) -> absl::Status {
        around = {};
        std::vector<std::string> channels, hashes;
        EntityKey contact = asked;
        std::shared_ptr<const AttributeRegistry> registry;
        for (int step = 0;; ++step) {
          pg::Args args;
          args.Add(contact.tenant).Add(contact.id).Add(ShardOf(contact.tenant, contact.id));
          CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kWhole, args));
          if (rows.empty() || step == kAliasSteps) {
            return error::NotFound(EntityName("contacts", asked));
          }
          CLM_ASSIGN_OR_RETURN(whole.stored, ReadRow(rows[0], contact.tenant, deadline, registry));
          if (const auto& survivor = whole.stored.contact.merged_into) {
            contact.id = *survivor;
            continue;
          }
          around.version = rows[0].Int(kHeadColumn);
          around.last_event_time = rows[0].OptTime(kLastEventColumn);
          const std::vector<std::string> types = rows[0].TextArray(kAddressTypesColumn);
          const std::vector<std::string> values = rows[0].TextArray(kAddressesColumn);
          for (size_t i = 0; i < types.size(); ++i) {
            const std::string hash =
                ContactWork::Hash(secret_, contact.tenant, {types[i], values[i]});
            for (const char* channel : {"email", "sms", "phone"}) {
              if ((types[i] == kEmailType) != (channel == absl::string_view("email"))) continue;
              channels.emplace_back(channel);
              hashes.push_back(hash);
            }
          }
          break;
        }
        pg::Args args;
        args.Add(contact.tenant).Add(contact.id).AddArray(channels).AddBytesArray(hashes);
        CLM_ASSIGN_OR_RETURN(const pg::Result rows, tx.Exec(kAround, args));
        for (int i = 0; i < rows.size(); ++i) {
          switch (static_cast<AroundKind>(rows[i].Int(0))) {
            case kConsentRow:
              around.consents.push_back(ReadConsent(rows[i], kAroundColumns));
              break;
            case kSubscriptionRow:
              around.subscriptions.push_back(ReadSubscription(rows[i]));
              break;
            case kSuppressionRow:
              around.suppressions.push_back(ReadAroundSuppression(rows[i]));
              break;
            case kLastContactRow:
              if (whole.stored.contact.status == ContactStatus::kErased) break;
              around.last_contacts.push_back(
                  {std::string(rows[i].Text(3)), std::string(rows[i].Text(2)), rows[i].Time(5)});
              break;
          }
        }
        return absl::OkStatus();
      },
      /*repeatable=*/true));
  return whole;
}

absl::StatusOr<std::vector<Topic>> ContactReader::Topics(const std::string& tenant,
                                                         const std::string& after, int limit,
                                                         absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(after).Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kTopics, args));
  std::vector<Topic> topics;
  topics.reserve(rows.size());
  for (int i = 0; i < rows.size(); ++i) topics.push_back(ReadTopic(rows[i]));
  return topics;
}

absl::StatusOr<Topic> ContactReader::GetTopic(const std::string& tenant, const std::string& topic,
                                              absl::Time deadline) {
  pg::Args args;
  args.Add(tenant).Add(topic);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kTopic, args));
  if (rows.empty()) return error::NotFound(absl::StrCat("tenants/", tenant, "/topics/", topic));
  return ReadTopic(rows[0]);
}

absl::StatusOr<ContactReader::ConsentPage> ContactReader::ConsentActs(
    const EntityKey& contact, std::optional<std::pair<absl::Time, Uuid>> after, int limit,
    absl::Time deadline) {
  pg::Args args;
  args.Add(contact.tenant).Add(contact.id);
  if (after) {
    args.Add(after->first).Add(after->second);
  } else {
    args.AddNull().AddNull();
  }
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(
      const pg::Result rows,
      pool_->Query({pg::Scope::Tenant(contact.tenant), deadline}, kConsentPage, args));
  ConsentPage page;
  for (int i = 0; i < rows.size(); ++i) {
    page.acts.push_back(ReadConsent(rows[i]));
    page.places.emplace_back(page.acts.back().act_time, rows[i].Uuid(10));
  }
  return page;
}

absl::StatusOr<ContactReader::SuppressionPage> ContactReader::ListSuppressions(
    const std::string& tenant, const std::optional<SuppressionPlace>& after, int limit,
    absl::Time deadline) {
  pg::Args args;
  args.Add(tenant);
  if (after) {
    args.Add(after->create_time).Add(after->channel).AddBytes(after->hash);
  } else {
    args.AddNull().AddNull().AddNull();
  }
  args.Add(limit);
  CLM_ASSIGN_OR_RETURN(const pg::Result rows,
                       pool_->Query({pg::Scope::Tenant(tenant), deadline}, kSuppressionPage, args));
  SuppressionPage page;
  for (int i = 0; i < rows.size(); ++i) {
    Suppression suppression = ReadSuppression(rows[i]);
    page.places.push_back({suppression.create_time, suppression.channel, rows[i].Bytes(5)});
    page.suppressions.push_back(std::move(suppression));
  }
  return page;
}

std::vector<const pg::Statement*> ContactReaderStatements() {
  return {&kTopics,  &kTopic,    &kConsentPage, &kSuppressionPage, &kGet,
          &kOwners,  &kProfiles, &kRegistry,    &kIdentityPolicy,  &kCosts,
          &kHistory, &kWhole,    &kAround,      &kViolations};
}

}  // namespace clm::contact
