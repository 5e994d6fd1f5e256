// The little of protobuf's wire format that CRIU's request and statistics need.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace cedana::criu {

struct WireField {
  uint32_t number = 0;
  bool is_bytes = false;    // else a number
  uint64_t value = 0;       // of a varint or fixed member
  absl::string_view bytes;  // of a length-delimited one; points into the message
};

// Takes the next member off the front of `message`; false when the bytes are malformed.
// Requires: `message` is not empty.
bool TakeField(absl::string_view* message, WireField* field);

}  // namespace cedana::criu
