#include "services/loyalty/membership_part.h"

#include "clm/contact/v1/contact.pb.h"
#include "clm/loyalty/v1/membership.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/wire_format_lite.h"
#include "libs/base/time_proto.h"

namespace clm::loyalty {
namespace {

using google::protobuf::internal::WireFormatLite;

constexpr uint32_t BytesTag(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}
constexpr uint32_t VarintTag(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_VARINT);
}

// Reads the fields of a message one after the other.
class WireFields {
 public:
  explicit WireFields(absl::string_view bytes)
      : bytes_(bytes),
        in_(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size())) {}

  // The next tag; 0 at the end, and at what is no message.
  uint32_t Tag() { return in_.ReadTag(); }
  // Each is false when the message ends too early.
  bool Bytes(absl::string_view* value) {
    uint32_t size = 0;
    if (!in_.ReadVarint32(&size)) return false;
    const size_t begin = in_.CurrentPosition();
    if (size > bytes_.size() - begin) return false;
    *value = bytes_.substr(begin, size);
    return in_.Skip(static_cast<int>(size));
  }
  bool Number(int64_t* value) {
    uint64_t number = 0;
    if (!in_.ReadVarint64(&number)) return false;
    *value = static_cast<int64_t>(number);
    return true;
  }
  bool Skip(uint32_t tag) { return WireFormatLite::SkipField(&in_, tag); }
  bool AtEnd() { return in_.ConsumedEntireMessage(); }

 private:
  const absl::string_view bytes_;
  google::protobuf::io::CodedInputStream in_;
};

// Empty when it has none.
std::optional<absl::string_view> NameIn(absl::string_view member) {
  WireFields fields(member);
  absl::string_view name;
  while (const uint32_t tag = fields.Tag()) {
    // The name has the lowest number, so it comes first.
    if (tag == BytesTag(v1::Member::kNameFieldNumber)) {
      if (!fields.Bytes(&name)) return std::nullopt;
      return name;
    }
    if (!fields.Skip(tag)) return std::nullopt;
  }
  return name;
}

std::optional<HeldMembership> ReadMembership(absl::string_view bytes) {
  HeldMembership held;
  WireFields fields(bytes);
  while (const uint32_t tag = fields.Tag()) {
    if (tag == BytesTag(v1::Membership::kMemberFieldNumber)) {
      if (!fields.Bytes(&held.member)) return std::nullopt;
    } else if (tag == VarintTag(v1::Membership::kProgramVersionFieldNumber)) {
      if (!fields.Number(&held.program_version)) return std::nullopt;
    } else if (tag == BytesTag(v1::Membership::kHoldUntilTimeFieldNumber)) {
      absl::string_view until;
      google::protobuf::Timestamp time;
      if (!fields.Bytes(&until) ||
          !time.ParseFromArray(until.data(), static_cast<int>(until.size()))) {
        return std::nullopt;
      }
      held.hold_until = clm::FromProto(time);
    } else if (!fields.Skip(tag)) {
      return std::nullopt;
    }
  }
  if (!fields.AtEnd()) return std::nullopt;
  return held;
}

}  // namespace

std::optional<HeldMembership> MembershipIn(absl::string_view part, absl::string_view name) {
  WireFields fields(part);
  while (const uint32_t tag = fields.Tag()) {
    if (tag != BytesTag(contact::v1::CustomerContext::kMembershipsFieldNumber)) {
      if (!fields.Skip(tag)) return std::nullopt;
      continue;
    }
    absl::string_view bytes;
    if (!fields.Bytes(&bytes)) return std::nullopt;
    const std::optional<HeldMembership> held = ReadMembership(bytes);
    if (!held) return std::nullopt;
    if (NameIn(held->member) == name) return held;
  }
  return std::nullopt;
}

}  // namespace clm::loyalty
