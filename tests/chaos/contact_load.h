// A load on the contact service that knows what must be true afterwards: several tenants, contacts
// that are created and changed step by step, events for one contact and for several at once.
#ifndef CLM_TESTS_CHAOS_CONTACT_LOAD_H_
#define CLM_TESTS_CHAOS_CONTACT_LOAD_H_

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "clm/contact/v1/contact.pb.h"
#include "tests/chaos/harness.h"

namespace clm::chaos {

class ContactLoad {
 public:
  struct Options {
    std::vector<std::string> tenants = {"acme", "globex", "initech"};
    int contacts = 8;  // Per tenant.
    int updates = 3;   // Per contact.
    int threads = 6;
    // How long ago a contact's events happen, by contact and step.
    std::function<absl::Duration(int contact, int step)> ago = [](int, int step) {
      return absl::Hours(24 * (100 - step));
    };
  };

  // Creates a contact per tenant that takes a part of everybody's events, and begins. `caller` must
  // outlive the load.
  ContactLoad(Caller* caller, Options options);
  ~ContactLoad();

  // Waits until so many requests are answered, or all.
  void AwaitAnswers(int count);
  int expected_answers() const;
  // Waits for the end.
  void Finish();

  // After Finish: everything acknowledged is there, everything is there once, and every request
  // that is repeated now is answered as before.
  void ExpectExactlyOnce(const clm::testing::Database& database);

 private:
  void Run();
  contact::v1::Contact Create(const std::string& tenant, const std::string& name);
  void RunContact(const std::string& tenant, int number);
  void Ingest(const std::string& tenant, const std::vector<std::string>& contacts, int number,
              int step);
  void Answered(std::function<void()> repeat);

  Caller* const caller_;
  const Options options_;
  std::atomic<int> next_{0};
  mutable absl::Mutex mu_;
  std::map<std::string, contact::v1::Contact> contacts_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> events_ ABSL_GUARDED_BY(mu_);
  std::vector<std::function<void()>> repeats_ ABSL_GUARDED_BY(mu_);
  int answers_ ABSL_GUARDED_BY(mu_) = 0;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

// The id that a test's own numbering gives.
std::string IdOf(const std::string& text);

}  // namespace clm::chaos

#endif  // CLM_TESTS_CHAOS_CONTACT_LOAD_H_
