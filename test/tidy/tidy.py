#!/usr/bin/env python3
"""Holds the structure of the source tree: who may include whom, where each third-party library
lives, which calls are banned outside of their home, how large a file may get, that every folder has
its README. Run by ctest; prints one line for each breach and exits with 1."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# folder -> folders that it may include besides itself.
LAYERS = {
    "core": set(),  # build_id.h stands directly in core/
    "core/base": set(),
    "core/sqlite": {"core/base"},
    "core/codec": {"core/base"},
    "core/http": {"core/base"},
    "core/format": {"core/base", "core/codec"},
    "core/objstore": {"core/base", "core/codec", "core/http"},
    "core/transfer": {"core/base", "core/codec", "core/format"},
    "cedana": {"core", "core/base", "cedana/cli", "cedana/config", "cedana/daemon"},
    "cedana/config": {"core", "core/base"},
    "cedana/plugin": {"core", "core/base", "core/transfer", "cedana/config"},
    "cedana/remote": {"core", "core/base", "core/codec", "core/format", "core/http",
                      "core/objstore", "core/transfer", "cedana/plugin"},
    "cedana/direct": {"core", "core/base", "core/codec", "core/format", "core/http",
                      "core/objstore", "core/transfer", "cedana/plugin"},
    "cedana/runtime": {"core", "core/base"},
    "cedana/criu": {"core", "core/base", "core/transfer", "cedana/runtime"},
    "cedana/health": {"core", "core/base", "core/codec", "cedana/config", "cedana/criu",
                      "cedana/plugin", "cedana/runtime"},
    "cedana/daemon": {"core", "core/base", "core/codec", "core/sqlite", "core/transfer",
                      "cedana/config", "cedana/criu", "cedana/health", "cedana/plugin",
                      "cedana/runtime"},
    "cedana/cli": {"core", "core/base", "core/codec", "cedana/config", "cedana/daemon",
                   "cedana/health", "cedana/plugin", "cedana/runtime"},
    "storage": {"core", "core/base", "storage/cli"},
    "storage/cli": {"core", "core/base", "core/http", "storage/api", "storage/metadata",
                    "storage/replica"},
    "storage/metadata": {"core", "core/base", "core/codec", "core/format", "core/sqlite",
                         "core/transfer"},
    "storage/replica": {"core", "core/base", "core/codec", "core/format", "core/http", "core/objstore",
                        "core/transfer", "storage/metadata"},
    "storage/api": {"core", "core/base", "core/codec", "core/format", "core/http", "core/objstore",
                    "core/transfer", "storage/metadata", "storage/replica"},
}

# header -> the only folders that may include it (tests may include what they test with).
HOMES = {
    r"sqlite3\.h": {"core/sqlite"},
    r"curl/.*": {"core/http"},
    r"boost/.*": {"core/http"},
    r"openssl/.*": {"core/format", "core/http", "core/objstore", "storage/replica", "storage/metadata", "storage/api"},
    r"(intel-)?ipsec-mb\.h": {"core/format"},
    r"(lz4|lz4frame|zstd)\.h|isa-l.*": {"core/codec"},
    r"spdlog/.*": {"core/base"},
    r"grpcpp/.*": {"cedana/daemon", "cedana/cli"},
    r"pugixml\.hpp": {"core/objstore"},
    r"CLI/.*": {"cedana/cli", "storage/cli"},
    r"nlohmann/.*": {"core/base", "cedana/cli", "cedana/config", "cedana/runtime"},
    r"thread": {"core/base", "core/http"},
    r"random": set(),
}

# call -> (folders or files where it may stand, what to use instead).
BANNED = {
    r"\bgetenv\(": ({"core/base"}, "base::GetEnv"),
    r"\bsystem_clock::now\b": ({"core/base", "core/http", "cedana/daemon", "cedana/cli"},
                               "base::Clock or absl::Now"),
    r"\bstd::rand\b|\brand\(\)": (set(), "base::Random"),
    r"\bstd::thread\b": ({"core/base"}, "base::Thread"),
    r"\b(sleep_for|usleep|nanosleep)\(": ({"core/base"}, "base::Context::Sleep"),
    r"\bsystem\(|\bpopen\(": (set(), "posix_spawn"),
    r"\bstrcpy\(|\bsprintf\(|\bgets\(": (set(), "absl::StrCat"),
    r"\bnew [A-Z]\w*\[": (set(), "std::vector"),
}

# CRIU runs the first some ten times while a process is frozen, and loads the second: neither links
# anything of ours.
STANDALONE = {"src/cedana/criu/hook_main.cc", "src/cedana/criu/repair_hold.cc"}

SOURCE_LINES_MAX = 600
TEST_LINES_MAX = 1000
README_LINES_MAX = 40


def folder_of(path):
    """src/core/http/testing/x.h belongs to core/http; src/cedana/main.cc to cedana."""
    parts = path.relative_to(SRC).parts[:-1]
    return "/".join(parts[:2])


def is_test(path):
    return path.stem.endswith("_test") or "testing" in path.parts


def code_lines(text):
    """Lines without comments and string literals, so that prose about a call is no call."""
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text).splitlines()


def check_includes(path, text, report):
    folder = folder_of(path)
    allowed = LAYERS.get(folder)
    if allowed is None:
        report(path, 1, f"{folder} is not in the table of layers")
        return
    for number, line in enumerate(text.splitlines(), 1):
        quoted = re.match(r'\s*#include "((?:core|cedana|storage)/[^"]+)"', line)
        if quoted and not is_test(path):
            target = folder_of(SRC / quoted.group(1))
            if target != folder and target not in allowed:
                report(path, number, f"{folder} may not include {target}")
        if quoted and {folder.split("/")[0], quoted.group(1).split("/")[0]} == {"cedana", "storage"}:
            report(path, number, "cedana/ and storage/ never include each other")
        angled = re.match(r"\s*#include <([^>]+)>", line)
        if angled and not is_test(path):
            for header, homes in HOMES.items():
                if re.fullmatch(header, angled.group(1)) and folder not in homes:
                    report(path, number, f"<{angled.group(1)}> belongs to {sorted(homes)} only")


def check_calls(path, text, report):
    if is_test(path) or str(path.relative_to(ROOT)) in STANDALONE:
        return
    for number, line in enumerate(code_lines(text), 1):
        for call, (homes, instead) in BANNED.items():
            if re.search(call, line) and folder_of(path) not in homes:
                report(path, number, f"banned call, use {instead}: {line.strip()}")


def check_tree(report):
    for folder in LAYERS:
        if "/" not in folder or not (SRC / folder).is_dir():
            continue
        readme = SRC / folder / "README.md"
        if not readme.exists():
            report(SRC / folder, 1, "has no README.md")
        elif len(readme.read_text().splitlines()) > README_LINES_MAX:
            report(readme, README_LINES_MAX, f"more than {README_LINES_MAX} lines")


def main():
    breaches = []

    def report(path, line, text):
        breaches.append(f"{path.relative_to(ROOT)}:{line}: {text}")

    files = [p for p in sorted(SRC.rglob("*")) if p.suffix in (".h", ".cc")]
    for path in files:
        text = path.read_text()
        lines = len(text.splitlines())
        limit = TEST_LINES_MAX if is_test(path) else SOURCE_LINES_MAX
        if lines > limit:
            report(path, limit, f"{lines} lines, at most {limit}")
        check_includes(path, text, report)
        check_calls(path, text, report)
    check_tree(report)
    for breach in breaches:
        print(breach)
    print(f"tidy: {len(files)} files, {len(breaches)} breaches")
    return 1 if breaches or not files else 0


if __name__ == "__main__":
    sys.exit(main())
