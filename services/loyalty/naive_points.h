// The rules of the ledger told a second time, as plainly as can be and as slowly: every single
// point is a thing of its own that is looked for among all points, and time passes tick by tick.
// There are no totals, lots are labels, nothing is sorted. What the property test compares the
// ledger with.
#ifndef CLM_SERVICES_LOYALTY_NAIVE_POINTS_H_
#define CLM_SERVICES_LOYALTY_NAIVE_POINTS_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "libs/base/uuid.h"

namespace clm::loyalty {

class NaivePoints {
 public:
  static constexpr int kNever = std::numeric_limits<int>::max();

  enum class State { kPending, kActive, kHeld, kRedeemed, kExpired, kGone };
  struct Label {
    Uuid id;
    int earned_at = 0;
    int active_at = 0;
    int expires_at = kNever;
    int earned = 0;
    int returned = 0;
  };
  struct Point {
    int owner = 0;
    Uuid lot;
    State state = State::kActive;
    Uuid taken_by;     // The hold or redemption.
    int taken_as = 0;  // Its how manieth point.
  };
  struct Member {
    int debt = 0;
    int earned = 0;
    int redeemed = 0;
    int expired = 0;
    int returned = 0;
    int adjusted = 0;
    int transferred = 0;
  };
  struct OpenHold {
    int owner = 0;
    int ends_at = kNever;
  };

  int now = 0;
  std::vector<Point> points;
  std::map<Uuid, Label> labels;
  std::map<int, Member> members;
  std::map<Uuid, OpenHold> open_holds;

  void PassTo(int tick) {
    while (now < tick) {
      ++now;
      for (Point& p : points) {
        if (p.state != State::kPending && p.state != State::kActive) continue;
        if (labels[p.lot].expires_at <= now) Expire(p);
      }
      // By id, as they are in the map.
      for (auto it = open_holds.begin(); it != open_holds.end();) {
        const Uuid id = it->first;
        const bool ends = it->second.ends_at <= now;
        ++it;
        if (ends) EndHold(id, 0, Uuid());
      }
      while (Point* p = First([&](const Point& x) {
               return x.state == State::kPending && labels[x.lot].active_at <= now;
             })) {
        Arrive(*p);
      }
    }
  }

  void Earn(int who, const Label& label, bool by_hand) {
    labels[label.id] = label;
    (by_hand ? members[who].adjusted : members[who].earned) += label.earned;
    for (int i = 0; i < label.earned; ++i) {
      points.push_back({.owner = who, .lot = label.id, .state = State::kPending});
      if (label.active_at <= now) Arrive(points.back());
    }
  }

  void Activate(const Uuid& lot) {
    for (Point& p : points) {
      if (p.lot == lot && p.state == State::kPending) Arrive(p);
    }
  }

  // Takes nothing unless there is enough.
  bool Redeem(int who, int amount, const Uuid& redemption) {
    if (Count(who, State::kActive) < amount) return false;
    for (int i = 0; i < amount; ++i) Take(*Next(who), State::kRedeemed, redemption, i);
    members[who].redeemed += amount;
    return true;
  }

  bool Hold(int who, int amount, const Uuid& hold, int ends_at) {
    if (Count(who, State::kActive) < amount) return false;
    for (int i = 0; i < amount; ++i) Take(*Next(who), State::kHeld, hold, i);
    open_holds[hold] = {who, ends_at};
    return true;
  }

  int Held(const Uuid& hold) const { return TakenBy(hold, State::kHeld); }

  void EndHold(const Uuid& hold, int captured, const Uuid& redemption) {
    for (int i = 0; Held(hold) > 0; ++i) {
      Point& p = Taken(hold, i);
      if (i < captured) {
        Take(p, State::kRedeemed, redemption, i);
        ++members[p.owner].redeemed;
      } else {
        Arrive(p);
      }
    }
    open_holds.erase(hold);
  }

  int LeftToCancel(const Uuid& redemption) const { return TakenBy(redemption, State::kRedeemed); }

  void Cancel(const Uuid& redemption, int amount) {
    const int left = LeftToCancel(redemption);
    // The last points taken are the first to come back, and of these the earliest to expire pays.
    for (int i = left - amount; i < left; ++i) {
      Point& p = Taken(redemption, i);
      --members[p.owner].redeemed;
      Arrive(p);
    }
  }

  enum class Policy { kPending, kBalance, kUnlimited };
  // How much could not be taken.
  int Return(int who, const Uuid& lot, int amount, Policy policy) {
    int not_taken = amount;
    const auto of_lot = [&](State state) {
      return First([&](const Point& x) { return x.lot == lot && x.state == state; });
    };
    int expired = 0;
    for (const Point& p : points) expired += p.lot == lot && p.state == State::kExpired ? 1 : 0;
    Label& label = labels[lot];
    const bool was_pending = of_lot(State::kPending) != nullptr;
    for (; not_taken > 0 && label.returned + expired < label.earned; --not_taken) {
      Point* p = of_lot(State::kPending);
      if (p == nullptr && (was_pending || policy == Policy::kPending)) break;
      if (p == nullptr) p = of_lot(State::kActive);
      if (p == nullptr) p = Next(who);
      if (p == nullptr && policy != Policy::kUnlimited) break;
      if (p == nullptr) {
        ++members[who].debt;
      } else {
        p->state = State::kGone;
      }
      ++label.returned;
      ++members[who].returned;
    }
    return not_taken;
  }

  bool AdjustDown(int who, int amount) {
    if (Count(who, State::kActive) < amount) return false;
    for (int i = 0; i < amount; ++i) Next(who)->state = State::kGone;
    members[who].adjusted -= amount;
    return true;
  }

  bool Transfer(int from, int to, int amount, const Uuid& posting) {
    if (Count(from, State::kActive) < amount) return false;
    for (int i = 0; i < amount; ++i) {
      Point* given = Next(from);
      given->state = State::kGone;
      const Uuid id = Uuid::V5(posting, given->lot.ToString());
      Label label = labels[given->lot];
      label.id = id;
      label.earned = labels[id].earned + 1;
      label.returned = 0;
      labels[id] = label;
      points.push_back({.owner = to, .lot = id});
      Arrive(points.back());
    }
    members[from].transferred -= amount;
    members[to].transferred += amount;
    return true;
  }

  void Merge(int from, int into) {
    for (Point& p : points) {
      if (p.owner == from) p.owner = into;
    }
    for (auto& [id, hold] : open_holds) {
      if (hold.owner == from) hold.owner = into;
    }
    const Member gone = members[from];
    members.erase(from);
    Member& member = members[into];
    member.debt += gone.debt;
    member.earned += gone.earned;
    member.redeemed += gone.redeemed;
    member.expired += gone.expired;
    member.returned += gone.returned;
    member.adjusted += gone.adjusted;
    member.transferred += gone.transferred;
    for (; member.debt > 0 && Next(into) != nullptr; --member.debt) {
      Next(into)->state = State::kGone;
    }
  }

  int Count(int who, State state) const {
    return static_cast<int>(std::count_if(points.begin(), points.end(), [&](const Point& p) {
      return p.owner == who && p.state == state;
    }));
  }
  int CountOfLot(const Uuid& lot, State state) const {
    return static_cast<int>(std::count_if(points.begin(), points.end(), [&](const Point& p) {
      return p.lot == lot && p.state == state;
    }));
  }

 private:
  template <class Wanted>
  Point* First(Wanted wanted) {
    Point* first = nullptr;
    for (Point& p : points) {
      if (wanted(p) && (first == nullptr || Rank(p) < Rank(*first))) first = &p;
    }
    return first;
  }
  std::tuple<int, int, Uuid> Rank(const Point& p) {
    const Label& label = labels[p.lot];
    return {label.expires_at, label.earned_at, label.id};
  }
  // Null: none.
  Point* Next(int who) {
    return First([&](const Point& p) { return p.owner == who && p.state == State::kActive; });
  }

  static void Take(Point& p, State state, const Uuid& by, int as) {
    p.state = state;
    p.taken_by = by;
    p.taken_as = as;
  }
  int TakenBy(const Uuid& by, State state) const {
    return static_cast<int>(std::count_if(points.begin(), points.end(), [&](const Point& p) {
      return p.taken_by == by && p.state == state;
    }));
  }
  Point& Taken(const Uuid& by, int as) {
    return *std::find_if(points.begin(), points.end(), [&](const Point& p) {
      return p.taken_by == by && p.taken_as == as &&
             (p.state == State::kHeld || p.state == State::kRedeemed);
    });
  }

  void Expire(Point& p) {
    p.state = State::kExpired;
    ++members[p.owner].expired;
  }
  void Arrive(Point& p) {
    Member& member = members[p.owner];
    if (labels[p.lot].expires_at <= now) {
      Expire(p);
    } else if (member.debt > 0) {
      --member.debt;
      p.state = State::kGone;
    } else {
      p.state = State::kActive;
    }
  }
};

}  // namespace clm::loyalty

#endif  // CLM_SERVICES_LOYALTY_NAIVE_POINTS_H_
