#include "libs/rpc/validator.h"

#include <google/protobuf/reflection.h>
#include <google/protobuf/struct.pb.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "clm/options/v1/options.pb.h"
#include "libs/base/error.h"
#include "libs/base/resource_name.h"
#include "libs/rpc/formats.h"

namespace clm::rpc {
namespace {

namespace pb = google::protobuf;
using options::v1::FieldRule;

constexpr uint32_t kDefaultMaxLength = 4096;
constexpr uint32_t kDefaultMaxItems = 1000;
constexpr size_t kMaxKeyLength = 256;
constexpr int kMaxDepth = 32;
constexpr int kMaxStructDepth = 16;
constexpr size_t kMaxStructBytes = 64 * 1024;
constexpr int64_t kMinTimestamp = -62135596800;  // 0001-01-01
constexpr int64_t kMaxTimestamp = 253402300799;  // 9999-12-31
constexpr int64_t kMaxDuration = 315576000000;   // 10,000 years

// Where the walk is; written out only for an error.
struct Path {
  const Path* parent = nullptr;
  const std::string* name = nullptr;
  int index = -1;
  const std::string* key = nullptr;

  std::string ToString() const {
    std::string text = parent != nullptr && parent->name != nullptr
                           ? absl::StrCat(parent->ToString(), ".", *name)
                           : *name;
    if (index >= 0) absl::StrAppend(&text, "[", index, "]");
    if (key != nullptr) {
      // A key comes from the caller: shown only when it is a plain word.
      static const RE2* const word = new RE2("[A-Za-z0-9_.-]{1,64}");
      absl::StrAppend(&text, "[", RE2::FullMatch(*key, *word) ? *key : "?", "]");
    }
    return text;
  }
};

// What an update mask says about one message: everything is applied, or only these paths.
struct MaskScope {
  bool all = true;
  std::vector<absl::string_view> paths;

  // True when the value of the field is going to be applied as a whole.
  bool Covers(absl::string_view field) const {
    return all || std::any_of(paths.begin(), paths.end(),
                              [&](absl::string_view path) { return path == field || path == "*"; });
  }
  // True when something at `path`, or within or around it, is going to be applied.
  bool Touches(absl::string_view path) const {
    const auto within = [](absl::string_view inner, absl::string_view outer) {
      return absl::StartsWith(inner, outer) &&
             (inner.size() == outer.size() || inner[outer.size()] == '.');
    };
    return all || std::any_of(paths.begin(), paths.end(), [&](absl::string_view named) {
             return named == "*" || within(path, named) || within(named, path);
           });
  }
  MaskScope Within(absl::string_view field) const {
    if (Covers(field)) return {};
    MaskScope result{.all = false};
    for (const absl::string_view path : paths) {
      if (path.size() > field.size() && absl::StartsWith(path, field) &&
          path[field.size()] == '.') {
        result.paths.push_back(path.substr(field.size() + 1));
      }
    }
    return result;
  }
};

enum class WellKnown { kNone, kTimestamp, kDuration, kStruct, kValue, kList, kMask, kWrapper };

WellKnown WellKnownOf(const pb::Descriptor* type) {
  switch (type->well_known_type()) {
    case pb::Descriptor::WELLKNOWNTYPE_TIMESTAMP:
      return WellKnown::kTimestamp;
    case pb::Descriptor::WELLKNOWNTYPE_DURATION:
      return WellKnown::kDuration;
    case pb::Descriptor::WELLKNOWNTYPE_STRUCT:
      return WellKnown::kStruct;
    case pb::Descriptor::WELLKNOWNTYPE_VALUE:
      return WellKnown::kValue;
    case pb::Descriptor::WELLKNOWNTYPE_LISTVALUE:
      return WellKnown::kList;
    case pb::Descriptor::WELLKNOWNTYPE_FIELDMASK:
      return WellKnown::kMask;
    case pb::Descriptor::WELLKNOWNTYPE_UNSPECIFIED:
    case pb::Descriptor::WELLKNOWNTYPE_ANY:
      return WellKnown::kNone;
    default:
      return WellKnown::kWrapper;
  }
}

int CharacterCount(absl::string_view text) {
  int count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

// What ParseResourceName accepts, decided without allocating. The parser has the last word and
// the error text.
bool MatchesPattern(absl::string_view name, absl::string_view pattern) {
  bool first_star = true;
  while (true) {
    const absl::string_view want = pattern.substr(0, pattern.find('/'));
    const absl::string_view have = name.substr(0, name.find('/'));
    if (want == "*") {
      if (have.empty() || have.size() > 63) return false;
      for (const char c : have) {
        if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' &&
            c != '~' && c != '-') {
          return false;
        }
      }
      if (first_star && !ValidTenantId(have)) return false;
      first_star = false;
    } else if (want != have) {
      return false;
    }
    const bool more = want.size() < pattern.size();
    if (more != (have.size() < name.size())) return false;
    if (!more) return true;
    pattern.remove_prefix(want.size() + 1);
    name.remove_prefix(have.size() + 1);
  }
}

bool StructFits(const pb::Value& value, int depth);

bool StructFits(const pb::Struct& value, int depth) {
  if (depth > kMaxStructDepth) return false;
  return std::all_of(value.fields().begin(), value.fields().end(), [&](const auto& field) {
    return field.first.find('\0') == std::string::npos && StructFits(field.second, depth + 1);
  });
}

bool StructFits(const pb::ListValue& value, int depth) {
  if (depth > kMaxStructDepth) return false;
  return std::all_of(value.values().begin(), value.values().end(),
                     [&](const auto& member) { return StructFits(member, depth + 1); });
}

bool StructFits(const pb::Value& value, int depth) {
  switch (value.kind_case()) {
    case pb::Value::kNumberValue:
      return std::isfinite(value.number_value());
    case pb::Value::kStringValue:
      return value.string_value().find('\0') == std::string::npos;
    case pb::Value::kStructValue:
      return StructFits(value.struct_value(), depth);
    case pb::Value::kListValue:
      return StructFits(value.list_value(), depth);
    default:
      return true;
  }
}

// Rules by message type. Looked at only on the way to a refusal.
class RulesByType {
 public:
  static RulesByType& Get() {
    static auto* const rules = new RulesByType;
    return *rules;
  }
  void Add(const pb::Descriptor* type, Validator::Rules rules) {
    absl::MutexLock lock(&mu_);
    rules_.try_emplace(type, std::make_shared<const Validator::Rules>(std::move(rules)));
  }
  std::shared_ptr<const Validator::Rules> Find(const pb::Descriptor* type) {
    absl::MutexLock lock(&mu_);
    const auto it = rules_.find(type);
    return it == rules_.end() ? nullptr : it->second;
  }

 private:
  absl::Mutex mu_;
  absl::flat_hash_map<const pb::Descriptor*, std::shared_ptr<const Validator::Rules>> rules_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace

struct Validator::FieldPlan {
  const pb::FieldDescriptor* field;
  FieldRule rule;
  bool required = false;
  bool clear = false;
  // REQUIRED on a member of a oneof: one of them must be set. Checked at the first one.
  const pb::OneofDescriptor* required_oneof = nullptr;
  std::unique_ptr<RE2> pattern;
  WellKnown well_known = WellKnown::kNone;
  const Plan* message = nullptr;  // For nested messages and maps of messages.
  const pb::FieldDescriptor* map_key = nullptr;
  const pb::FieldDescriptor* map_value = nullptr;
};

struct Validator::Plan {
  const pb::Descriptor* type;
  std::vector<FieldPlan> fields;
  // Of a request that updates: the mask, and the resource it speaks about.
  const pb::FieldDescriptor* update_mask = nullptr;
  const pb::FieldDescriptor* updated = nullptr;
};

class Validator::Compiler {
 public:
  const Plan* Compile(const pb::Descriptor* type) {
    auto& slot = plans_[type];
    if (slot != nullptr) return slot.get();
    slot = std::make_unique<Plan>();
    Plan* plan = slot.get();  // `slot` moves when the map grows; the plan does not.
    plan->type = type;
    plan->fields.reserve(type->field_count());
    for (int i = 0; i < type->field_count(); ++i) {
      plan->fields.push_back(CompileField(type->field(i)));
    }
    FindUpdate(plan);
    return plan;
  }

 private:
  FieldPlan CompileField(const pb::FieldDescriptor* field) {
    FieldPlan plan{.field = field, .rule = field->options().GetExtension(options::v1::field)};
    // Handlers say so too (clm::PageSize), but not beside what is said here of other fields.
    if (field->name() == "page_size" && !plan.rule.has_min()) plan.rule.set_min(0);
    plan.required = plan.rule.behavior() == FieldRule::BEHAVIOR_REQUIRED;
    // A resource is addressed by its own name, so that one is never cleared.
    plan.clear = plan.rule.behavior() == FieldRule::BEHAVIOR_OUTPUT_ONLY && field->name() != "name";
    if (plan.required && field->real_containing_oneof() != nullptr) {
      plan.required_oneof = field->real_containing_oneof();
      plan.required = false;
    }
    if (!plan.rule.pattern().empty()) {
      plan.pattern = std::make_unique<RE2>(plan.rule.pattern());
      if (!plan.pattern->ok()) {
        std::fprintf(stderr, "pattern of %s: %s\n", field->full_name().c_str(),
                     plan.pattern->error().c_str());
        std::abort();
      }
    }
    if (field->is_map()) {
      plan.map_key = field->message_type()->map_key();
      plan.map_value = field->message_type()->map_value();
      CompileMessage(plan, plan.map_value);
    } else {
      CompileMessage(plan, field);
    }
    return plan;
  }

  void CompileMessage(FieldPlan& plan, const pb::FieldDescriptor* field) {
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) return;
    plan.well_known = WellKnownOf(field->message_type());
    if (plan.well_known == WellKnown::kNone) plan.message = Compile(field->message_type());
  }

  void FindUpdate(Plan* plan) {
    const pb::FieldDescriptor* mask = plan->type->FindFieldByName("update_mask");
    if (mask == nullptr || mask->message_type() == nullptr ||
        WellKnownOf(mask->message_type()) != WellKnown::kMask) {
      return;
    }
    for (const FieldPlan& field : plan->fields) {
      if (field.message != nullptr && !field.field->is_repeated()) {
        plan->update_mask = mask;
        plan->updated = field.field;
        return;
      }
    }
  }

  absl::flat_hash_map<const pb::Descriptor*, std::unique_ptr<Plan>> plans_;
};

struct Validator::Walk {
  absl::string_view tenant;
  error::FieldErrors errors;
  std::string foreign;  // A resource name of another tenant.

  void Add(const Path& path, absl::string_view what) { errors.Add(path.ToString(), what); }

  void CheckMessage(pb::Message& message, const Plan& plan, const Path& parent,
                    const MaskScope& mask, int depth) {
    if (depth > kMaxDepth) return Add(parent, "is nested too deeply");
    const pb::Reflection& reflection = *message.GetReflection();
    for (const FieldPlan& field : plan.fields) {
      CheckField(message, reflection, plan, field, parent, mask, depth);
    }
  }

  // Adds what the rules of types say, for fields that nothing was said about yet. `mask` is the one
  // that chooses among the fields of this very message, if any.
  void AskRules(const pb::Message& message, const Plan& plan, const Path& parent,
                const MaskScope* mask, absl::Time now, int depth) {
    // More than are shown need not be found.
    if (depth > kMaxDepth || errors.Full()) return;
    if (const auto rules = RulesByType::Get().Find(plan.type)) {
      const std::string prefix = parent.name == nullptr ? "" : parent.ToString();
      for (const auto& [field, what] : error::FieldViolations((*rules)(message, now))) {
        const std::string path = prefix.empty()  ? field
                                 : field.empty() ? prefix
                                                 : absl::StrCat(prefix, ".", field);
        const bool chosen = mask == nullptr || mask->Touches(field);
        if (chosen && !errors.Names(path)) errors.Add(path, what);
      }
    }
    const pb::Reflection& reflection = *message.GetReflection();
    for (const FieldPlan& field : plan.fields) {
      if (field.message == nullptr || field.map_key != nullptr) continue;
      const Path path{&parent, &field.field->name()};
      if (field.field->is_repeated()) {
        const uint32_t limit =
            field.rule.max_items() == 0 ? kDefaultMaxItems : field.rule.max_items();
        const int size = reflection.FieldSize(message, field.field);
        for (int i = 0; std::cmp_less_equal(size, limit) && i < size; ++i) {
          Path element = path;
          element.index = i;
          AskRules(reflection.GetRepeatedMessage(message, field.field, i), *field.message, element,
                   nullptr, now, depth + 1);
        }
      } else if (reflection.HasField(message, field.field)) {
        const MaskScope scope =
            field.field == plan.updated ? UpdateScope(message, plan) : MaskScope{};
        // Without paths, everything that is populated is applied.
        AskRules(reflection.GetMessage(message, field.field), *field.message, path,
                 scope.paths.empty() ? nullptr : &scope, now, depth + 1);
      }
    }
  }

  void CheckField(pb::Message& message, const pb::Reflection& reflection, const Plan& plan,
                  const FieldPlan& field, const Path& parent, const MaskScope& mask, int depth) {
    const Path path{&parent, &field.field->name()};
    if (field.field->is_repeated()) {
      const int size = reflection.FieldSize(message, field.field);
      if (size > 0 && field.clear) return reflection.ClearField(&message, field.field);
      CheckRepeated(message, reflection, field, path, mask, size, depth);
      return;
    }
    const bool present = reflection.HasField(message, field.field);
    if (present && field.clear) return reflection.ClearField(&message, field.field);
    if (!present) {
      if (field.required && mask.Covers(field.field->name())) return Add(path, "is required");
      if (field.required_oneof != nullptr && field.required_oneof->field(0) == field.field &&
          mask.Covers(field.field->name()) && !reflection.HasOneof(message, field.required_oneof)) {
        AddMissingOneof(field, parent);
      }
      // Absent numbers are zero, and zero may lie outside the bounds; absent is allowed.
      return;
    }
    if (field.field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      pb::Message& nested = *reflection.MutableMessage(&message, field.field);
      if (field.field == plan.updated) {
        CheckMessage(nested, *field.message, path, UpdateScope(message, plan), depth + 1);
      } else {
        CheckNested(nested, field, path, mask.all ? mask : mask.Within(field.field->name()), depth);
      }
      return;
    }
    CheckScalar(message, reflection, field, field.field, -1, path);
  }

  static MaskScope UpdateScope(const pb::Message& request, const Plan& plan) {
    MaskScope scope{.all = false};
    const pb::Reflection& reflection = *request.GetReflection();
    if (!reflection.HasField(request, plan.update_mask)) return scope;
    const pb::Message& mask = reflection.GetMessage(request, plan.update_mask);
    const pb::FieldDescriptor* paths = mask.GetDescriptor()->FindFieldByNumber(1);
    std::string scratch;
    for (int i = 0; i < mask.GetReflection()->FieldSize(mask, paths); ++i) {
      scope.paths.emplace_back(
          mask.GetReflection()->GetRepeatedStringReference(mask, paths, i, &scratch));
    }
    return scope;
  }

  void AddMissingOneof(const FieldPlan& field, const Path& parent) {
    std::string names;
    for (int i = 0; i < field.required_oneof->field_count(); ++i) {
      absl::StrAppend(&names, i == 0 ? "" : ", ", field.required_oneof->field(i)->name());
    }
    Add(Path{&parent, &field.required_oneof->name()}, absl::StrCat("needs one of ", names));
  }

  void CheckRepeated(pb::Message& message, const pb::Reflection& reflection, const FieldPlan& field,
                     const Path& path, const MaskScope& mask, int size, int depth) {
    if (size == 0) {
      if (field.required && mask.Covers(field.field->name())) Add(path, "is required");
      return;
    }
    const uint32_t limit = field.rule.max_items() == 0 ? kDefaultMaxItems : field.rule.max_items();
    if (static_cast<uint32_t>(size) > limit) {
      return Add(path, absl::StrCat("has ", size, " elements, at most ", limit, " are allowed"));
    }
    const bool is_message = field.field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
    for (int i = 0; i < size; ++i) {
      if (field.map_key != nullptr) {
        CheckEntry(*reflection.MutableRepeatedMessage(&message, field.field, i), field, path,
                   depth);
        continue;
      }
      Path element = path;
      element.index = i;
      if (is_message) {
        CheckNested(*reflection.MutableRepeatedMessage(&message, field.field, i), field, element,
                    {}, depth);
      } else {
        CheckScalar(message, reflection, field, field.field, i, element);
      }
    }
  }

  void CheckEntry(pb::Message& entry, const FieldPlan& field, const Path& path, int depth) {
    const pb::Reflection& reflection = *entry.GetReflection();
    std::string scratch;
    Path element = path;
    if (field.map_key->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING) {
      const std::string& key = reflection.GetStringReference(entry, field.map_key, &scratch);
      element.key = &key;
      if (key.empty() || key.size() > kMaxKeyLength) {
        return Add(element, absl::StrCat("key must have 1 to ", kMaxKeyLength, " bytes"));
      }
      if (key.find('\0') != std::string::npos) return Add(element, "key must not contain NUL");
    }
    if (field.map_value->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      CheckNested(*reflection.MutableMessage(&entry, field.map_value), field, element, {}, depth);
    } else {
      CheckScalar(entry, reflection, field, field.map_value, -1, element);
    }
  }

  void CheckNested(pb::Message& nested, const FieldPlan& field, const Path& path,
                   const MaskScope& mask, int depth) {
    switch (field.well_known) {
      case WellKnown::kNone:
        return CheckMessage(nested, *field.message, path, mask, depth + 1);
      case WellKnown::kTimestamp:
        return CheckTimestamp(nested, path);
      case WellKnown::kDuration:
        return CheckDuration(nested, field, path);
      case WellKnown::kMask:
        return CheckMask(nested, path);
      case WellKnown::kWrapper: {
        const pb::FieldDescriptor* value = nested.GetDescriptor()->FindFieldByNumber(1);
        return CheckScalar(nested, *nested.GetReflection(), field, value, -1, path);
      }
      case WellKnown::kStruct:
      case WellKnown::kValue:
      case WellKnown::kList:
        return CheckStruct(nested, field, path);
    }
  }

  static std::pair<int64_t, int32_t> SecondsAndNanos(const pb::Message& message) {
    const pb::Descriptor* type = message.GetDescriptor();
    const pb::Reflection& reflection = *message.GetReflection();
    return {reflection.GetInt64(message, type->FindFieldByNumber(1)),
            reflection.GetInt32(message, type->FindFieldByNumber(2))};
  }

  void CheckTimestamp(const pb::Message& message, const Path& path) {
    const auto [seconds, nanos] = SecondsAndNanos(message);
    if (seconds < kMinTimestamp || seconds > kMaxTimestamp || nanos < 0 || nanos > 999999999) {
      Add(path, "must be a time of the years 0001 to 9999");
    }
  }

  void CheckDuration(const pb::Message& message, const FieldPlan& field, const Path& path) {
    const auto [seconds, nanos] = SecondsAndNanos(message);
    if (seconds < -kMaxDuration || seconds > kMaxDuration || nanos < -999999999 ||
        nanos > 999999999 || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) {
      return Add(path, "must be a duration within 10,000 years");
    }
    // A duration's bounds are whole seconds.
    if (field.rule.has_min() &&
        (seconds < field.rule.min() || (seconds == field.rule.min() && nanos < 0))) {
      Add(path, absl::StrCat("must be at least ", field.rule.min(), " seconds"));
    }
    if (field.rule.has_max() &&
        (seconds > field.rule.max() || (seconds == field.rule.max() && nanos > 0))) {
      Add(path, absl::StrCat("must be at most ", field.rule.max(), " seconds"));
    }
  }

  void CheckMask(const pb::Message& message, const Path& path) {
    const pb::FieldDescriptor* paths = message.GetDescriptor()->FindFieldByNumber(1);
    const pb::Reflection& reflection = *message.GetReflection();
    if (reflection.FieldSize(message, paths) > 100) Add(path, "has more than 100 paths");
  }

  void CheckStruct(const pb::Message& message, const FieldPlan& field, const Path& path) {
    const size_t limit = field.rule.max_length() == 0 ? kMaxStructBytes : field.rule.max_length();
    if (message.ByteSizeLong() > limit) {
      return Add(path, absl::StrCat("must have at most ", limit, " bytes"));
    }
    bool fits = true;
    if (const auto* as_struct = dynamic_cast<const pb::Struct*>(&message)) {
      fits = StructFits(*as_struct, 1);
    } else if (const auto* value = dynamic_cast<const pb::Value*>(&message)) {
      fits = StructFits(*value, 1);
    } else if (const auto* list = dynamic_cast<const pb::ListValue*>(&message)) {
      fits = StructFits(*list, 1);
    }
    if (!fits) {
      Add(path, absl::StrCat("must be at most ", kMaxStructDepth,
                             " levels deep, of finite numbers and texts without NUL"));
    }
  }

  // `index` is -1 for a singular field.
  void CheckScalar(const pb::Message& message, const pb::Reflection& reflection,
                   const FieldPlan& plan, const pb::FieldDescriptor* field, int index,
                   const Path& path) {
    const auto pick = [&](auto singular, auto repeated) {
      return index < 0 ? (reflection.*singular)(message, field)
                       : (reflection.*repeated)(message, field, index);
    };
    using R = pb::Reflection;
    switch (field->cpp_type()) {
      case pb::FieldDescriptor::CPPTYPE_STRING: {
        std::string scratch;
        const std::string& text =
            index < 0 ? reflection.GetStringReference(message, field, &scratch)
                      : reflection.GetRepeatedStringReference(message, field, index, &scratch);
        return field->type() == pb::FieldDescriptor::TYPE_BYTES ? CheckLength(text, plan, path)
                                                                : CheckText(text, plan, path);
      }
      case pb::FieldDescriptor::CPPTYPE_INT32:
        return CheckInteger(pick(&R::GetInt32, &R::GetRepeatedInt32), plan, path);
      case pb::FieldDescriptor::CPPTYPE_INT64:
        return CheckInteger(pick(&R::GetInt64, &R::GetRepeatedInt64), plan, path);
      case pb::FieldDescriptor::CPPTYPE_UINT32:
        return CheckInteger(pick(&R::GetUInt32, &R::GetRepeatedUInt32), plan, path);
      case pb::FieldDescriptor::CPPTYPE_UINT64:
        return CheckInteger(pick(&R::GetUInt64, &R::GetRepeatedUInt64), plan, path);
      case pb::FieldDescriptor::CPPTYPE_DOUBLE:
        return CheckReal(pick(&R::GetDouble, &R::GetRepeatedDouble), plan, path);
      case pb::FieldDescriptor::CPPTYPE_FLOAT:
        return CheckReal(pick(&R::GetFloat, &R::GetRepeatedFloat), plan, path);
      case pb::FieldDescriptor::CPPTYPE_ENUM: {
        const int value = pick(&R::GetEnumValue, &R::GetRepeatedEnumValue);
        if (field->enum_type()->FindValueByNumber(value) == nullptr) {
          Add(path, absl::StrCat("has no value ", value));
        } else if (value == 0 && index >= 0 && plan.required) {
          Add(path, "is required");
        }
        return;
      }
      case pb::FieldDescriptor::CPPTYPE_BOOL:
      case pb::FieldDescriptor::CPPTYPE_MESSAGE:
        return;
    }
  }

  void CheckLength(const std::string& text, const FieldPlan& plan, const Path& path) {
    const uint32_t limit = plan.rule.max_length() == 0 ? kDefaultMaxLength : plan.rule.max_length();
    if (text.size() > limit) Add(path, absl::StrCat("must have at most ", limit, " bytes"));
  }

  void CheckText(const std::string& text, const FieldPlan& plan, const Path& path) {
    const FieldRule& rule = plan.rule;
    if (text.empty()) {
      if (plan.required) Add(path, "is required");
      return;
    }
    const uint32_t limit = rule.max_length() == 0 ? kDefaultMaxLength : rule.max_length();
    if (text.size() > limit) {
      return Add(path, absl::StrCat("must have at most ", limit, " bytes"));
    }
    if (text.find('\0') != std::string::npos) return Add(path, "must not contain NUL");
    if (rule.min_length() > 1 && CharacterCount(text) < static_cast<int>(rule.min_length())) {
      return Add(path, absl::StrCat("must have at least ", rule.min_length(), " characters"));
    }
    if (const char* problem = FormatProblem(rule.format(), text)) return Add(path, problem);
    if (plan.pattern != nullptr && !RE2::FullMatch(text, *plan.pattern)) {
      return Add(path, absl::StrCat("must match ", rule.pattern()));
    }
    if (!rule.resource().empty()) CheckResource(text, rule.resource(), path);
  }

  void CheckResource(const std::string& name, const std::string& pattern, const Path& path) {
    if (!MatchesPattern(name, pattern)) {
      const auto parsed = ParseResourceName(path.ToString(), pattern, name);
      if (!parsed.ok()) return errors.AddStatus("", parsed.status());
    }
    if (!tenant.empty() && absl::StartsWith(pattern, "tenants/*") && foreign.empty()) {
      const absl::string_view owner = absl::string_view(name).substr(sizeof("tenants/") - 1);
      if (owner.substr(0, owner.find('/')) != tenant) foreign = name;
    }
  }

  template <class T>
  void CheckInteger(T value, const FieldPlan& plan, const Path& path) {
    const FieldRule& rule = plan.rule;
    if (rule.has_min() && std::cmp_less(value, rule.min())) {
      Add(path, absl::StrCat("must be at least ", rule.min()));
    }
    if (rule.has_max() && std::cmp_greater(value, rule.max())) {
      Add(path, absl::StrCat("must be at most ", rule.max()));
    }
  }

  void CheckReal(double value, const FieldPlan& plan, const Path& path) {
    const FieldRule& rule = plan.rule;
    if (!std::isfinite(value)) return Add(path, "must be a finite number");
    if (rule.has_min() && value < static_cast<double>(rule.min())) {
      Add(path, absl::StrCat("must be at least ", rule.min()));
    }
    if (rule.has_max() && value > static_cast<double>(rule.max())) {
      Add(path, absl::StrCat("must be at most ", rule.max()));
    }
  }
};

void Validator::AddRules(const pb::Descriptor* type, Rules rules) {
  RulesByType::Get().Add(type, std::move(rules));
}

const Validator& Validator::For(const pb::Descriptor* type) {
  static absl::Mutex* const mu = new absl::Mutex;
  static auto* const compiler = new Compiler;
  static auto* const validators = new absl::flat_hash_map<const pb::Descriptor*, const Validator*>;
  absl::MutexLock lock(mu);
  const Validator*& validator = (*validators)[type];
  if (validator == nullptr) validator = new Validator(compiler->Compile(type));
  return *validator;
}

absl::Status Validator::Check(pb::Message& message, absl::string_view tenant) const {
  Walk walk{.tenant = tenant};
  walk.CheckMessage(message, *plan_, Path{}, {}, 1);
  // Permission before existence, and before anything that could tell one tenant of another.
  if (!walk.foreign.empty()) return error::NotFound(walk.foreign);
  return walk.errors.ToStatus();
}

absl::Status Validator::Complete(const pb::Message& message, absl::Status refusal,
                                 absl::Time now) const {
  const size_t known = error::FieldViolations(refusal).size();
  if (refusal.ok() || known == 0) return refusal;
  Walk walk;
  walk.errors.AddStatus("", refusal);
  walk.AskRules(message, *plan_, Path{}, nullptr, now, 1);
  // What the refusal counts beyond those that it shows is known to itself only.
  return walk.errors.size() == known ? refusal : walk.errors.ToStatus();
}

}  // namespace clm::rpc
