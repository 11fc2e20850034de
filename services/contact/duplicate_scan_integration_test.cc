#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "libs/base/clock.h"
#include "libs/base/error.h"
#include "libs/journal/feed.h"
#include "libs/journal/lease.h"
#include "libs/testing/eventually.h"
#include "services/contact/contact_fixture.h"
#include "services/contact/contact_reader.h"
#include "services/contact/duplicate_scan.h"

namespace clm::contact {
namespace {

using ::clm::testing::IsOkAndHolds;
using ::clm::testing::ReasonIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Pairs = std::vector<v1::DuplicateCandidate>;

class DuplicatesTest : public ContactTest {
 protected:
  void DefinePostalCode(const std::string& parent = kAcme) {
    v1::CreateAttributeDefinitionRequest define;
    define.set_parent(parent);
    define.set_attribute_id("postal_code");
    define.mutable_attribute_definition()->set_type(v1::AttributeDefinition::TYPE_STRING);
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::CreateAttributeDefinition, define));
  }
  std::string Person(const std::string& email, const std::string& given, const std::string& family,
                     const std::string& postal = "10115", const std::string& parent = kAcme) {
    auto request = NewContact(email, parent);
    request.mutable_contact()->set_given_name(given);
    request.mutable_contact()->set_family_name(family);
    if (!postal.empty()) {
      (*request.mutable_contact()->mutable_attributes())["postal_code"].set_string_value(postal);
    }
    const auto created = Call(*main_.contacts, &Contacts::CreateContact, request);
    CLM_EXPECT_OK(created);
    return created.ok() ? created->name() : "";
  }
  void Rename(const std::string& name, const std::string& family) {
    v1::UpdateContactRequest update;
    update.mutable_contact()->set_name(name);
    update.mutable_contact()->set_family_name(family);
    CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::UpdateContact, update));
  }
  v1::ListDuplicateCandidatesResponse List(const std::string& parent = kAcme, int min_score = 0) {
    v1::ListDuplicateCandidatesRequest list;
    list.set_parent(parent);
    list.set_min_score(min_score);
    const auto found = Call(*main_.contacts, &Contacts::ListDuplicateCandidates, list);
    CLM_EXPECT_OK(found);
    return found.value_or(v1::ListDuplicateCandidatesResponse());
  }
  Pairs Candidates(const std::string& parent = kAcme) {
    const auto found = List(parent);
    return {found.candidates().begin(), found.candidates().end()};
  }
};

TEST_F(DuplicatesTest, AreFoundByTheServiceItselfAndNeverMerged) {
  DefinePostalCode();
  const std::string older = Person("jose@example.com", "Jos\xC3\xA9", "O'Hara");
  const std::string younger = Person("jose@example.org", "Jos\xC3\xA9", "OHara");
  Person("eve@example.com", "Eve", "Stone");
  const absl::Time recorded = absl::Now();
  // Nobody asks for it; the answer says when all of this has been looked at.
  v1::ListDuplicateCandidatesResponse found;
  ASSERT_TRUE(clm::testing::Eventually([&] {
    found = List();
    return FromProto(found.scan_time()) >= recorded || HasFailure();
  }));
  ASSERT_EQ(found.candidates_size(), 1);
  EXPECT_EQ(found.candidates(0).contact(), older);
  EXPECT_EQ(found.candidates(0).duplicate(), younger);
  EXPECT_GE(found.candidates(0).score(), 70);
  EXPECT_THAT(found.candidates(0).reasons(), ElementsAre("name and postcode"));
  EXPECT_EQ(Count("SELECT count(*) FROM merge"), 0);
  EXPECT_EQ(List(kAcme, found.candidates(0).score() + 1).candidates_size(), 0);
}

// Scans of the test's own, on the database of a server whose scan another process seems to do.
class DuplicateScanTest : public DuplicatesTest {
 protected:
  DuplicateScanTest()
      : pool_(pg::NewPool({.dsn = database_.app_dsn})),
        reader_(pool_.get(), std::string(32, 's')),
        feed_({pool_.get(), &heads_}) {}

  void SetUp() override {
    // The lease of the server's scan, for as long as the test lasts.
    journal::Leases taken(pool_.get(), DuplicateScan::Options().lease, Uuid::V7(absl::Now()),
                          absl::Hours(1), 1);
    while (taken.Refresh()->empty()) {
      Change("UPDATE consumer_shard SET lease_until = '-infinity'");
    }
    DefinePostalCode();
  }

  void Change(const std::string& sql) {
    CLM_ASSERT_OK(pool_->Transact({pg::Scope::Suite()},
                                  [&](pg::Tx& tx) { return tx.ExecDynamic(sql).status(); }));
  }

  DuplicateScan::Options Options() {
    DuplicateScan::Options options;
    options.pool = pool_.get();
    options.reader = &reader_;
    options.feed = &feed_;
    options.clock = &clock_;
    options.lease = "test-scan";
    return options;
  }

  std::unique_ptr<pg::Pool> pool_;
  ContactReader reader_;
  journal::Heads heads_;
  journal::Feed feed_;
  SystemClock clock_;
};

TEST_F(DuplicateScanTest, OnlyWhatChangedIsComparedAgain) {
  Person("ada@example.com", "Ada", "Lovelace");
  const std::string other = Person("ada@example.org", "Ada", "Lovelace");
  Person("eve@example.com", "Eve", "Stone");
  DuplicateScan scan(Options());
  EXPECT_THAT(scan.RunOnce(), IsOkAndHolds(3));
  EXPECT_THAT(Candidates(), SizeIs(1));
  EXPECT_THAT(scan.RunOnce(), IsOkAndHolds(0));
  // A pair goes when what made it goes, and comes when something makes it.
  Rename(other, "Stone");
  EXPECT_THAT(scan.RunOnce(), IsOkAndHolds(1));
  EXPECT_THAT(Candidates(), IsEmpty());
  Rename(other, "Lovelace");
  EXPECT_THAT(scan.RunOnce(), IsOkAndHolds(1));
  EXPECT_THAT(Candidates(), SizeIs(1));
}

TEST_F(DuplicateScanTest, AnAddressThatDiffersByATagIsFound) {
  const std::string older = Person("ada.lovelace@gmail.com", "Ada", "Lovelace", "");
  const std::string younger = Person("adalovelace+shop@gmail.com", "A", "", "");
  DuplicateScan scan(Options());
  CLM_ASSERT_OK(scan.RunOnce());
  const Pairs pairs = Candidates();
  ASSERT_THAT(pairs, SizeIs(1));
  EXPECT_EQ(pairs[0].contact(), older);
  EXPECT_EQ(pairs[0].duplicate(), younger);
  EXPECT_THAT(pairs[0].reasons(), ElementsAre("similar email"));
}

TEST_F(DuplicateScanTest, ManyContactsTakeManySteps) {
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) {
    names.push_back(Person(absl::StrCat("p", i, "@example.com"), "Ada",
                           absl::StrCat("Lovelace", i / 2 * 7919), absl::StrCat(10000 + i / 2)));
  }
  DuplicateScan::Options options = Options();
  options.max_records = 1;
  int64_t told = 0;
  options.on_compared = [&](int64_t count) { told += count; };
  DuplicateScan scan(options);
  EXPECT_THAT(scan.RunOnce(), IsOkAndHolds(40));
  EXPECT_EQ(told, 40);
  EXPECT_THAT(Candidates(), SizeIs(20));
  EXPECT_EQ(scan.lag(), 0);
}

TEST_F(DuplicateScanTest, AnotherScanGoesOnWhereTheLastOneStood) {
  Person("ada@example.com", "Ada", "Lovelace");
  {
    DuplicateScan first(Options());
    EXPECT_THAT(first.RunOnce(), IsOkAndHolds(1));
    // One at a time.
    DuplicateScan second(Options());
    Person("ada@example.org", "Ada", "Lovelace");
    EXPECT_THAT(second.RunOnce(), IsOkAndHolds(0));
    EXPECT_THAT(Candidates(), IsEmpty());
    first.Start();
    first.Stop();  // Gives the lease back, and has done its share or not.
  }
  DuplicateScan::Options eager = Options();
  DuplicateScan heir(eager);
  CLM_ASSERT_OK(heir.RunOnce());
  EXPECT_THAT(Candidates(), SizeIs(1));
  EXPECT_THAT(heir.RunOnce(), IsOkAndHolds(0));
}

TEST_F(DuplicateScanTest, WhoLostTheLeaseWritesNothing) {
  DuplicateScan late(Options());
  EXPECT_THAT(late.RunOnce(), IsOkAndHolds(0));
  Person("ada@example.com", "Ada", "Lovelace");
  Person("ada@example.org", "Ada", "Lovelace");
  // It does not know yet that another has taken over.
  Change("UPDATE consumer_shard SET fence = fence + 1 WHERE source = 'test-scan'");
  EXPECT_THAT(late.RunOnce(), ReasonIs("FENCED"));
  EXPECT_EQ(Count("SELECT count(*) FROM duplicate_key"), 0);
  EXPECT_THAT(Candidates(), IsEmpty());
}

TEST_F(DuplicateScanTest, TheMergedAndTheErasedLeaveNothing) {
  const std::string one = Person("ada@example.com", "Ada", "Lovelace");
  const std::string two = Person("ada@example.org", "Ada", "Lovelace");
  const std::string three = Person("ada@example.net", "Ada", "Lovelace");
  DuplicateScan scan(Options());
  CLM_ASSERT_OK(scan.RunOnce());
  EXPECT_THAT(Candidates(), SizeIs(3));
  v1::MergeContactsRequest merge;
  merge.set_primary(one);
  merge.set_duplicate(two);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::MergeContacts, merge));
  EXPECT_THAT(Candidates(), SizeIs(1)) << "at once";
  CLM_ASSERT_OK(scan.RunOnce());
  EXPECT_THAT(Candidates(), SizeIs(1));
  v1::EraseContactRequest erase;
  erase.set_name(three);
  CLM_ASSERT_OK(Call(*main_.contacts, &Contacts::EraseContact, erase));
  EXPECT_THAT(Candidates(), IsEmpty()) << "at once";
  CLM_ASSERT_OK(scan.RunOnce());
  EXPECT_THAT(Candidates(), IsEmpty());
  EXPECT_EQ(Count("SELECT count(DISTINCT contact_id) FROM duplicate_key"), 1);
}

TEST_F(DuplicateScanTest, TenantsAreNotComparedWithEachOther) {
  DefinePostalCode(kGlobex);
  Person("ada@example.com", "Ada", "Lovelace");
  Person("ada@example.org", "Ada", "Lovelace", "10115", kGlobex);
  DuplicateScan scan(Options());
  EXPECT_THAT(scan.RunOnce(), IsOkAndHolds(2));
  EXPECT_THAT(Candidates(), IsEmpty());
  EXPECT_THAT(Candidates(kGlobex), IsEmpty());
}

TEST_F(DuplicateScanTest, AKeyOfTooManyIsNotFollowed) {
  for (int i = 0; i < 4; ++i) Person(absl::StrCat("p", i, "@example.com"), "Ada", "Lovelace");
  DuplicateScan::Options options = Options();
  options.max_block = 3;
  DuplicateScan scan(options);
  CLM_ASSERT_OK(scan.RunOnce());
  EXPECT_THAT(Candidates(), IsEmpty());
}

TEST_F(DuplicateScanTest, OtherRulesCompareEverybodyAnew) {
  Person("ada@example.com", "Ada", "Lovelace");
  {
    DuplicateScan scan(Options());
    EXPECT_THAT(scan.RunOnce(), IsOkAndHolds(1));
    scan.Start();
    scan.Stop();
  }
  Change("UPDATE duplicate_scan SET rules = rules - 1");
  DuplicateScan scan(Options());
  EXPECT_THAT(scan.RunOnce(), IsOkAndHolds(1));
}

}  // namespace
}  // namespace clm::contact
