#include "tests/walks/samples.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "libs/rpc/formats.h"

namespace clm::walks {
namespace {

namespace pb = google::protobuf;
using options::v1::FieldRule;
using Field = const pb::FieldDescriptor*;

// What holds where a field says nothing: see FieldRule.
constexpr uint32_t kMostBytes = 4096;
constexpr uint32_t kMostItems = 1000;
constexpr size_t kMostKeyBytes = 256;

const FieldRule& RuleOf(Field field) { return field->options().GetExtension(options::v1::field); }

bool IsRequired(Field field) { return RuleOf(field).behavior() == FieldRule::BEHAVIOR_REQUIRED; }

// Cleared by the server, whatever it holds; a resource's own name is not.
bool IsIgnored(Field field) {
  return RuleOf(field).behavior() == FieldRule::BEHAVIOR_OUTPUT_ONLY && field->name() != "name";
}

// The field that has the value's type: that of a map's values.
Field ValueOf(Field field) { return field->is_map() ? field->message_type()->map_value() : field; }

bool IsMessage(Field field) {
  return ValueOf(field)->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
}

// A message whose fields have rules of their own.
bool IsPlainMessage(Field field) {
  return IsMessage(field) && ValueOf(field)->message_type()->well_known_type() ==
                                 pb::Descriptor::WELLKNOWNTYPE_UNSPECIFIED;
}

void AddWays(const pb::Descriptor* type, Way& way, std::vector<const pb::Descriptor*>& within,
             std::vector<Way>& ways) {
  within.push_back(type);
  for (int i = 0; i < type->field_count(); ++i) {
    const Field field = type->field(i);
    if (IsIgnored(field)) continue;
    way.push_back(field);
    ways.push_back(way);
    if (IsPlainMessage(field)) {
      const pb::Descriptor* inner = ValueOf(field)->message_type();
      if (std::find(within.begin(), within.end(), inner) == within.end()) {
        AddWays(inner, way, within, ways);
      }
    }
    way.pop_back();
  }
  within.pop_back();
}

std::string PathOf(const Way& way, size_t steps, bool element) {
  std::string path;
  for (size_t i = 0; i < steps; ++i) {
    absl::StrAppend(&path, i == 0 ? "" : ".", way[i]->name());
    if (i + 1 == steps && !element) break;
    if (way[i]->is_map()) {
      absl::StrAppend(&path, "[", kKey, "]");
    } else if (way[i]->is_repeated()) {
      absl::StrAppend(&path, "[0]");
    }
  }
  return path;
}

// The entry with kKey of a map.
pb::Message& Entry(pb::Message& holder, Field field) {
  const pb::Reflection& reflection = *holder.GetReflection();
  const Field key = field->message_type()->map_key();
  for (int i = 0; i < reflection.FieldSize(holder, field); ++i) {
    pb::Message& entry = *reflection.MutableRepeatedMessage(&holder, field, i);
    if (entry.GetReflection()->GetString(entry, key) == kKey) return entry;
  }
  pb::Message& entry = *reflection.AddMessage(&holder, field);
  entry.GetReflection()->SetString(&entry, key, kKey);
  return entry;
}

// The message of the field, its first element, or the value at kKey.
pb::Message& Inner(pb::Message& holder, Field field) {
  if (field->is_map()) {
    pb::Message& entry = Entry(holder, field);
    return *entry.GetReflection()->MutableMessage(&entry, ValueOf(field));
  }
  const pb::Reflection& reflection = *holder.GetReflection();
  if (!field->is_repeated()) return *reflection.MutableMessage(&holder, field);
  if (reflection.FieldSize(holder, field) == 0) return *reflection.AddMessage(&holder, field);
  return *reflection.MutableRepeatedMessage(&holder, field, 0);
}

// Sets a scalar by `set(message, field)` for a singular field, `add` for an element.
template <class Set, class Add, class Value>
void SetScalar(pb::Message& holder, Field field, Set set, Add add, const Value& value) {
  if (field->is_map()) {
    pb::Message& entry = Entry(holder, field);
    return (entry.GetReflection()->*set)(&entry, ValueOf(field), value);
  }
  const pb::Reflection& reflection = *holder.GetReflection();
  if (!field->is_repeated()) return (reflection.*set)(&holder, field, value);
  reflection.ClearField(&holder, field);
  (reflection.*add)(&holder, field, value);
}

void SetNumber(pb::Message& holder, Field field, int64_t value) {
  using R = pb::Reflection;
  switch (ValueOf(field)->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return SetScalar(holder, field, &R::SetInt32, &R::AddInt32, static_cast<int32_t>(value));
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return SetScalar(holder, field, &R::SetInt64, &R::AddInt64, value);
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return SetScalar(holder, field, &R::SetUInt32, &R::AddUInt32, static_cast<uint32_t>(value));
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return SetScalar(holder, field, &R::SetUInt64, &R::AddUInt64, static_cast<uint64_t>(value));
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return SetScalar(holder, field, &R::SetEnumValue, &R::AddEnumValue, static_cast<int>(value));
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return SetScalar(holder, field, &R::SetBool, &R::AddBool, value != 0);
    default:
      FAIL() << field->full_name();
  }
}

void SetReal(pb::Message& holder, Field field, double value) {
  using R = pb::Reflection;
  if (ValueOf(field)->cpp_type() == pb::FieldDescriptor::CPPTYPE_FLOAT) {
    return SetScalar(holder, field, &R::SetFloat, &R::AddFloat, static_cast<float>(value));
  }
  SetScalar(holder, field, &R::SetDouble, &R::AddDouble, value);
}

// The bounds of what the type of an integer can hold.
std::pair<int64_t, int64_t> RangeOf(Field field) {
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return {0, std::numeric_limits<uint32_t>::max()};
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return {0, std::numeric_limits<int64_t>::max()};
    default:
      return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
  }
}

// Whatever a rule may ask of a text, and what hardly any rule takes.
constexpr const char* kCandidates[] = {"email",
                                       "sample",
                                       "a",
                                       "text",
                                       "admin",
                                       "contacts.read",
                                       "EUR",
                                       "Sample",
                                       "SAMPLE",
                                       "1",
                                       "0",
                                       "-",
                                       "a1",
                                       "a-b",
                                       "a_b",
                                       "a.b",
                                       "a:b",
                                       "a=b",
                                       "name",
                                       "2026-01-01",
                                       "2026-01",
                                       "12:00",
                                       "P1D",
                                       "/a",
                                       "#000000",
                                       "user@example.com",
                                       "+4930123456",
                                       "https://example.com/",
                                       "0190c3d2-8d5e-7c3a-9d4b-1f2e3d4c5b6a",
                                       "de",
                                       "Europe/Berlin"};
constexpr const char* kOddities[] = {"!?", "A B", "\n", " ", "0"};

// The part of a fault that acts on the message that holds the field.
struct Damage {
  std::string what;
  std::function<void(pb::Message& holder)> plant;
  std::string path;  // Instead of the field's own.
  bool alone = true;
};

// Faults of one value; of an element, if the field has several.
std::vector<Damage> TextDamage(const Samples& samples, Field field) {
  const FieldRule& rule = RuleOf(field);
  const uint32_t most = rule.max_length() == 0 ? kMostBytes : rule.max_length();
  std::vector<std::pair<std::string, std::string>> texts;
  texts.emplace_back("too long", std::string(most + 1, 'a'));
  if (ValueOf(field)->type() != pb::FieldDescriptor::TYPE_BYTES) {
    texts.emplace_back("NUL", std::string("a\0b", 3));
    if (rule.min_length() > 1) texts.emplace_back("too short", "a");
    if (rule.format() != FieldRule::FORMAT_UNSPECIFIED) texts.emplace_back("no such format", "!?");
    if (!rule.pattern().empty()) {
      const auto* odd = std::find_if(std::begin(kOddities), std::end(kOddities), [&](auto* text) {
        return !RE2::FullMatch(text, rule.pattern());
      });
      if (odd != std::end(kOddities)) texts.emplace_back("another pattern", *odd);
    }
    if (!rule.resource().empty()) {
      texts.emplace_back("no name", "!?");
      texts.emplace_back("a name that goes on", absl::StrCat(samples.Text(field), "/more"));
      texts.emplace_back("an empty id", absl::StrReplaceAll(rule.resource(), {{"*", ""}}));
      texts.emplace_back("an id of odd characters",
                         absl::StrReplaceAll(rule.resource(), {{"*", "a b"}}));
    }
  }
  std::vector<Damage> damage;
  for (auto& [what, text] : texts) {
    damage.push_back({what, [field, text = text](pb::Message& h) { SetText(h, field, text); }});
  }
  return damage;
}

std::vector<Damage> NumberDamage(Field field) {
  const FieldRule& rule = RuleOf(field);
  const auto [least, most] = RangeOf(ValueOf(field));
  std::vector<Damage> damage;
  const auto add = [&](const char* what, int64_t value) {
    damage.push_back({what, [field, value](pb::Message& h) { SetNumber(h, field, value); }});
  };
  if (rule.has_max() && rule.max() < most) add("too large", rule.max() + 1);
  // What every list promises, whether its field has a rule or not.
  if (field->name() == "page_size" && !rule.has_min()) add("negative", -1);
  // Zero in a field without presence is absent.
  const bool absent = rule.has_min() && rule.min() == 1 && !field->has_presence();
  if (rule.has_min() && rule.min() - (absent ? 2 : 1) >= least) {
    add("too small", rule.min() - (absent ? 2 : 1));
  }
  return damage;
}

std::vector<Damage> RealDamage(Field field) {
  const FieldRule& rule = RuleOf(field);
  std::vector<Damage> damage;
  const auto add = [&](const char* what, double value) {
    damage.push_back({what, [field, value](pb::Message& h) { SetReal(h, field, value); }});
  };
  add("not a number", std::numeric_limits<double>::quiet_NaN());
  add("infinite", std::numeric_limits<double>::infinity());
  if (rule.has_max()) add("too large", static_cast<double>(rule.max()) * 2 + 1);
  if (rule.has_min()) add("too small", static_cast<double>(rule.min()) * 2 - 1);
  return damage;
}

void SetSeconds(pb::Message& message, int64_t seconds, int32_t nanos) {
  const pb::Reflection& reflection = *message.GetReflection();
  reflection.SetInt64(&message, message.GetDescriptor()->FindFieldByNumber(1), seconds);
  reflection.SetInt32(&message, message.GetDescriptor()->FindFieldByNumber(2), nanos);
}

pb::Value Deep(int levels) {
  pb::Value value;
  if (levels > 0) *value.mutable_list_value()->add_values() = Deep(levels - 1);
  return value;
}

std::vector<Damage> WellKnownDamage(Field field) {
  const FieldRule& rule = RuleOf(field);
  std::vector<Damage> damage;
  const auto add = [&](const char* what, std::function<void(pb::Message&)> spoil) {
    damage.push_back(
        {what, [field, spoil = std::move(spoil)](pb::Message& h) { spoil(Inner(h, field)); }});
  };
  const auto time = [&](const char* what, int64_t seconds, int32_t nanos) {
    add(what, [=](pb::Message& m) { SetSeconds(m, seconds, nanos); });
  };
  switch (ValueOf(field)->message_type()->well_known_type()) {
    case pb::Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      time("too late", 253402300800, 0);
      time("too early", -62135596801, 0);
      time("odd nanos", 0, -1);
      break;
    case pb::Descriptor::WELLKNOWNTYPE_DURATION:
      time("too long", 315576000001, 0);
      time("of two signs", 1, -1);
      if (rule.has_max()) time("above the most", rule.max() + 1, 0);
      if (rule.has_min()) time("below the least", rule.min() - 1, 0);
      break;
    case pb::Descriptor::WELLKNOWNTYPE_FIELDMASK:
      add("too many paths", [](pb::Message& m) {
        for (int i = 0; i < 101; ++i) static_cast<pb::FieldMask&>(m).add_paths("a");
      });
      break;
    case pb::Descriptor::WELLKNOWNTYPE_STRUCT:
      add("too deep",
          [](pb::Message& m) { (*static_cast<pb::Struct&>(m).mutable_fields())[kKey] = Deep(40); });
      break;
    case pb::Descriptor::WELLKNOWNTYPE_VALUE:
      add("too deep", [](pb::Message& m) { static_cast<pb::Value&>(m) = Deep(40); });
      break;
    case pb::Descriptor::WELLKNOWNTYPE_LISTVALUE:
      add("too deep",
          [](pb::Message& m) { static_cast<pb::ListValue&>(m) = Deep(40).list_value(); });
      break;
    default:
      // A wrapped value has the rules of its field; none has bounds that every type shares.
      break;
  }
  return damage;
}

std::vector<Damage> ValueDamage(const Samples& samples, Field field) {
  switch (ValueOf(field)->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return TextDamage(samples, field);
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return {{"no such value", [field](pb::Message& h) { SetNumber(h, field, 99'999); }}};
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return RealDamage(field);
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      return WellKnownDamage(field);
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return {};
    default:
      return NumberDamage(field);
  }
}

// One element more of a repeated field or map.
void AddElement(pb::Message& holder, Field field, int number) {
  const pb::Reflection& reflection = *holder.GetReflection();
  using R = pb::Reflection;
  if (field->is_map()) {
    pb::Message& entry = *reflection.AddMessage(&holder, field);
    const Field key = field->message_type()->map_key();
    return entry.GetReflection()->SetString(&entry, key, absl::StrCat("k", number));
  }
  if (IsMessage(field)) {
    reflection.AddMessage(&holder, field);
    return;
  }
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return reflection.AddString(&holder, field, "a");
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.AddDouble(&holder, field, 0);
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.AddFloat(&holder, field, 0);
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return (reflection.*(&R::AddInt32))(&holder, field, 0);
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return reflection.AddInt64(&holder, field, 0);
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return reflection.AddUInt32(&holder, field, 0);
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return reflection.AddUInt64(&holder, field, 0);
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return reflection.AddEnumValue(&holder, field, 0);
    default:
      return reflection.AddBool(&holder, field, false);
  }
}

// Faults of how many there are, none included.
std::vector<Damage> CountDamage(Field field, const std::string& parent) {
  std::vector<Damage> damage;
  const std::string own = absl::StrCat(parent, parent.empty() ? "" : ".", field->name());
  if (field->is_repeated()) {
    const uint32_t most = RuleOf(field).max_items() == 0 ? kMostItems : RuleOf(field).max_items();
    damage.push_back({"too many",
                      [field, most](pb::Message& h) {
                        for (uint32_t i = 0; i <= most; ++i) {
                          AddElement(h, field, static_cast<int>(i));
                        }
                      },
                      own, false});
  }
  if (field->is_map()) {
    damage.push_back({"a key that is too long",
                      [field](pb::Message& h) {
                        pb::Message& entry = Entry(h, field);
                        entry.GetReflection()->SetString(&entry, field->message_type()->map_key(),
                                                         std::string(kMostKeyBytes + 1, 'k'));
                      },
                      absl::StrCat(own, "[?]"), false});
  }
  if (!IsRequired(field)) return damage;
  if (const auto* oneof = field->real_containing_oneof()) {
    damage.push_back({"missing",
                      [oneof](pb::Message& h) { h.GetReflection()->ClearOneof(&h, oneof); },
                      absl::StrCat(parent, parent.empty() ? "" : ".", oneof->name()), false});
  } else {
    damage.push_back({"missing",
                      [field](pb::Message& h) { h.GetReflection()->ClearField(&h, field); }, own,
                      false});
  }
  return damage;
}

}  // namespace

std::vector<Way> WaysInto(const pb::Descriptor* type) {
  std::vector<Way> ways;
  std::vector<const pb::Descriptor*> within;
  Way way;
  AddWays(type, way, within, ways);
  return ways;
}

std::string PathOf(const Way& way) { return PathOf(way, way.size(), true); }

Samples::Samples(NameOf name_of, std::map<std::string, std::string> texts)
    : name_of_(std::move(name_of)), texts_(std::move(texts)) {}

std::unique_ptr<pb::Message> Samples::Request(Method method) const {
  auto request = NewMessage(method->input_type());
  // Without a mask, nothing is asked of the resource; so all of it is to be written.
  const Field mask = method->input_type()->FindFieldByName("update_mask");
  if (mask != nullptr && mask->message_type() == pb::FieldMask::descriptor()) {
    static_cast<pb::FieldMask*>(request->GetReflection()->MutableMessage(request.get(), mask))
        ->add_paths("*");
  }
  Fill(*request);
  const std::string& tenant_field = PolicyOf(method).tenant_field();
  if (tenant_field.empty()) return request;
  Way way;
  const pb::Descriptor* type = method->input_type();
  for (const auto part : absl::StrSplit(tenant_field, '.')) {
    way.push_back(type->FindFieldByName(std::string(part)));
    type = way.back()->message_type();
  }
  SetText(Holder(*request, way), way.back(), Text(way.back()));
  return request;
}

void Samples::Fill(pb::Message& message) const {
  const pb::Descriptor* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const Field field = type->field(i);
    const pb::Reflection& reflection = *message.GetReflection();
    const bool text = texts_.contains(field->full_name());
    if (!IsRequired(field) && !text) continue;
    const auto* oneof = field->real_containing_oneof();
    if (oneof != nullptr && reflection.HasOneof(message, oneof)) continue;
    if (field->is_repeated() ? reflection.FieldSize(message, field) > 0
                             : reflection.HasField(message, field)) {
      continue;
    }
    FillField(message, field);
  }
}

void Samples::FillField(pb::Message& message, Field field) const {
  const FieldRule& rule = RuleOf(field);
  switch (ValueOf(field)->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return SetText(message, field, Text(field));
    case pb::FieldDescriptor::CPPTYPE_MESSAGE: {
      pb::Message& inner = Inner(message, field);
      switch (inner.GetDescriptor()->well_known_type()) {
        case pb::Descriptor::WELLKNOWNTYPE_UNSPECIFIED:
          return Fill(inner);
        case pb::Descriptor::WELLKNOWNTYPE_TIMESTAMP:
          return SetSeconds(inner, 1'700'000'000, 0);
        case pb::Descriptor::WELLKNOWNTYPE_DURATION:
          return SetSeconds(inner, std::max<int64_t>(rule.min(), 1), 0);
        default:
          return;
      }
    }
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      const auto text = texts_.find(field->full_name());
      const auto* type = ValueOf(field)->enum_type();
      const auto* value =
          text == texts_.end() ? type->value(1) : type->FindValueByName(text->second);
      return SetNumber(message, field, value->number());
    }
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return SetReal(message, field, static_cast<double>(std::max<int64_t>(rule.min(), 1)));
    default:
      return SetNumber(message, field, std::max<int64_t>(rule.min(), 1));
  }
}

pb::Message& Samples::Holder(pb::Message& root, const Way& way) const {
  pb::Message* holder = &root;
  for (size_t i = 0; i + 1 < way.size(); ++i) {
    holder = &Inner(*holder, way[i]);
    Fill(*holder);
  }
  return *holder;
}

std::string Samples::Text(Field field) const {
  const auto text = texts_.find(field->full_name());
  if (text != texts_.end()) return text->second;
  const FieldRule& rule = RuleOf(field);
  if (!rule.resource().empty()) return name_of_(rule.resource());
  const uint32_t most = rule.max_length() == 0 ? kMostBytes : rule.max_length();
  for (std::string candidate : kCandidates) {
    if (candidate.size() > most || candidate.size() < rule.min_length()) continue;
    if (rpc::FormatProblem(rule.format(), candidate) != nullptr) continue;
    if (!rule.pattern().empty() && !RE2::FullMatch(candidate, rule.pattern())) continue;
    return candidate;
  }
  ADD_FAILURE() << "no sample satisfies " << field->full_name() << ": add one to kCandidates";
  return "sample";
}

void SetText(pb::Message& holder, Field field, const std::string& text) {
  using R = pb::Reflection;
  SetScalar(holder, field, &R::SetString, &R::AddString, text);
}

std::vector<Fault> FaultsOf(const Samples& samples, const Way& way) {
  const Field field = way.back();
  std::vector<Damage> damage;
  if (!IsPlainMessage(field)) damage = ValueDamage(samples, field);
  const std::string parent = PathOf(way, way.size() - 1, true);
  for (Damage& count : CountDamage(field, parent)) damage.push_back(std::move(count));
  std::vector<Fault> faults;
  for (Damage& one : damage) {
    faults.push_back({one.what, one.path.empty() ? PathOf(way) : one.path,
                      [&samples, way, plant = std::move(one.plant)](pb::Message& request) {
                        plant(samples.Holder(request, way));
                      },
                      one.alone});
  }
  return faults;
}

}  // namespace clm::walks
