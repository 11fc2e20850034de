#include <map>
#include <random>

#include "absl/strings/str_replace.h"
#include "libs/base/status_macros.h"
#include "services/contact/attribute_index.h"
#include "services/contact/contact_fixture.h"
#include "services/contact/contact_reader.h"

namespace clm::contact {
namespace {

using absl::StatusCode;
using clm::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Values = google::protobuf::Map<std::string, v1::AttributeValue>;
using Definition = v1::AttributeDefinition;

constexpr int kPeople = 40;
// The attribute that is not indexed and always has the same value is called the same and this.
constexpr char kTwin[] = "_plain";

const std::map<std::string, Definition::Type>& Types() {
  static const auto* const kTypes = new std::map<std::string, Definition::Type>{
      {"plan", Definition::TYPE_STRING},       {"tier", Definition::TYPE_ENUM},
      {"vip", Definition::TYPE_BOOL},          {"seats", Definition::TYPE_INT64},
      {"rate", Definition::TYPE_DECIMAL},      {"since", Definition::TYPE_DATE},
      {"renewed", Definition::TYPE_TIMESTAMP}, {"nick", Definition::TYPE_STRING}};
  return *kTypes;
}

// Too long to stand in the index; the two differ in their last byte.
std::string Long(char last) { return std::string(4000, 'x') + last; }

// Each stands for itself and for a twin when '@' is replaced.
std::vector<std::string> Filters() {
  return {
      "attributes.plan@ = gold",
      "attributes.plan@ = ''",
      "attributes.plan@ = nobody",
      absl::StrCat("attributes.plan@ = ", Long('a')),
      "attributes.plan@ = gold OR attributes.plan@ = silver",
      "attributes.plan@ = gold attributes.plan@ = silver",
      "attributes.plan@ = gold attributes.vip@",
      "attributes.plan@ = gold AND (attributes.vip@ OR attributes.seats@ > 1)",
      "attributes.plan@ = gold OR attributes.seats@ = 2",
      "attributes.plan@ = gold NOT attributes.tier@ = b",
      "attributes.plan@ != gold",
      "NOT attributes.plan@ = gold",
      "attributes.tier@ = a",
      "attributes.vip@ = false",
      "attributes.vip@ != true",
      "attributes.seats@ = -1",
      "attributes.seats@ = 1.0",
      "attributes.seats@ = 1.5",
      "attributes.rate@ = 0.50",
      "attributes.rate@ = 2",
      "attributes.since@ = 2026-02-03",
      "attributes.renewed@ = 2026-11-21T09:30:00+01:00",
      "attributes.nick@ = ada given_name = Ada",
      "attributes.plan@ = gold status = ERASED",
      "attributes.plan@:*",
  };
}

class IndexedAttributesTest : public ContactTest {
 protected:
  IndexedAttributesTest() {
    for (const auto& [id, type] : Types()) {
      for (const bool indexed : {true, false}) {
        v1::CreateAttributeDefinitionRequest define;
        define.set_parent(kAcme);
        define.set_attribute_id(indexed ? id : absl::StrCat(id, kTwin));
        Definition& definition = *define.mutable_attribute_definition();
        definition.set_type(type);
        definition.set_indexed(indexed);
        definition.set_personal(id == "nick");
        if (type == Definition::TYPE_ENUM) {
          for (const char* value : {"a", "b"}) definition.add_enum_values(value);
        }
        const auto made = Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define);
        CLM_EXPECT_OK(made);
        EXPECT_EQ(made.ok() && made->indexed(), indexed);
      }
    }
  }

  int Draw(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  v1::AttributeValue DrawValue(const std::string& id) {
    v1::AttributeValue value;
    const int i = Draw(3);
    if (id == "plan") {
      const std::string plans[] = {"gold", "silver", "", Long('a'), Long('b')};
      value.set_string_value(plans[Draw(5)]);
    } else if (id == "tier") {
      value.set_string_value(i == 0 ? "a" : "b");
    } else if (id == "vip") {
      value.set_bool_value(i == 0);
    } else if (id == "seats") {
      const int seats[] = {-1, 1, 2};
      value.set_int64_value(seats[i]);
    } else if (id == "rate") {
      const char* const rates[] = {"0.5", "2.0", "-1.25"};
      value.set_decimal_value(rates[i]);
    } else if (id == "since") {
      value.set_date_value(absl::StrCat("2026-02-0", 3 + i));
    } else if (id == "renewed") {
      value.mutable_timestamp_value()->set_seconds(1'795'249'800 + i);
    } else {
      value.set_string_value(i == 0 ? "ada@nick" : "ada");
    }
    return value;
  }

  // Gives some attributes new values, or none, and their twins the same.
  void DrawValues(Values& values, google::protobuf::FieldMask* mask) {
    for (const auto& [id, type] : Types()) {
      if (Draw(3) == 0) continue;
      const bool clear = mask != nullptr && Draw(3) == 0;
      const v1::AttributeValue value = DrawValue(id);
      for (const std::string& name : {id, absl::StrCat(id, kTwin)}) {
        if (!clear) values[name] = value;
        if (mask != nullptr) mask->add_paths(absl::StrCat("attributes.", name));
      }
    }
  }

  // Names in pages of `page_size`; in front how many the service counts.
  std::vector<std::string> List(const std::string& filter, int page_size, bool descending,
                                bool erased) {
    v1::ListContactsRequest request;
    request.set_parent(kAcme);
    request.set_filter(filter);
    request.set_page_size(page_size);
    if (descending) request.set_order_by("name desc");
    request.set_show_erased(erased);
    request.set_include_total_size(true);
    std::vector<std::string> names;
    do {
      const auto page = Call(*main_.contacts, &Contacts::ListContacts, request);
      CLM_EXPECT_OK(page);
      if (!page.ok()) return names;
      if (names.empty()) names.push_back(absl::StrCat(page->total_size()));
      for (const auto& contact : page->contacts()) names.push_back(contact.name());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return names;
  }

  void ExpectTheSameWithoutTheIndex() {
    for (const std::string& filter : Filters()) {
      const std::string indexed = absl::StrReplaceAll(filter, {{"@", ""}});
      const std::string plain = absl::StrReplaceAll(filter, {{"@", kTwin}});
      for (const bool erased : {false, true}) {
        const auto all = List(plain, 1000, false, erased);
        EXPECT_EQ(List(indexed, 1000, false, erased), all) << filter.substr(0, 80);
        EXPECT_EQ(List(indexed, 7, false, erased), all) << filter.substr(0, 80);
        EXPECT_EQ(List(indexed, 7, true, erased), List(plain, 1000, true, erased))
            << filter.substr(0, 80);
      }
    }
    // What the attributes say, of contacts that are no aliases; of long values how many there are.
    const std::string said = absl::StrCat(
        "SELECT c.tenant_id, d.id, a.value, c.id FROM contact c CROSS JOIN jsonb_each_text("
        "c.attributes) a JOIN attribute_definition d ON d.tenant_id = c.tenant_id AND d.id = a.key "
        "WHERE d.indexed AND c.merged_into IS NULL AND octet_length(a.value) ");
    const std::string kept =
        "SELECT tenant_id, attribute_id, value, contact_id "
        "FROM attribute_index WHERE value NOT SIMILAR TO '[0-9a-f]{32}'";
    const std::string limit = absl::StrCat("<= ", kMaxIndexedBytes);
    EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM ((", said, limit, ") EXCEPT (", kept,
                                 ")) AS missing")),
              0);
    EXPECT_EQ(Count(absl::StrCat("SELECT count(*) FROM ((", kept, ") EXCEPT (", said, limit,
                                 ")) AS left_over")),
              0);
    EXPECT_EQ(Count("SELECT count(*) FROM attribute_index"),
              Count(absl::StrCat("SELECT count(*) FROM (", said, ">= 0) AS said")));
  }

  // The plan of the statement by which the service lists, as the service's role has it.
  std::string Plan(ContactReader::ListQuery query) {
    query.tenant = "acme";
    auto pool = pg::NewPool({.dsn = database_.app_dsn, .size = 1});
    ContactReader reader(pool.get(), std::string(32, 's'));
    std::string plan;
    const auto registry = reader.Registry("acme", absl::InfiniteFuture());
    CLM_EXPECT_OK(registry);
    if (!registry.ok()) return plan;
    pg::Args args;
    const auto sql = ContactReader::ListSql(query, **registry, args);
    CLM_EXPECT_OK(sql);
    if (!sql.ok()) return plan;
    CLM_EXPECT_OK(pool->Read({pg::Scope::Tenant("acme")}, [&](pg::Tx& tx) -> absl::Status {
      CLM_ASSIGN_OR_RETURN(
          const pg::Result rows,
          tx.ExecDynamic(absl::StrCat("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ", *sql), args));
      for (int i = 0; i < rows.size(); ++i) absl::StrAppend(&plan, rows[i].Text(0), "\n");
      return absl::OkStatus();
    }));
    return plan;
  }

  // Statements of the owner, past row security.
  void Own(const std::string& sql) {
    auto pool = pg::NewPool({.dsn = database_.admin_dsn, .size = 1});
    CLM_EXPECT_OK(pool->Transact({pg::Scope::Suite()},
                                 [&](pg::Tx& tx) { return tx.ExecDynamic(sql).status(); }));
  }

 private:
  std::mt19937 random_{20261126};  // NOLINT: the same values in each run.
};

TEST_F(IndexedAttributesTest, AFilterFindsWhatItFindsWithoutTheIndex) {
  for (int batch = 0; batch < 2; ++batch) {
    v1::BatchUpsertContactsRequest upserts;
    upserts.set_parent(kAcme);
    for (int i = 0; i < kPeople / 2; ++i) {
      v1::UpsertContactRequest& upsert = *upserts.add_requests();
      upsert.set_parent(kAcme);
      v1::Contact& contact = *upsert.mutable_contact();
      contact.set_email(absl::StrCat("person", batch, "-", i, "@example.com"));
      contact.set_given_name(i % 2 == 0 ? "Ada" : "Bob");
      DrawValues(*contact.mutable_attributes(), nullptr);
    }
    CLM_ASSERT_OK_AND_ASSIGN(const auto done,
                             Call(*main_.contacts, &Contacts::BatchUpsertContacts, upserts));
    for (const auto& result : done.results()) ASSERT_EQ(result.status().code(), 0);
  }
  ExpectTheSameWithoutTheIndex();

  std::vector<std::string> people = List("", 1000, false, false);
  people.erase(people.begin());
  ASSERT_EQ(people.size(), kPeople);
  for (const std::string& name : people) {
    v1::UpdateContactRequest update;
    update.mutable_contact()->set_name(name);
    update.mutable_update_mask()->add_paths("locale");
    update.mutable_contact()->set_locale("de-DE");
    DrawValues(*update.mutable_contact()->mutable_attributes(), update.mutable_update_mask());
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  }
  ExpectTheSameWithoutTheIndex();

  for (size_t i = 0; i < 20; i += 2) {
    v1::MergeContactsRequest merge;
    merge.set_primary(people[i]);
    merge.set_duplicate(people[i + 1]);
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::MergeContacts, merge));
  }
  ExpectTheSameWithoutTheIndex();

  // Of those that were merged, and of those that were not.
  for (size_t i = 0; i < people.size(); i += 4) {
    v1::EraseContactRequest erase;
    erase.set_name(people[i]);
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  }
  ExpectTheSameWithoutTheIndex();
}

TEST_F(IndexedAttributesTest, AnEraseLeavesNoPersonalValueInTheIndex) {
  auto request = NewContact("ada@example.com");
  (*request.mutable_contact()->mutable_attributes())["nick"].set_string_value("Countess");
  (*request.mutable_contact()->mutable_attributes())["plan"].set_string_value("gold");
  CLM_ASSERT_OK_AND_ASSIGN(const auto ada,
                           Call(*main_.contacts, &Contacts::CreateContact, request));
  EXPECT_THAT(TablesWith("countess"), HasSubstr("attribute_index"));
  v1::EraseContactRequest erase;
  erase.set_name(ada.name());
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_EQ(TablesWith("countess"), "");
  EXPECT_THAT(TablesWith("gold"), HasSubstr("attribute_index"));
}

TEST_F(IndexedAttributesTest, APageIsReadByTheIndexWhateverThePlannerKnows) {
  // Every hundredth is gold, and none but one is vip.
  Own("INSERT INTO contact (tenant_id, id, status, attributes, create_time, update_time, version) "
      "SELECT 'acme', ('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, 1, "
      "jsonb_build_object('plan', CASE WHEN i % 100 = 0 THEN 'gold' ELSE 'free' END, 'vip', "
      "i = 700), now(), now(), 1 FROM generate_series(1, 5000) AS i");
  Own("INSERT INTO attribute_index (tenant_id, attribute_id, value, contact_id) "
      "SELECT c.tenant_id, a.key, a.value, c.id "
      "FROM contact c CROSS JOIN jsonb_each_text(c.attributes) a");
  EXPECT_EQ(List("attributes.plan = gold", 1000, false, false).size(), 51);
  for (const bool analyzed : {false, true}) {
    if (analyzed) Own("ANALYZE contact, attribute_index");
    // Rows of contacts that were read, not only those of the page.
    EXPECT_THAT(Plan({.filter = "attributes.plan = gold"}),
                AllOf(HasSubstr("attribute_index_pkey"), HasSubstr("loops=50)"),
                      Not(HasSubstr("Seq Scan")), Not(HasSubstr("loops=5000)"))));
    EXPECT_THAT(Plan({.filter = "given_name = Ada attributes.vip = true"}),
                AllOf(HasSubstr("attribute_index_pkey"), Not(HasSubstr("Seq Scan")),
                      Not(HasSubstr("loops=5000)"))));
    // One value is in the order of the list, so that a page of many reads its own rows.
    if (analyzed) {
      EXPECT_THAT(
          Plan({.filter = "attributes.plan = free", .limit = 7}),
          AllOf(HasSubstr("attribute_index_pkey"), HasSubstr("loops=7)"), Not(HasSubstr("Sort"))));
    }
    EXPECT_THAT(Plan({.filter = "attributes.plan = gold OR attributes.plan = silver"}),
                AllOf(HasSubstr("attribute_index_pkey"), Not(HasSubstr("Seq Scan"))));
    EXPECT_THAT(Plan({.filter = "attributes.plan != gold"}), Not(HasSubstr("attribute_index")));
  }
}

TEST_F(IndexedAttributesTest, WhetherAnAttributeIsIndexedCannotChange) {
  v1::UpdateAttributeDefinitionRequest update;
  Definition& definition = *update.mutable_attribute_definition();
  definition.set_name(absl::StrCat(kAcme, "/attributes/plan", kTwin));
  definition.set_type(Definition::TYPE_STRING);
  definition.set_indexed(true);
  definition.set_display_name("Plan");
  update.mutable_update_mask()->add_paths("indexed");
  EXPECT_THAT(Call(*main_.contacts, &Contacts::UpdateAttributeDefinition, update),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("update_mask")));
  // What cannot change is not looked at, as with the type.
  update.clear_update_mask();
  CLM_ASSERT_OK_AND_ASSIGN(const auto renamed,
                           Call(*main_.contacts, &Contacts::UpdateAttributeDefinition, update));
  EXPECT_FALSE(renamed.indexed());
  definition.set_name(absl::StrCat(kAcme, "/attributes/plan"));
  definition.set_indexed(false);
  CLM_ASSERT_OK_AND_ASSIGN(const auto kept,
                           Call(*main_.contacts, &Contacts::UpdateAttributeDefinition, update));
  EXPECT_TRUE(kept.indexed());

  v1::CreateAttributeDefinitionRequest set;
  set.set_parent(kAcme);
  set.set_attribute_id("tags");
  set.mutable_attribute_definition()->set_type(Definition::TYPE_STRING_SET);
  set.mutable_attribute_definition()->set_indexed(true);
  EXPECT_THAT(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, set),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("attribute.indexed")));
}

}  // namespace
}  // namespace clm::contact
