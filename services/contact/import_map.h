// What the columns of an import file mean: from records to contacts and behaviour events. Headers
// are recognised as other tools write them; explicit names win. Every fault of a record is told at
// once, by field. Pure.
#ifndef CLM_SERVICES_CONTACT_IMPORT_MAP_H_
#define CLM_SERVICES_CONTACT_IMPORT_MAP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "libs/base/error.h"
#include "libs/base/uuid.h"
#include "services/contact/attributes.h"
#include "services/contact/contact.h"
#include "services/contact/identifiers.h"
#include "services/contact/import_file.h"
#include "services/contact/timeline.h"

namespace clm::contact {

// The numbers are those of the wire.
enum class ImportKind { kContacts = 1, kEvents = 2 };

struct ImportOptions {
  ImportKind kind = ImportKind::kContacts;
  // Column -> field; an empty field ignores the column. Columns that are not named go by
  // DefaultField.
  std::map<std::string, std::string> columns;
  // The field that tells who a row is about: "email", "phone" or "external_ids.TYPE".
  std::string key = "email";
  // The topic that an "action" column is about.
  std::string topic;
  // For contacts without a source of their own, and for events.
  std::string source;
  // For amounts in rows without a currency.
  std::string currency;
  // True: an empty CSV field clears, as an empty JSON string and null do. False: it leaves alone.
  bool blank_clears = false;
};

// Fields of contacts: email, phone, given_name, family_name, full_name (split at its last blank),
// locale, timezone, source, create_time, external_ids.TYPE, attributes.ID, topics.ID, action.
// Fields of events: event_id, type, occur_time, amount (major units, "12.50"), amount_minor,
// currency, quantity, channel, email, phone, external_ids.TYPE (identifiers.TYPE is the same),
// properties.NAME.

// The field that a header means by itself; empty: none. "Email Address", "E-Mail", "EMAIL" ->
// "email"; "First Name", "FIRSTNAME", "FNAME" -> "given_name". "Order Total" of an event ->
// "amount". Knows the exports of Mailchimp, HubSpot, Brevo, listmonk, Segment and Shopify.
std::string DefaultField(ImportKind kind, absl::string_view header);

// INVALID_ARGUMENT naming every bad option, as "columns.Shoe Size", "key", "topic".
absl::Status ValidateImportOptions(const ImportOptions& options);

// Somebody joins or leaves a topic.
struct TopicAction {
  std::string topic;
  bool subscribe = true;
  friend bool operator==(const TopicAction&, const TopicAction&) = default;
};

struct ContactRow {
  int64_t number = 0;
  Identifier key;      // In normal form.
  ContactPatch patch;  // Checked for form, not yet against what is stored.
  std::vector<TopicAction> topics;
};

struct EventRow {
  int64_t number = 0;
  BehaviorEvent event;  // Valid. Without an id of its own it got one from its content.
  std::vector<Identifier> identifiers;  // Valid; the policy's form is the resolver's to find.
};

// Maps the records of one file, in order. Not thread-safe: it counts equal event rows, so that a
// file read again yields the same event ids while two equal purchases in it stay two.
class ImportMapper {
 public:
  // What `rules` point to must outlive the mapper. `options` must be valid. `id_space` is the
  // tenant's name space of derived event ids.
  ImportMapper(ImportOptions options, ContactRules rules, const Uuid& id_space);

  // INVALID_ARGUMENT naming every bad field of the record; the record's own status if it has one.
  // A contact's "action" is subscribe, unsubscribe or blank, which means subscribe; "topics.ID" is
  // the same except that blank leaves alone.
  absl::StatusOr<ContactRow> MapContact(const ImportRecord& record, absl::Time now);
  absl::StatusOr<EventRow> MapEvent(const ImportRecord& record, absl::Time now);

  // The columns seen so far that mean nothing and are ignored, sorted.
  std::vector<std::string> IgnoredColumns() const;
  // The columns of the options that no record had so far, sorted.
  std::vector<std::string> MissingColumns() const;

 private:
  // A cell under the field it is for.
  struct Assigned {
    const std::string* field;
    const ImportCell* cell;
  };
  std::string FieldOf(absl::string_view column) const;
  // The cells that mean something, at most one for a field.
  std::vector<Assigned> Assign(const ImportRecord& record, error::FieldErrors& errors);

  const ImportOptions options_;
  const ContactRules rules_;
  const Uuid id_space_;
  absl::flat_hash_map<std::string, std::string> fields_;
  absl::flat_hash_map<Uuid, int32_t> seen_events_;
};

// One line of the file of refused rows.
struct ImportRowError {
  int64_t row = 0;
  std::string field;  // Empty: the row as a whole.
  std::string reason;
  friend bool operator==(const ImportRowError&, const ImportRowError&) = default;
};
// Why row `row` was refused, one entry per bad field. `status` must not be OK.
std::vector<ImportRowError> RowErrors(int64_t row, const absl::Status& status);
// The file itself: row,field,reason.
std::string RowErrorsCsvHeader();
std::string RowErrorsCsv(const std::vector<ImportRowError>& errors);

}  // namespace clm::contact

#endif  // CLM_SERVICES_CONTACT_IMPORT_MAP_H_
