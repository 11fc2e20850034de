#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libs/base/status_macros.h"
#include "tools/bench/figures.h"
#include "tools/bench/stand.h"
#include "tools/bench/traffic.h"

namespace clm::bench {
namespace {

constexpr int kReadsInFlight = 64, kWritesInFlight = 256, kEventRequestsInFlight = 4;
// Who buys is the same number of people at every size, so that they have equally long histories.
constexpr int kBuyers = 5'000;
constexpr int kPurchaseRequestsPerSecond = 50;

// What may grow, by performance targets: from the first size to ten and to a hundred times it.
struct Growth {
  const char* name;
  const char* work;
  double to_tenfold, to_hundredfold;
  double (*figure)(const Sample&);
  const char* unit;  // Of the figure.
};
constexpr Growth kGetP50 = {"get-fresh", "GetContact from the database, p50",      1.03,
                            1.08,        [](const Sample& s) { return s.p50_us; }, "us p50"};
// The ceiling's side is not there to be taken off: the client's time is the same at every size.
constexpr Growth kCreateCpu = {"create",
                               "CreateContact, processor time of the servers",
                               1.05,
                               1.15,
                               [](const Sample& s) { return s.cpu_us.total() - s.cpu_us.client; },
                               "us/op"};
constexpr Growth kRuleCpu = {
    "rules", "an event's rules, processor time of the lifecycle service", 1.02,
    1.05,    [](const Sample& s) { return s.cpu_us.lifecycle; },          "us/event"};

struct Place {
  int64_t contacts;
  std::unique_ptr<Stand> stand;
  std::unique_ptr<Traffic> traffic;
};

class Scale {
 public:
  Scale(const Options& options, const Tell& tell) : options_(options), tell_(tell) {}

  absl::Status Run() {
    for (const int64_t size : options_.sizes) {
      Place place{.contacts = size};
      CLM_ASSIGN_OR_RETURN(place.stand, Stand::Start({.binaries = options_.binaries,
                                                      .settings = options_.settings,
                                                      .distributed = true}));
      CLM_ASSIGN_OR_RETURN(place.traffic, Traffic::Prepare(*place.stand, options_.client, size));
      places_.push_back(std::move(place));
    }
    CLM_RETURN_IF_ERROR(Compare(kGetP50, kGetContact, kReadsInFlight, [](Place& place) {
      return place.traffic->GetContact(From::kDatabase);
    }));
    CLM_RETURN_IF_ERROR(Compare(kCreateCpu, kCreateContact, kWritesInFlight,
                                [](Place& place) { return place.traffic->CreateContact(); }));
    return Rules();
  }

 private:
  using Run1 = std::function<absl::StatusOr<Sample>(Place&, LoadGenerator&)>;

  absl::Status Compare(const Growth& growth, const std::string& method, int in_flight,
                       const std::function<Work(Place&)>& work) {
    return MeasureAll(growth, method, [this, &work, in_flight](Place& place, LoadGenerator& load) {
      return place.traffic->Run(load, work(place), in_flight, absl::Seconds(options_.seconds));
    });
  }

  // A fixed number of events, until the lifecycle service has judged all of them.
  absl::Status Rules() {
    const auto run = [this](Place& place, LoadGenerator& load) -> absl::StatusOr<Sample> {
      const int requests = kPurchaseRequestsPerSecond * options_.seconds;
      const int buyers = static_cast<int>(std::min<int64_t>(kBuyers, options_.sizes.front()));
      const Work work = place.traffic->Purchases(requests, buyers);
      const CpuTimes before = place.stand->Cpu();
      CLM_ASSIGN_OR_RETURN(Sample sample,
                           place.traffic->Run(load, work, kEventRequestsInFlight,
                                              absl::InfiniteDuration(), kEventsPerRequest));
      CLM_RETURN_IF_ERROR(place.stand->Rest());
      sample.cpu_us =
          (place.stand->Cpu() - before) * (1e6 / (double{kEventsPerRequest} * requests));
      return sample;
    };
    return MeasureAll(kRuleCpu, kIngestEvents, run);
  }

  absl::Status MeasureAll(const Growth& growth, const std::string& method, const Run1& run) {
    std::vector<std::unique_ptr<LoadGenerator>> loads;
    std::vector<Side> sides;
    for (Place& place : places_) {
      CLM_ASSIGN_OR_RETURN(
          auto load, NewLoadGenerator(options_.client, place.stand->contact_socket(), method));
      loads.push_back(std::move(load));
      LoadGenerator* const with = loads.back().get();
      CLM_RETURN_IF_ERROR(run(place, *with).status());  // Warm.
      sides.push_back({.prepare = [this] { return Rest(); },
                       .run = [&place, with, &run] { return run(place, *with); }});
    }
    CLM_ASSIGN_OR_RETURN(const Rounds rounds,
                         Measure(sides, {.rounds = options_.pairs,
                                         .keep_disturbed = options_.keep_disturbed,
                                         .used = [this] { return Used(); }}));
    for (size_t i = 0; i < places_.size(); ++i) TellGrowth(growth, rounds, i);
    return absl::OkStatus();
  }

  absl::Status Rest() {
    for (Place& place : places_) CLM_RETURN_IF_ERROR(place.stand->Rest());
    return absl::OkStatus();
  }

  double Used() const {
    double sum = 0;
    for (const Place& place : places_) {
      CpuTimes times = place.stand->Cpu();
      // This process' time is in each.
      if (&place != &places_.front()) times.client = 0;
      sum += times.total();
    }
    return sum;
  }

  void TellGrowth(const Growth& growth, const Rounds& rounds, size_t at) {
    Row row;
    row.figure = absl::StrCat(growth.name, " ", places_[at].contacts);
    row.work = absl::StrCat(growth.work, ", ", places_[at].contacts, " contacts");
    row.against = absl::StrCat("the same at ", places_.front().contacts);
    row.unit = "growth";
    AddRounds(rounds, &row);
    const auto value = [&](size_t side) {
      return Quantile(OfRounds(rounds, [&](const auto& s) { return growth.figure(s[side]); }), 0.5);
    };
    const auto ratios = OfRounds(rounds, [&](const std::vector<Sample>& s) {
      const double first = growth.figure(s[0]);
      return first > 0 ? growth.figure(s[at]) / first : 0;
    });
    row.value = Quantile(ratios, 0.5);
    row.low = Quantile(ratios, 0.25);
    row.high = Quantile(ratios, 0.75);
    row.rate = Quantile(OfRounds(rounds, [&](const auto& s) { return s[at].rate; }), 0.5);
    row.p50_ms = Quantile(OfRounds(rounds, [&](const auto& s) { return s[at].p50_us / 1e3; }), 0.5);
    row.p99_ms = Quantile(OfRounds(rounds, [&](const auto& s) { return s[at].p99_us / 1e3; }), 0.5);
    row.cpu_us = MedianCpu(rounds, at);
    AddNote(&row, absl::StrFormat("%.1f %s", value(at), growth.unit));
    const int64_t times = places_[at].contacts / places_.front().contacts;
    // Between the sizes that have a bound, the next one's holds.
    const double bound = times <= 1 ? 1 : times <= 10 ? growth.to_tenfold : growth.to_hundredfold;
    if (times <= 100) {
      row.at_least = row.aim = absl::StrFormat("%.2f", bound);
      row.reached = Judge(*row.value, {bound, bound, true});
    } else {
      AddNote(&row, "no bound is set for so many");
    }
    if (row.failed > 0) row.reached = Reached::kNo;
    tell_(row);
  }

  const Options& options_;
  const Tell& tell_;
  std::vector<Place> places_;
};

}  // namespace

absl::Status RunScale(const Options& options, const Tell& tell) {
  return Scale(options, tell).Run();
}

}  // namespace clm::bench
