"""The lists: what is in them, and whether they are as they should be."""

import pathlib
import re
import tomllib

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
FIELDS = {"name", "rules", "file", "find", "replace", "tests", "form", "also"}
OPTIONAL = {"form", "also"}


class Wrong(Exception):
    """A list, or the tree, is not as it should be: exit code 2."""


def read_lists(wanted):
    families = {path.stem: path for path in sorted(HERE.glob("*.toml"))}
    unknown = [name for name in wanted if name not in families]
    if unknown:
        raise Wrong(f"no such family: {', '.join(unknown)} (there are: {', '.join(families) or 'none'})")
    mutants, problems = [], []
    for family in wanted or families:
        try:
            document = tomllib.loads(families[family].read_text())
        except tomllib.TOMLDecodeError as error:
            raise Wrong(f"{families[family].name}: {error}") from error
        for number, entry in enumerate(document.get("mutant", []), 1):
            label = f"{family}.toml: {entry.get('name', f'entry {number}')}"
            missing, strange = FIELDS - OPTIONAL - set(entry), set(entry) - FIELDS
            if missing or strange:
                problems.append(f"{label}: " + "; ".join(
                    [f"`{name}` is missing" for name in sorted(missing)] + [f"`{name}` is not known" for name in sorted(strange)]))
                continue
            entry |= {"family": family, "label": label}
            entry["places"] = [entry, *({"name": entry["name"], "label": label, **place} for place in entry.get("also", []))]
            for place in entry["places"]:
                problems += check_place(place)
            if not re.fullmatch(rf"{family}-[a-z0-9-]+", entry["name"]):
                problems.append(f"{label}: the name does not begin with `{family}-`, or has more in it than a-z, 0-9 and -")
            if any(entry["name"] == other["name"] for other in mutants):
                problems.append(f"{label}: there are two of that name")
            if not entry["rules"] or not entry["tests"]:
                problems.append(f"{label}: `rules` and `tests` must not be empty")
            for test in entry["tests"]:
                if len(test.split()) != 2:
                    problems.append(f"{label}: `{test}` is not a test binary and the name of a test")
            mutants.append(entry)
    if problems:
        raise Wrong("\n".join(problems))
    return mutants


def check_place(place):
    """What is wrong with one place of a mutant, apart from its text not being there."""
    problems, label = [], place["label"]
    for name in ("file", "find", "replace"):
        place[name] = place.get(name, "").strip()
    if not place["find"] or not place["file"]:
        problems.append(f"{label}: `file` and `find` must not be empty")
    if place.setdefault("form", "") not in ("", "text"):
        problems.append(f"{label}: the only `form` is \"text\"")
    if place["form"] == "text" and "{broken}" not in place["replace"]:
        problems.append(f"{label}: `replace` has no {{broken}}, so it would be on all the time")
    if not place["form"] and re.match(r"let\b", place["find"]):
        problems.append(f"{label}: a `let` would end with its block: take the expression, or form = \"text\"")
    return problems


def check_names(mutants):
    """Each rule is named by a test that is to notice it: the doc comment right above it says so."""
    functions, problems = {}, []
    for path in sorted([*ROOT.glob("src/**/*.rs"), *ROOT.glob("tests/**/*.rs")]):
        if "node_modules" in path.parts:
            continue
        lines = path.read_text().splitlines()
        for at, line in enumerate(lines):
            for name in re.findall(r"\bfn (\w+)", line):
                start = at
                while start and lines[start - 1].strip().startswith(("//", "#[", ")]")):
                    start -= 1
                comment = "\n".join(lines[start:at])
                functions.setdefault(name, []).append((path.relative_to(ROOT).as_posix(), comment))

    def above(test):
        target, name = test.split()
        # What lies in tests/support belongs to every test binary.
        folders = {"lib": ("src/", "tests/support/"), "bins": ("",)}.get(target, (f"tests/{target}", "tests/support/"))
        here = [comment for path, comment in functions.get(name.split("::")[-1], []) if path.startswith(folders)]
        return "\n".join(here) if here else None

    for mutant in mutants:
        found = {test: above(test) for test in mutant["tests"]}
        problems += [f"{mutant['label']}: there is no test `{test}`" for test, text in found.items() if text is None]
        for rule in mutant["rules"]:
            if not any(re.search(rf"\b{re.escape(rule)}\b", text or "") for text in found.values()):
                problems.append(f"{mutant['label']}: none of its tests names {rule} in the comment above it")
    if problems:
        raise Wrong("\n".join(problems))
