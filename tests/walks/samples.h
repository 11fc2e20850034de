// Requests made from nothing but their descriptors: sound ones, and for each rule of each field one
// that breaks it alone. For tests.
#ifndef CLM_TESTS_WALKS_SAMPLES_H_
#define CLM_TESTS_WALKS_SAMPLES_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/walks/live_suite.h"

namespace clm::walks {

// From a request to one of its fields. Of a repeated field the first element is meant, of a map the
// one with kKey.
using Way = std::vector<const google::protobuf::FieldDescriptor*>;
inline constexpr char kKey[] = "sample";

// All fields that a caller may set, those of nested messages included; what a type holds of itself
// is left out.
std::vector<Way> WaysInto(const google::protobuf::Descriptor* type);
// As errors name it: "events[0].type".
std::string PathOf(const Way& way);

// Sound requests. Immutable.
class Samples {
 public:
  // Makes the name of a resource from its pattern, "tenants/*/contacts/*".
  using NameOf = std::function<std::string(const std::string& pattern)>;
  // `texts`: for fields, by their full names, instead of what their rules give.
  explicit Samples(NameOf name_of, std::map<std::string, std::string> texts = {});

  // With all that the method asks for.
  std::unique_ptr<google::protobuf::Message> Request(Method method) const;
  // Sets what is REQUIRED and not there.
  void Fill(google::protobuf::Message& message) const;
  // The message that holds the last field of the way; it is made, with what it asks for.
  google::protobuf::Message& Holder(google::protobuf::Message& root, const Way& way) const;
  // A sound value for a field of text; a test failure when none comes to mind.
  std::string Text(const google::protobuf::FieldDescriptor* field) const;

 private:
  void FillField(google::protobuf::Message& message,
                 const google::protobuf::FieldDescriptor* field) const;

  const NameOf name_of_;
  const std::map<std::string, std::string> texts_;
};

// Sets a text: the field, its first element, or the value at kKey.
void SetText(google::protobuf::Message& holder, const google::protobuf::FieldDescriptor* field,
             const std::string& text);

// A way to break a field's rules.
struct Fault {
  std::string what;
  // Of the field that an error has to name.
  std::string path;
  // Breaks it in a request from Samples::Request.
  std::function<void(google::protobuf::Message& request)> plant;
  // It leaves the rest of the request as it is, what is below and beside it included.
  bool alone = true;
};

// All the ways to break the rules of the field.
std::vector<Fault> FaultsOf(const Samples& samples, const Way& way);

}  // namespace clm::walks

#endif  // CLM_TESTS_WALKS_SAMPLES_H_
