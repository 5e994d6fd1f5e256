#include "cedana/plugin/plugin_note.h"

#include <elf.h>

#include <cstring>

#include "core/base/status.h"

namespace cedana::plugin {
namespace {

// A copy of the structure at `offset`: the file may be cut or made to deceive.
template <typename T>
absl::Status ReadAt(absl::string_view bytes, uint64_t offset, T* out) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
    return absl::InvalidArgumentError("the file is cut short");
  }
  std::memcpy(out, bytes.data() + offset, sizeof(T));
  return absl::OkStatus();
}

uint64_t Align4(uint64_t size) { return (size + 3) & ~uint64_t{3}; }

std::string Text(const char* field, size_t size) { return {field, strnlen(field, size)}; }

// True when our note lies in the segment [offset, end).
absl::StatusOr<bool> SearchNotes(absl::string_view elf, uint64_t offset, uint64_t end,
                                 PluginNote* out) {
  while (offset + sizeof(Elf64_Nhdr) <= end) {
    Elf64_Nhdr header;
    CEDANA_RETURN_IF_ERROR(ReadAt(elf, offset, &header));
    RawPluginNote note;
    if (header.n_type == kPluginNoteType && header.n_namesz == 7 &&
        header.n_descsz == sizeof(note.version) + sizeof(note.build_id)) {
      CEDANA_RETURN_IF_ERROR(ReadAt(elf, offset, &note));
      if (std::memcmp(note.name, kPluginNoteName, sizeof(note.name)) == 0) {
        out->version = Text(note.version, sizeof(note.version));
        out->build_id = Text(note.build_id, sizeof(note.build_id));
        return true;
      }
    }
    offset += sizeof(header) + Align4(header.n_namesz) + Align4(header.n_descsz);
  }
  return false;
}

}  // namespace

absl::StatusOr<PluginNote> ReadPluginNote(absl::string_view elf) {
  Elf64_Ehdr header;
  CEDANA_RETURN_IF_ERROR(ReadAt(elf, 0, &header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN) {
    return absl::InvalidArgumentError("not a shared object for this machine");
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    CEDANA_RETURN_IF_ERROR(ReadAt(elf, header.e_phoff + i * sizeof(segment), &segment));
    if (segment.p_type != PT_NOTE || segment.p_offset > elf.size() ||
        segment.p_filesz > elf.size() - segment.p_offset) {
      continue;
    }
    PluginNote note;
    CEDANA_ASSIGN_OR_RETURN(
        const bool found,
        SearchNotes(elf, segment.p_offset, segment.p_offset + segment.p_filesz, &note));
    if (found) return note;
  }
  return absl::InvalidArgumentError("not a plugin of cedana");
}

}  // namespace cedana::plugin
