#!/usr/bin/env python3
"""tidy_sources.py FOLDER PATTERN: what clang-tidy shall look at, a line each: every source of the
build configured in FOLDER/build whose path contains PATTERN, several files of a library in one where
the build does so (clang-tidy, too, spends its time on headers), no tests. Leaves
FOLDER/compile_commands.json without g++'s precompiled headers, which clang cannot read."""
import json
import re
import sys
from pathlib import Path

folder, pattern = Path(sys.argv[1]), sys.argv[2]
commands = json.loads((folder / "build" / "compile_commands.json").read_text())
kept, wanted = [], set()
for command in commands:
    target = re.search(r" -o (\S+)", command["command"]).group(1)
    if re.search(r"_test(_headers)?\.dir/|^proto/|cmake_pch", target):
        continue
    if pattern in target:
        wanted.add(command["file"])
    command["command"] = re.sub(r" -Winvalid-pch| -include \S*cmake_pch\.hxx", "", command["command"])
    kept.append(command)
(folder / "compile_commands.json").write_text(json.dumps(kept, indent=1))
print("\n".join(sorted(wanted)))
