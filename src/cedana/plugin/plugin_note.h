// An ELF note inside each plugin that says which build it belongs to. It is read from the file, so
// that a plugin of another build is refused before any code of it runs: loading it to ask would
// already run its initialisers against a core that they were not made for.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cedana::plugin {

struct PluginNote {
  std::string version;   // "0.1.0"
  std::string build_id;  // as BuildId()
};

// `elf`: the whole file. kInvalidArgument: no 64-bit ELF of this machine, or without our note.
absl::StatusOr<PluginNote> ReadPluginNote(absl::string_view elf);

// The note as it lies in the file (little endian, 4-byte aligned: the ELF standard's layout).
struct RawPluginNote {
  uint32_t name_bytes;
  uint32_t description_bytes;
  uint32_t type;
  char name[8];
  char version[32];
  char build_id[64];
};

inline constexpr char kPluginNoteName[8] = "Cedana";
inline constexpr uint32_t kPluginNoteType = 1;

}  // namespace cedana::plugin

// Once in a plugin, outside any namespace; both arguments are string literals.
#define CEDANA_PLUGIN_NOTE(version, build_id)                                                     \
  __attribute__((section(".note.cedana"), used,                                                   \
                 aligned(4))) static const ::cedana::plugin::RawPluginNote cedana_plugin_note = { \
      7,                                                                                          \
      sizeof(::cedana::plugin::RawPluginNote) - 20,                                               \
      ::cedana::plugin::kPluginNoteType,                                                          \
      "Cedana",                                                                                   \
      version,                                                                                    \
      build_id}
