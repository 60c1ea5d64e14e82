"""The copy of the project with every mutant in it, and its test binaries."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from .lists import ROOT, Wrong
from .places import rewritten

# Not part of what is built; `node_modules` is linked, because it is large and nobody changes it.
LEFT_OUT = {"target", ".git", "node_modules", "secrets", "__pycache__"}
BROKEN = '''
/// Whether the rule `name` is broken on purpose. Only in the copy that `tests/mutants/run` builds.
pub fn broken(name: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("VESTIBULE_BROKEN").ok()).as_deref() == Some(name)
}
'''


def copy_tree(tree, changes):
    """Makes `tree` a copy of the project with every mutant in it. Files that stay the same keep their time, for cargo."""
    kept = set()
    for folder, folders, names in os.walk(ROOT):
        here = pathlib.Path(folder)
        for name in list(folders):
            if name in LEFT_OUT:
                folders.remove(name)
                if name == "node_modules":
                    link = tree / here.relative_to(ROOT) / name
                    link.parent.mkdir(parents=True, exist_ok=True)
                    if not link.is_symlink():
                        link.symlink_to(here / name)
                    kept.add(link)
        for name in names:
            source = here / name
            relative = source.relative_to(ROOT).as_posix()
            content = source.read_bytes()
            if relative in changes:
                text = content.decode()
                for place in reversed(changes[relative]):
                    if text[place.start:place.end] != place.text:
                        raise Wrong(f"{relative} was changed just now: run again")
                    text = text[:place.start] + rewritten(place) + text[place.end:]
                content = text.encode()
            if relative == "src/lib.rs":
                # Half of a mutant's place is always unused, and nobody is to be warned of it.
                content = b"#![allow(warnings, clippy::all)] " + content + BROKEN.encode()
            if relative == "Cargo.toml":
                content = re.sub(r"(?ms)^\[lints\..*?(?=^\[(?!lints))", "", content.decode()).encode()
            copy = tree / relative
            kept.add(copy)
            if copy.is_file() and copy.read_bytes() == content:
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            shutil.copymode(source, copy)
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if pathlib.Path(folder, name) not in kept]
        for name in names:
            if pathlib.Path(folder, name) not in kept:
                pathlib.Path(folder, name).unlink()


def check(tree, target_dir):
    """Shows that the copy compiles."""
    cargo(tree, target_dir, "check", "--lib")


def build(tree, target_dir, targets):
    """The test binaries by name."""
    arguments = ["test", "--no-run", "--message-format=json-render-diagnostics"]
    for name in sorted(targets):
        arguments += {"lib": ["--lib"], "bins": ["--bins"]}.get(name, ["--test", name])
    print(f"building {', '.join(sorted(targets))} with all mutants in {tree}", flush=True)
    started = time.monotonic()
    binaries = {}
    for line in cargo(tree, target_dir, *arguments).splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            name = "lib" if "lib" in message["target"]["kind"] else message["target"]["name"]
            binaries[name] = message["executable"]
    print(f"built in {time.monotonic() - started:.0f} s", flush=True)
    return binaries


def cargo(tree, target_dir, *arguments):
    """What cargo prints when it does this with the copy."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(target_dir)}
    result = subprocess.run(["cargo", *arguments], cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        print(result.stderr, file=sys.stderr)
        raise Wrong(f"the copy does not compile; most likely by {suspects(tree, result.stderr) or 'no mutant'}")
    return result.stdout


def suspects(tree, errors):
    """The mutants that stand near the lines which the compiler complains about."""
    names = []
    for file, line in re.findall(r"^\s*--> (\S+?):(\d+)", errors, re.M):
        lines = (tree / file).read_text().splitlines() if (tree / file).is_file() else []
        near = "\n".join(lines[max(0, int(line) - 4):int(line) + 3])
        names += re.findall(r'crate::broken\("([^"]+)"\)', near)
    return ", ".join(dict.fromkeys(names))
