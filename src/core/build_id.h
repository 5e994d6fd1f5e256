// The exact build that a shared object belongs to. Storage plugins are loaded only when theirs
// equals the program's: the C++ interface between them is not stable across builds.
#pragma once

namespace cedana {

const char* BuildVersion();  // "0.1.0"
const char* BuildId();       // hex, changes with every change of the sources' text

}  // namespace cedana
