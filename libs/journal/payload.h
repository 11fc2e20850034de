// How large what a mutation records may be.
#ifndef CLM_LIBS_JOURNAL_PAYLOAD_H_
#define CLM_LIBS_JOURNAL_PAYLOAD_H_

#include <cstddef>

namespace clm::journal {

// The most bytes of an Entry's payload, so that every consumer can be sent every record. Who may
// come to more splits it over several entries or refuses, naming the field; what is larger all the
// same is refused by the lanes: INVALID_ARGUMENT, reason EVENT_TOO_LARGE.
inline constexpr size_t kMaxPayload = 1 << 20;

}  // namespace clm::journal

#endif  // CLM_LIBS_JOURNAL_PAYLOAD_H_
