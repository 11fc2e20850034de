// A tenant with contacts on a stand, and what is sent to them.
#ifndef CLM_TOOLS_BENCH_TRAFFIC_H_
#define CLM_TOOLS_BENCH_TRAFFIC_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/bench/closed_loop.h"
#include "tools/bench/measure.h"
#include "tools/bench/stand.h"

namespace clm::bench {

inline constexpr char kGetContact[] = "/clm.contact.v1.ContactService/GetContact";
inline constexpr char kGetCustomerContext[] = "/clm.contact.v1.ContactService/GetCustomerContext";
inline constexpr char kCreateContact[] = "/clm.contact.v1.ContactService/CreateContact";
inline constexpr char kIngestEvents[] = "/clm.contact.v1.TimelineService/IngestEvents";
inline constexpr char kMoveCustomer[] = "/clm.lifecycle.v1.LifecycleService/MoveCustomer";

inline constexpr int kMaxInFlight = 256;
inline constexpr int kEventsPerRequest = 100;

// The tenant's id, also of the models' names: "tenants/bench".
inline constexpr char kTenant[] = "bench";

// Where an answer may come from.
enum class From {
  kDatabase,
  kRedis,  // Or the database, when it is not there.
  kNear,   // The memory of the process, or as above.
};

// A Work refers to its Traffic, which must outlive it. Not thread-safe, but for the functions of a
// Work, as closed_loop.h says.
class Traffic {
 public:
  // Makes the tenant, the models "non-contractual" (with its rules, which judge purchases) and
  // "bench" (free moves between "a" and "b"), and `contacts` contacts; comes to rest, vacuums.
  static absl::StatusOr<std::unique_ptr<Traffic>> Prepare(Stand& stand, Client client,
                                                          int64_t contacts);

  // In an order that has nothing to do with that of their making.
  const std::vector<std::string>& names() const { return names_; }

  // Reads of contacts whose popularity follows Zipf's law.
  Work GetContact(From from);
  Work GetCustomerContext(From from);
  // Of every contact once: afterwards they are all in the caches that may answer.
  Work GetEveryContact(From from);
  Work GetEveryCustomerContext(From from);
  Work CreateContact();
  // Each slot moves a customer of its own to and fro, with the etag that the last move told.
  Work MoveCustomer();
  // Visits of random contacts.
  Work Visits();
  // `requests` requests of purchases by those out of the first `customers` names.
  Work Purchases(int requests, int customers);

  // Contacts or events or moves that were acknowledged so far by any of the above.
  int64_t acknowledged() const { return acknowledged_; }

  // Runs the work on a generator for a slice; one operation is `items` items.
  absl::StatusOr<Sample> Run(LoadGenerator& generator, const Work& work, int in_flight,
                             absl::Duration length, int items = 1);

 private:
  Traffic(Stand& stand, Client client) : stand_(stand), client_(client) {}
  absl::Status MakeTenant();
  absl::Status MakeContacts(int64_t contacts);
  size_t AnyName() const;
  Work Reads(std::function<bool(int slot, size_t* name)> pick, bool context, From from);
  std::function<bool(int slot, size_t* name)> Any();
  std::function<bool(int slot, size_t* name)> Every();

  struct Mover {
    std::string etag;
    bool at_a = false;
  };
  Stand& stand_;
  const Client client_;
  std::vector<std::string> names_;
  std::vector<size_t> asked_ = std::vector<size_t>(kMaxInFlight);
  std::vector<Mover> movers_ = std::vector<Mover>(kMaxInFlight);
  int64_t acknowledged_ = 0;
};

}  // namespace clm::bench

#endif  // CLM_TOOLS_BENCH_TRAFFIC_H_
